"""What the towers promise: unit vectors, no look ahead, padding that changes nothing, ids that may be absent."""

import pytest
import torch
from torch import Tensor, nn

from features.errors import ConfigError
from features.schema import FieldSize
from models.config import RankerConfig, TowerConfig
from models.embeddings import FieldEmbeddings
from models.item_tower import Content, ItemTower
from models.ranker import Ranker
from models.two_towers import TwoTowers
from models.user_tower import ServedUserTower, UserTower, UserTowerInputs

CONFIG = TowerConfig(embedding_dim=16, blocks=2, heads=2)
FIELDS = (FieldSize("genre", 3, 9), FieldSize("year", 1, 6))
INPUTS = UserTowerInputs(5, 20, n_values=7, n_gaps=12, profile=FIELDS, context=(FieldSize("hour", 1, 26),))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(4)


def noisy(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
    return module.eval()


def history(batch: int, events: int) -> dict[str, Tensor]:
    return {
        "item_vectors": nn.functional.normalize(torch.randn(batch, events, 16), dim=-1),
        "type_codes": torch.randint(2, 5, (batch, events)),
        "value_codes": torch.randint(0, 7, (batch, events)),
        "gap_codes": torch.randint(0, 12, (batch, events + 1, events + 1)),
        "profile_codes": torch.randint(0, 6, (batch, 4)),
        "context_codes": torch.randint(0, 26, (batch, events + 1, 1)),
    }


def changed_from(fed: dict[str, Tensor], event: int) -> dict[str, Tensor]:
    """Other events from `event` on, other queries after it, the same before."""
    other = history(*fed["type_codes"].shape)
    mixed = {name: value.clone() for name, value in fed.items()}
    for name in ("item_vectors", "type_codes", "value_codes"):
        mixed[name][:, event:] = other[name][:, event:]
    mixed["gap_codes"][:, event + 1 :] = other["gap_codes"][:, event + 1 :]
    mixed["gap_codes"][:, :, event + 1 :] = other["gap_codes"][:, :, event + 1 :]
    mixed["context_codes"][:, event + 1 :] = other["context_codes"][:, event + 1 :]
    return mixed


def test_heads_that_do_not_divide_the_vector_are_refused() -> None:
    with pytest.raises(ConfigError, match="3 does not divide 64"):
        TowerConfig.parse({"heads": 3})


def test_no_state_sees_what_comes_after_it() -> None:
    tower, fed = noisy(UserTower(INPUTS, CONFIG)), history(3, 12)
    states, changed = tower(**fed), tower(**changed_from(fed, 5))
    torch.testing.assert_close(states[:, :6], changed[:, :6])
    assert (states[:, 6:] - changed[:, 6:]).abs().amax(-1).min() > 1e-4


def test_states_and_item_vectors_have_length_one() -> None:
    states = noisy(UserTower(INPUTS, CONFIG))(**history(3, 12))
    torch.testing.assert_close(states.norm(dim=-1), torch.ones(3, 13))
    items = noisy(ItemTower(8, FIELDS, CONFIG))(torch.randn(7, 8), torch.randint(0, 6, (7, 4)))
    torch.testing.assert_close(items.norm(dim=-1), torch.ones(7))


@pytest.mark.parametrize("name", ["type_codes", "value_codes", "gap_codes", "profile_codes", "context_codes"])
def test_every_input_counts(name: str) -> None:
    tower, fed = noisy(UserTower(INPUTS, CONFIG)), history(2, 6)
    other = {**fed, name: history(2, 6)[name]}
    assert (tower(**fed) - tower(**other)).abs().max() > 1e-3


def test_the_served_state_ignores_padding() -> None:
    tower = UserTower(INPUTS, CONFIG)
    noisy(tower)
    fed, lengths = history(3, 9), torch.tensor([0, 4, 9])
    served = ServedUserTower(tower)(**fed, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = {name: value[row : row + 1] for name, value in fed.items()}
        for name in ("item_vectors", "type_codes", "value_codes"):
            alone[name] = alone[name][:, :length]
        alone["gap_codes"] = alone["gap_codes"][:, : length + 1, : length + 1]
        alone["context_codes"] = alone["context_codes"][:, : length + 1]
        torch.testing.assert_close(served[row], tower(**alone)[0, -1])


def test_fields_are_means_over_their_codes_summed() -> None:
    module, codes = FieldEmbeddings(FIELDS, 5), torch.tensor([[2, 4, 0, 3], [0, 0, 0, 1], [8, 8, 2, 0]])
    table = module.table.weight
    genre, year = table[:9], table[9:]
    expected = [(genre[2] + genre[4]) / 2 + year[3], year[1], (2 * genre[8] + genre[2]) / 3]
    torch.testing.assert_close(module(codes), torch.stack(expected))
    torch.testing.assert_close(module.eval()(codes), torch.stack(expected))


def test_fitting_and_serving_take_the_same_gradient_of_fields() -> None:
    module, codes = FieldEmbeddings(FIELDS, 5), torch.tensor([[[2, 4, 0, 3]], [[0, 0, 0, 0]], [[8, 8, 2, 0]]])
    sought, gradients = torch.randn(3, 1, 5), []
    for mode in (True, False):
        module.train(mode).zero_grad()
        (module(codes) * sought).sum().backward()
        assert module.table.weight.grad is not None
        gradients.append(module.table.weight.grad.clone())
    torch.testing.assert_close(*gradients)


def test_an_item_without_id_is_placed_by_its_attributes() -> None:
    tower, codes = noisy(ItemTower(8, FIELDS, CONFIG)), torch.tensor([[2, 0, 0, 3], [2, 0, 0, 3], [5, 6, 0, 2]])
    one, same, other = tower(torch.zeros(3, 8), codes)
    torch.testing.assert_close(one, same)
    assert (one - other).abs().max() > 0.01


def test_padding_is_the_zero_vector() -> None:
    plain = noisy(ItemTower(8, (), CONFIG))
    assert not plain(torch.zeros(2, 8)).any()


def test_an_item_with_an_id_does_not_read_the_network_for_newcomers() -> None:
    tower, ids, codes = ItemTower(8, FIELDS, CONFIG).eval(), torch.randn(3, 8), torch.full((3, 4), 2)
    before, newcomers = tower(ids, codes), tower(torch.zeros(3, 8), codes)
    tower.newcomer = Content(FIELDS, CONFIG)
    tower.eval()
    torch.testing.assert_close(tower(ids, codes), before)
    assert (tower(torch.zeros(3, 8), codes) - newcomers).abs().max() > 0.01


def test_an_untrained_id_is_zero() -> None:
    towers = TwoTowers(INPUTS, (), torch.zeros(5, 0, dtype=torch.int64), torch.tensor([0, 0, 1, 0, 1]).bool(), CONFIG)
    assert towers.id_vectors().any(1).tolist() == [False, False, True, False, True]
    torch.testing.assert_close(towers.item_vectors(torch.tensor([4, 3])), towers.item_vectors()[[4, 3]])


class TestRanker:
    def inputs(self, people: int = 2, candidates: int = 6, events: int = 5) -> dict[str, Tensor]:
        return {
            "features": torch.randn(people, candidates, 4) * 3 + 1,
            "candidate_vectors": nn.functional.normalize(torch.randn(people, candidates, 16), dim=-1),
            "history_vectors": nn.functional.normalize(torch.randn(people, events, 16), dim=-1),
            "history_mask": torch.ones(people, events),
        }

    def test_begins_at_zero_and_is_linear_in_what_it_learns_first(self) -> None:
        ranker = Ranker(4, 3, RankerConfig()).eval()
        fed = self.inputs()
        assert not ranker(**fed).any()
        with torch.no_grad():
            ranker.linear.weight[1, 2] = 1.0
        torch.testing.assert_close(ranker(**fed)[..., 1], fed["features"][..., 2].clamp(-8, 8))

    def test_standardises_by_training_data_and_bounds_what_strays(self) -> None:
        ranker = Ranker(4, 1, RankerConfig())
        mean, scale = torch.tensor([1.0, 2, 3, 4]), torch.tensor([2.0, 0, 1, 1])
        ranker.standardise.set(mean, scale)
        found = ranker.standardise(torch.tensor([[3.0, 2.5, 1e9, 4.0]]))
        torch.testing.assert_close(found, torch.tensor([[1.0, 0.5, 8.0, 0.0]]))

    def test_turning_the_embedding_space_changes_nothing(self) -> None:
        ranker, fed = noisy(Ranker(4, 3, RankerConfig())), self.inputs()
        turn = torch.linalg.qr(torch.randn(16, 16)).Q
        turned = {name: value @ turn if "vectors" in name else value for name, value in fed.items()}
        torch.testing.assert_close(ranker(**fed), ranker(**turned), rtol=1e-4, atol=1e-4)

    def test_padding_of_the_history_changes_nothing(self) -> None:
        ranker, fed = noisy(Ranker(4, 3, RankerConfig())), self.inputs(events=5)
        short = {**fed, "history_vectors": fed["history_vectors"][:, :2], "history_mask": fed["history_mask"][:, :2]}
        fed["history_mask"][:, 2:] = 0
        torch.testing.assert_close(ranker(**fed), ranker(**short))
        fed["history_mask"][:] = 0
        other = {**fed, "history_vectors": torch.randn(2, 5, 16)}
        torch.testing.assert_close(ranker(**fed), ranker(**other))
