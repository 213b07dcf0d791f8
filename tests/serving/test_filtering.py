"""A filter binds every answer: what fails it is never shown, however short the answer becomes."""

from typing import Any

import numpy as np
import pytest

from features.consent import ConsentRules
from features.people import People
from features.person import Events, Person
from serving.answers import Answer, Query
from serving.api.replies import UserListReply
from serving.api.requests import BatchRequest
from serving.bulk.desk import recommend_batch
from serving.bundle import Bundle, open_bundle
from serving.desk.desk import Desk
from serving.filters import Filter, parse_filter
from serving.filters.attribute_columns import Categories
from serving.items.delta import Delta, ItemRecord
from serving.pipeline import Pipeline
from serving.retrieval.eligibility import Eligible, open_to
from serving.retrieval.sources import SOURCES
from serving.situation import situation
from serving.state import State
from serving.state.item_log import ItemLog


@pytest.fixture(scope="module")
def bundle(trained: Any) -> Bundle:
    return open_bundle(trained.bundle)


@pytest.fixture(scope="module")
def now(bundle: Bundle) -> int:
    return bundle.statistics.newest


@pytest.fixture(scope="module")
def rare(bundle: Bundle) -> str:
    """The category that the fewest items have, beside those that none has."""
    column = bundle.filterable.items.attributes.columns["category"]
    assert isinstance(column, Categories)
    counts = np.bincount(column.codes[column.codes >= 0])
    return column.texts[int(np.argmin(np.where(counts > 0, counts, counts.max() + 1)))]


def read(bundle: Bundle, text: str) -> Filter:
    return parse_filter(text, bundle.schema.dataset)


def categories(bundle: Bundle, answer: Answer | UserListReply) -> set[str]:
    column = bundle.filterable.items.attributes.columns["category"]
    assert isinstance(column, Categories)
    rows = bundle.schema.items.rows([one.item_id for one in answer.items])
    return {column.texts[int(code)] for code in column.codes[rows]}


def people(trained: Any, count: int = 12) -> list[Person]:
    everybody = People(trained.config.dataset, trained.tables)
    return [Person(), *(everybody.person(user) for user in everybody.user_ids[:count])]


def test_every_source_and_the_filling_obey(bundle: Bundle, trained: Any, now: int, rare: str) -> None:
    chosen = read(bundle, f'category = "{rare}"')
    for person in people(trained):
        passing = bundle.filterable.passing(chosen, bundle.schema, person, now)
        here = situation(bundle, person, now, passing=passing)
        for source in SOURCES:
            assert Eligible(passing).has(source.retrieve(here, 30)).all(), source.name
        answer = Pipeline(bundle).recommend(person, Query(k=100, filter=chosen), now)
        assert categories(bundle, answer) <= {rare}
        may = open_to(bundle.schema, bundle.catalogue, person, now).among(passing).count
        assert len(answer.items) == may, "all that may be shown are brought, whatever the sources' sizes"
        assert answer.shortfall is not None
        assert answer.shortfall.cause.startswith(f"only {may} items may be shown: the others fail the filter")


def test_an_answer_tells_what_the_filter_did(bundle: Bundle, now: int, rare: str) -> None:
    pipeline = Pipeline(bundle)
    told = pipeline.recommend(Person(), Query(filter=read(bundle, f'category = "{rare}"')), now).filtering
    other = pipeline.recommend(Person(), Query(filter=read(bundle, f'not category = "{rare}"')), now).filtering
    assert told is not None
    assert other is not None
    assert 0 < told.selectivity < 1
    assert told.selectivity + other.selectivity == pytest.approx(1.0)
    assert (told.plan, told.cells) == ("exact", 0)
    assert pipeline.recommend(Person(), Query(), now).filtering is None


def test_rank_and_similar_obey(bundle: Bundle, now: int, rare: str) -> None:
    pipeline, chosen = Pipeline(bundle), read(bundle, f'category = "{rare}"')
    every = [*bundle.schema.items.ids, "no such item"]
    ranked = pipeline.rank(Person(), every, Query(filter=chosen), now)
    assert categories(bundle, ranked) == {rare}
    assert ranked.shortfall is not None
    assert ranked.shortfall.given == len(ranked.items)
    assert f"{len(bundle.schema.items.ids) - len(ranked.items)} of the items fail the filter" == ranked.shortfall.cause
    for kind in ("similar", "goes_with", "next"):
        answer = pipeline.similar(every[:3], kind, Query(k=50, filter=chosen), now)
        assert categories(bundle, answer) <= {rare}


def test_lists_for_many_people_obey(
    bundle: Bundle, state: State, item_log: ItemLog, agreed: ConsentRules, rare: str
) -> None:
    desk = Desk(Pipeline(bundle), state, item_log, consent=agreed)
    users = [f"u{number}" for number in range(10)]
    asked = BatchRequest(user_ids=users, k=50, filter=f'category = "{rare}"')
    for one in recommend_batch(desk, asked, "r"):
        assert categories(bundle, one) == {rare}
        assert one.shortfall is not None


def test_what_the_person_saw_is_read_at_each_request(bundle: Bundle, now: int) -> None:
    pipeline, chosen = Pipeline(bundle), read(bundle, "not seen within 30d")
    first = pipeline.recommend(Person(), Query(k=1, filter=chosen), now).items[0].item_id
    seen = Person(Events([first], ["view"], np.array([now]), np.array([np.nan], dtype=np.float32)))
    shown = pipeline.recommend(seen, Query(k=500, filter=chosen), now + 1)
    assert first not in {one.item_id for one in shown.items}
    assert first in {one.item_id for one in pipeline.recommend(Person(), Query(k=500, filter=chosen), now).items}


def test_new_and_changed_items_are_filtered_by_what_they_are_now(bundle: Bundle, now: int, rare: str) -> None:
    chosen, other = read(bundle, f'category = "{rare}"'), read(bundle, 'category = "a new one"')
    changed_id = Pipeline(bundle).recommend(Person(), Query(k=1, filter=chosen), now).items[0].item_id
    records = [
        ItemRecord("fresh", {"category": rare, "title": "Fresh"}, now),
        ItemRecord(changed_id, {"category": "a new one", "title": "Moved"}, now),
    ]
    delta = bundle.tables.after(Delta.empty(bundle.schema, bundle.catalogue), records)
    pipeline = Pipeline(bundle.with_items(delta))
    shown = [one.item_id for one in pipeline.recommend(Person(), Query(k=100, filter=chosen), now + 1).items]
    assert "fresh" in shown
    assert changed_id not in shown
    assert [one.item_id for one in pipeline.recommend(Person(), Query(k=9, filter=other), now + 1).items] == [
        changed_id
    ]
