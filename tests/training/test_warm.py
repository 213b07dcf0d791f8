"""A warm start puts the towers where they were: known items stay, and a new one stands where it was foretold."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from features.arrays import FloatArray, halved
from features.errors import BundleError
from models.item_tower import ItemTower
from models.two_towers import TwoTowers
from models.user_tower import UserTowerInputs
from serving.bundle import open_bundle
from training.stage import item_codes
from training.towers.start import WEIGHTS, Start, load_weights, start_from
from training.warm import can_go_on, start_of


@pytest.fixture(scope="module")
def start(trained: Any) -> Start:
    bundle = open_bundle(trained.bundle)
    return start_of(bundle, bundle.schema, trained.tables.items)


def towers(trained: Any, extra: int = 0, **changes: Any) -> TwoTowers:
    """Towers as a fit would begin with them, with some items more than the bundle knows."""
    bundle = open_bundle(trained.bundle)
    codes = item_codes(bundle.schema, trained.tables.items)
    codes = np.concatenate([codes, codes[2 : 2 + extra]])
    trained_rows = torch.ones(len(codes), dtype=torch.bool)
    trained_rows[:2] = False
    inputs = UserTowerInputs.of(bundle.schema, bundle.settings.max_events)
    config = trained.config.towers.model_copy(update=changes)
    torch.manual_seed(0)
    return TwoTowers(inputs, bundle.schema.item_sizes, torch.from_numpy(codes), trained_rows, config).eval()


def test_the_weights_of_a_bundle_give_its_vectors_again(trained: Any, start: Start) -> None:
    model, bundle = towers(trained), open_bundle(trained.bundle)
    start_from(start, model)
    known = np.abs(np.asarray(bundle.catalogue.id_vectors)).max(axis=1) > 0
    with torch.no_grad():
        vectors = model.eval().item_vectors().numpy()
    np.testing.assert_allclose(halved(vectors)[known], np.asarray(bundle.catalogue.vectors)[known], atol=1e-3)


def test_a_new_item_begins_where_its_attributes_foretold_it(trained: Any, start: Start) -> None:
    foretold: FloatArray = np.concatenate([start.foretold, start.foretold[2:5]])
    model = towers(trained, extra=3)
    start_from(Start(start.weights, start.sizes, start.ids, foretold), model)
    with torch.no_grad():
        vectors = model.eval().item_vectors().numpy()
    np.testing.assert_allclose(vectors[-3:], foretold[-3:], atol=1e-3)


def test_categories_that_came_say_nothing_at_first(trained: Any, start: Start) -> None:
    model = towers(trained)
    name, module = next((name, one) for name, one in model.named_modules() if name == "item_tower.content.fields")
    fewer = {**start.sizes, name: [size - (place == 0) for place, size in enumerate(start.sizes[name])]}
    weights = dict(start.weights)
    gone = start.sizes[name][0] - 1
    weights[f"{name}.table.weight"] = np.delete(weights[f"{name}.table.weight"], gone, axis=0)
    start_from(Start(weights, fewer, start.ids, start.foretold), model)
    table = module.table.weight.detach().numpy()
    assert (table[gone] == 0).all()
    np.testing.assert_array_equal(table[gone + 1 :], start.weights[f"{name}.table.weight"][gone + 1 :])


def test_other_shapes_are_refused(trained: Any, start: Start) -> None:
    with pytest.raises(BundleError, match="train in full"):
        start_from(start, towers(trained, embedding_dim=8))


def test_weights_that_lack_are_named(trained: Any, start: Start, tmp_path: Path) -> None:
    fewer = {name: one for name, one in start.weights.items() if name != "user_tower.stranger"}
    with pytest.raises(BundleError, match=r"user_tower\.stranger"):
        start_from(Start(fewer, start.sizes, start.ids, start.foretold), towers(trained))
    with pytest.raises(BundleError, match=WEIGHTS):
        load_weights(tmp_path / WEIGHTS)


def test_fewer_attributes_than_the_bundle_has_are_refused(trained: Any, start: Start) -> None:
    more = {name: [size + 1 for size in sizes] for name, sizes in start.sizes.items()}
    with pytest.raises(BundleError, match="fewer"):
        start_from(Start(start.weights, more, start.ids, start.foretold), towers(trained))


def test_without_attributes_new_ids_begin_as_in_any_fit(trained: Any, start: Start) -> None:
    model = towers(trained)
    bare = TwoTowers(
        model.user_tower.inputs, (), model.item_codes[:, :0], model.trained[:, 0] > 0, trained.config.towers
    )
    bare.item_tower = ItemTower(model.ids.shape[1], (), trained.config.towers)
    before = bare.ids.detach().clone()
    ids = np.zeros_like(start.ids)
    ids[2] = 1.0
    start_from(Start(start.weights, start.sizes, ids, start.foretold), bare)
    torch.testing.assert_close(bare.ids[3:], before[3:])
    assert bare.ids[2].tolist() == ids[2].tolist()


def test_a_bundle_can_be_gone_on_from_only_under_its_own_settings(trained: Any, tmp_path: Path) -> None:
    bundle = open_bundle(trained.bundle)
    assert can_go_on(trained.config, bundle) is None
    wider = trained.config.towers.model_copy(update={"embedding_dim": 32})
    assert (
        can_go_on(trained.config.model_copy(update={"towers": wider}), bundle) == "its `towers` section is another one"
    )
    dataset = trained.config.dataset.model_copy(update={"types": dict(list(trained.config.dataset.types.items())[:-1])})
    assert "dataset" in str(can_go_on(trained.config.model_copy(update={"dataset": dataset}), bundle))
