"""Items that come, change and go: what the tables say with a delta equals a dictionary of the items as they are."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.arrays import FloatArray
from features.moments import DAY
from features.person import Events, Person
from features.vocabulary import RESERVED, UNKNOWN
from serving.answers import Query
from serving.bundle import Bundle, open_bundle
from serving.catalogue import item_vectors
from serving.items.delta import Delta, ItemRecord
from serving.pipeline import Pipeline
from serving.retrieval.eligibility import Eligible, open_to_all
from serving.retrieval.scores import dots

NEW = [f"new-{number}" for number in range(4)]


@pytest.fixture(scope="module")
def bundle(trained: Any) -> Bundle:
    return open_bundle(trained.bundle)


@pytest.fixture(scope="module")
def now(bundle: Bundle) -> int:
    return bundle.statistics.newest + DAY


def empty(bundle: Bundle) -> Delta:
    return Delta.empty(bundle.schema, bundle.catalogue)


def record(item_id: str, moment: int, category: str | None, title: str = "Named") -> ItemRecord:
    attributes = None if category is None else {"category": category, "title": title, "creator": "creator-1"}
    return ItemRecord(item_id, attributes, moment)


CHANGES = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from(["drama", "tea", None]), st.sampled_from(["One", "Two"])), max_size=12
)


@settings(max_examples=25)
@given(CHANGES, st.lists(st.integers(1, 4), max_size=4))
def test_a_delta_equals_a_dictionary(
    bundle: Bundle, now: int, changes: list[tuple[int, str | None, str]], cuts: list[int]
) -> None:
    ids = [*list(bundle.schema.items.ids)[:6], *NEW]
    records = [record(ids[one], now + place, category, title) for place, (one, category, title) in enumerate(changes)]
    delta, rest = empty(bundle), records
    for cut in [*cuts, len(records)]:
        delta, rest = bundle.tables.after(delta, rest[:cut]), rest[cut:]
    changed = bundle.with_items(delta)
    truth: dict[str, ItemRecord] = {}
    for one in records:
        if one.attributes is not None or one.item_id in truth or one.item_id not in NEW:
            truth[one.item_id] = one
    eligible = open_to_all(changed.schema, changed.catalogue, now)
    for item_id in ids:
        row = changed.schema.items.row(item_id)
        if item_id not in truth:
            assert (row == UNKNOWN) == (item_id in NEW)
            continue
        is_open = truth[item_id].attributes is not None
        assert eligible.has(np.array([row]))[0] == is_open
        if is_open:
            assert changed.catalogue.title(row) == truth[item_id].attributes["title"]  # type: ignore[index]
            np.testing.assert_allclose(changed.catalogue.vectors[np.array([row])][0], embedded(bundle, truth[item_id]))
    untouched = np.array([row for row in range(len(bundle.catalogue)) if row not in set(delta.rows.tolist())])
    assert np.array_equal(changed.catalogue.vectors[untouched], bundle.catalogue.vectors[untouched])
    assert len(changed.catalogue) == len(bundle.catalogue) + len(delta.new_ids) == len(changed.schema.items)


def embedded(bundle: Bundle, one: ItemRecord) -> FloatArray:
    """The item tower's vector of one item, worked out alone."""
    row = bundle.schema.items.row(one.item_id)
    known = bundle.catalogue.id_vectors[np.array([max(row, 0)])]
    attributes = one.attributes or {}
    codes = bundle.schema.encode_items({name: [value] for name, value in attributes.items()}, 1)
    vector: FloatArray = item_vectors(bundle.item_tower, known if row != UNKNOWN else known * 0, codes)[0]
    return vector


def test_a_search_finds_what_a_look_at_every_item_finds(bundle: Bundle, now: int) -> None:
    known = list(bundle.schema.items.ids)
    changes = [record(one, now, "drama") for one in [*NEW, known[3], known[8]]] + [record(known[5], now, None)]
    changed = bundle.with_items(bundle.tables.after(empty(bundle), changes))
    eligible = open_to_all(changed.schema, changed.catalogue, now).among(changed.catalogue.placed)
    rows = np.flatnonzero(eligible.mask(len(changed.catalogue)))
    for query in np.asarray(changed.catalogue.vectors)[rows[::17]]:
        scores = dots(changed.catalogue.vectors[rows], query)
        expected = rows[np.argsort(-scores, kind="stable")[:30]]
        assert changed.index.search(query, 30, eligible).tolist() == expected.tolist()
    assert changed.index.search(query, 3, Eligible(np.zeros_like(eligible.bitmap))).tolist() == []


def test_a_new_item_is_recommended_ranked_and_counts_in_a_history(bundle: Bundle, now: int) -> None:
    changed = bundle.with_items(bundle.tables.after(empty(bundle), [record(one, now, "drama") for one in NEW]))
    pipeline = Pipeline(changed)
    shown = [one.item_id for one in pipeline.recommend(Person(), Query(k=500), now).items]
    assert set(NEW) <= set(shown)
    assert {one.item_id for one in pipeline.rank(Person(), [*NEW, shown[0]], Query(), now).items} == {*NEW, shown[0]}
    past = Person(Events([NEW[0]], ["view"], np.array([now]), np.array([np.nan], dtype=np.float32)))
    before, after = (pipeline.recommend(one, Query(k=10), now + 1) for one in (Person(), past))
    assert [one.score for one in before.items] != [one.score for one in after.items]


def test_a_deleted_item_is_shown_no_more_but_stays_in_a_history(bundle: Bundle, now: int) -> None:
    item = Pipeline(bundle).recommend(Person(), Query(k=1), now).items[0].item_id
    gone = bundle.with_items(bundle.tables.after(empty(bundle), [record(item, now, None)]))
    shown = Pipeline(gone).recommend(Person(), Query(k=500), now).items
    assert item not in {one.item_id for one in shown}
    row = np.array([bundle.schema.items.row(item)])
    assert np.array_equal(gone.catalogue.vectors[row], bundle.catalogue.vectors[row])
    assert gone.catalogue.title(int(row[0])) == bundle.catalogue.title(int(row[0]))


def test_to_delete_what_is_not_there_changes_nothing(bundle: Bundle, now: int) -> None:
    before = empty(bundle)
    assert bundle.tables.after(before, [record("nobody knows it", now, None)]) is before


def test_an_availability_is_read_from_its_columns(bundle: Bundle, now: int) -> None:
    bounds = bundle.schema.dataset.items.available
    assert bounds.from_ is not None
    later = ItemRecord(NEW[0], {bounds.from_: "2126-01-01T00:00:00Z"}, now)
    changed = bundle.with_items(bundle.tables.after(empty(bundle), [later]))
    row = np.array([len(bundle.catalogue)])
    assert not open_to_all(changed.schema, changed.catalogue, now).has(row)[0]
    assert open_to_all(changed.schema, changed.catalogue, now + 200 * 365 * DAY).has(row)[0]
    assert row[0] >= RESERVED
