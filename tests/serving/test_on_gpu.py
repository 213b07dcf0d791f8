"""A CUDA device answers as the processor does: the same items, but for equals, and scores within 1e-5."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.errors import ConfigError
from features.people import People
from features.vocabulary import RESERVED
from serving.answers import Answer, Query
from serving.bundle import Bundle, open_bundle
from serving.golden import check_golden
from serving.items.delta import Delta, ItemRecord
from serving.lifecycle.opening import open_worker
from serving.pipeline import Pipeline
from serving.retrieval.bitmap import pack
from serving.retrieval.device import Device, open_session
from serving.retrieval.device_search import SEARCH
from serving.retrieval.eligibility import Eligible
from serving.retrieval.scores import dots
from training.export.search import export_search

pytestmark = pytest.mark.gpu

NEAR = 1e-5
"""By which scores may differ between machines (DESIGN.md): relative to the best score of an answer."""


@pytest.fixture(scope="session")
def gpu(tmp_path_factory: pytest.TempPathFactory) -> Device:
    """The device, or a skip that says why there is none; comes before anything that takes long."""
    graph = tmp_path_factory.mktemp("gpu") / SEARCH
    export_search(8, graph)
    try:
        open_session(graph, "cuda")
    except ConfigError as error:
        pytest.skip(f"no GPU is at hand: {error.message}")
    return "cuda"


@pytest.fixture(scope="module")
def bundles(gpu: Device, trained: Any) -> tuple[Bundle, Bundle]:
    """The trained bundle, first on the processor and then on the device."""
    return open_bundle(trained.bundle), open_bundle(trained.bundle, gpu)


def require_alike(expected: Answer, given: Answer) -> None:
    """The same scores place by place; an item may stand elsewhere only among items of its score."""
    scores = np.array([one.score for one in expected.items])
    tolerance = NEAR * np.abs(scores).max(initial=0.0)
    np.testing.assert_allclose([one.score for one in given.items], scores, rtol=0, atol=tolerance)
    by_id = {one.item_id: one.score for one in expected.items}
    for place, one in enumerate(given.items):
        cut_off = scores[place] - scores[-1] <= 2 * tolerance
        assert cut_off or abs(by_id[one.item_id] - scores[place]) <= 2 * tolerance


def test_everybody_gets_the_same_list(bundles: tuple[Bundle, Bundle], trained: Any) -> None:
    people = People(trained.config.dataset, trained.tables)
    of_processor, of_device = (Pipeline(one) for one in bundles)
    for user in people.user_ids[::3]:
        person = people.whole(user)
        moment = int(person.events.moments.max(initial=0)) + 1
        require_alike(
            of_processor.recommend(person, Query(k=20), moment), of_device.recommend(person, Query(k=20), moment)
        )


def test_golden_answers_are_given(bundles: tuple[Bundle, Bundle]) -> None:
    assert check_golden(Pipeline(bundles[1])) >= 20


def test_a_search_finds_the_same_rows(bundles: tuple[Bundle, Bundle]) -> None:
    of_processor, of_device = bundles
    vectors, draw = np.asarray(of_processor.catalogue.vectors), np.random.default_rng(0)
    for share in (1.0, 0.3, 0.02, 0.0):
        allowed = draw.random(len(vectors)) < share
        allowed[:RESERVED] = False
        eligible = Eligible(pack(allowed)).among(of_processor.catalogue.placed)
        for row in draw.integers(RESERVED, len(vectors), 20):
            found = [one.index.search(vectors[row], 30, eligible) for one in bundles]
            assert of_device.index.plan(eligible, 20).name == "exact"
            first, second = (dots(vectors[rows], vectors[row]) for rows in found)
            np.testing.assert_allclose(second, first, rtol=0, atol=NEAR)
            assert set(found[1]) <= set(np.flatnonzero(eligible.mask(len(vectors))))


def test_a_changed_item_is_found(bundles: tuple[Bundle, Bundle], trained: Any) -> None:
    of_processor, of_device = bundles
    moment = int(trained.tables.events.moments.max()) + 1
    records = [
        ItemRecord("just made", {"title": "Just Made"}, moment),
        ItemRecord(of_processor.schema.items.ids[3], None, moment),
    ]
    person, changed = People(trained.config.dataset, trained.tables).whole(trained.tables.events.users[0]), []
    for one in bundles:
        delta = one.tables.after(Delta.empty(one.schema, one.catalogue), records)
        changed.append(Pipeline(one.with_items(delta)).recommend(person, Query(k=50), moment + 1))
    require_alike(changed[0], changed[1])
    assert records[1].item_id not in {one.item_id for one in changed[1].items}
    assert of_device.device == "cuda"


def test_a_worker_opens_and_answers_there(gpu: Device, trained: Any, tmp_path: Path) -> None:
    environment = {
        "TAILORBIRD_BUNDLE": str(trained.bundle),
        "TAILORBIRD_STATE": f"sqlite:///{tmp_path}/state.db",
        "TAILORBIRD_DEVICE": gpu,
    }
    worker = open_worker(environment)
    try:
        assert worker.standing().ready
    finally:
        worker.close()
