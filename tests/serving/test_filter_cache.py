"""What is kept of filters between requests: bounded, shared by threads, never for the wrong moment or table."""

import operator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.dataset import DatasetConfig
from features.moments import HOUR
from features.person import Person, Taken
from serving.filters import FilterCache, FilterScope, ItemTable, Past, parse_filter
from serving.filters.attributes import Attributes
from serving.filters.cache import OVERHEAD, Held
from serving.filters.evaluation import Evaluation, overlaid
from serving.filters.folding import Folding
from serving.filters.leaves import ALWAYS, Span, span_of
from serving.filters.parsing import parse
from serving.retrieval import bitmap

STATIC = {"static": True}
SHOP = DatasetConfig.parse(
    {
        "order": {"time": "time"},
        "events": {},
        "types": {"view": {}},
        "users": {"columns": {"country": {"role": "categorical", **STATIC}}},
        "items": {
            "columns": {
                "brand": {"role": "categorical", **STATIC},
                "price": {"role": "numeric", **STATIC},
                "since": {"role": "time", **STATIC},
            }
        },
    }
)
FIRST, LAST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
TIMES = st.lists(st.integers(-5, 5) | st.sampled_from([FIRST, LAST]), max_size=6)


def table(number: int, cheap: int = 10) -> ItemTable:
    """Two reserved rows, and 20 items with the prices 0 to 19; row r can be seen from moment r on."""
    records = [{}, {}, *({"brand": "ab"[price % 2], "price": price % cheap} for price in range(20))]
    opens = np.arange(22, dtype=np.int64)
    return ItemTable(number, Attributes.of(SHOP.items.columns, records), opens, np.full(22, LAST))


def passing(text: str, scope: FilterScope) -> list[int]:
    rows: list[int] = bitmap.members(parse_filter(text, SHOP).bitmap(scope)).tolist()
    return rows


def test_conditions_and_whole_filters_are_kept_and_shared() -> None:
    cache, items = FilterCache(), table(1)
    scope = FilterScope(items, 0, cache)
    first = parse_filter('brand = "a" and price < 4', SHOP).bitmap(scope)
    assert (cache.hits, cache.misses, len(cache)) == (0, 3, 3)
    assert parse_filter('4 > price and "a" in brand', SHOP).bitmap(scope) is first
    assert (cache.hits, cache.misses) == (1, 3)
    passing('brand = "a" or price is missing', scope)
    assert (cache.hits, cache.misses) == (2, 5)
    assert not first.flags.writeable


def test_people_with_the_same_values_share_a_bitmap() -> None:
    cache, asked = FilterCache(), parse_filter("brand = user.country", SHOP)
    people = [Person(attributes={"country": one}) for one in ("a", "b", "a", "a")]
    found = [asked.bitmap(FilterScope(table(1), 0, cache, person)) for person in people]
    assert found[0] is found[2] is found[3]
    assert bitmap.size(found[0] & found[1]) == 0
    assert len(cache) == 2


def test_what_was_seen_is_never_kept() -> None:
    cache, items = FilterCache(), table(1)
    for row in (3, 4):
        past = Past(Taken(["x"], ["view"], np.array([0])), np.array([row]))
        assert passing("seen", FilterScope(items, 0, cache, past=past)) == [row]
    assert len(cache) == 0


def test_seen_names_items_alone() -> None:
    """A person may have taken what no table holds any longer: a row between the tables, or past them."""
    added = ItemTable(2, Attributes.of(SHOP.items.columns, [{}]), np.array([0]), np.array([LAST]), np.array([25]))
    past = Past(Taken(["x"] * 5, ["view"] * 5, np.zeros(5, dtype=np.int64)), np.array([1, 5, 23, 25, 40]))
    assert passing("seen", FilterScope(table(1), 0, FilterCache(), past=past)) == [5]
    assert passing("seen", FilterScope(table(1), 0, FilterCache(), past=past, changed=added)) == [5, 25]


def test_another_table_is_another_entry() -> None:
    cache = FilterCache()
    assert len(passing("price < 5", FilterScope(table(1, cheap=10), 0, cache))) == 10
    assert len(passing("price < 5", FilterScope(table(2, cheap=20), 0, cache))) == 5


def test_what_is_available_now_is_kept_until_it_changes() -> None:
    items = ItemTable(
        1, Attributes.of(SHOP.items.columns, [{}] * 4), np.array([0, 0, 10, 20]), np.array([LAST, LAST, 29, LAST])
    )
    cache, asked = FilterCache(), parse_filter("available at now", SHOP)
    expected = {9: [], 10: [2], 19: [2], 20: [2, 3], 29: [2, 3], 30: [3], 1000: [3]}
    for moment, rows in expected.items():
        assert bitmap.members(asked.bitmap(FilterScope(items, moment, cache))).tolist() == rows
    assert (cache.hits, cache.misses) == (3, 4)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("sign", ["<", "<=", ">", ">="])
def test_a_comparison_with_now_turns_at_the_very_moment(sign: str, order: int) -> None:
    """Also when the answer for the moment before, or after, was kept."""
    compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}[sign]
    day = 24 * HOUR
    items = ItemTable(
        1, Attributes.of(SHOP.items.columns, [{}, {}, {"since": 86_400}]), *np.zeros((2, 3), dtype=np.int64)
    )
    cache, asked = FilterCache(), parse_filter(f"since {sign} now - 1h", SHOP)
    for moment in [day + HOUR + step for step in (-2, -1, 0, 1, 2)][::order]:
        expected = [2] if compare(day, moment - HOUR) else []
        assert bitmap.members(asked.bitmap(FilterScope(items, moment, cache))).tolist() == expected
    assert cache.hits == 3


def test_seen_within_ends_where_the_repeat_rules_end() -> None:
    past = Past(Taken(["x"], ["view"], np.array([1000])), np.array([4]))
    for moment, rows in {999: [], 1000: [4], 999 + HOUR: [4], 1000 + HOUR: []}.items():
        assert passing("seen within 1h", FilterScope(table(1), moment, FilterCache(), past=past)) == rows


def test_the_cache_stays_within_its_bytes_and_keeps_what_is_used() -> None:
    bits = np.zeros(100, dtype=np.uint8)
    cache = FilterCache(max_bytes=3 * (len(bits) + OVERHEAD))
    for name in "abc":
        cache.keep(1, name, Held(bits))
    assert cache.find(1, "a", 0)
    cache.keep(1, "d", Held(bits))
    cache.keep(1, "d", Held(bits))
    assert [name for name in "abcd" if cache.find(1, name, 0)] == ["a", "c", "d"]
    assert cache.size == 3 * (len(bits) + OVERHEAD)


def test_threads_may_ask_at_once() -> None:
    cache, items = FilterCache(max_bytes=8 * OVERHEAD), table(1)

    def ask(step: int) -> bool:
        limit = step % 10
        rows = passing(f'price < {limit} and brand = "a"', FilterScope(items, 0, cache))
        return rows == [2 + price for price in range(0, 20, 2) if price % 10 < limit]

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(400)))
    assert cache.size <= 8 * OVERHEAD


@given(TIMES, st.integers(-6, 6))
def test_a_span_is_all_moments_with_the_same_answer(times: list[int], moment: int) -> None:
    array = np.array(times, dtype=np.int64)
    span = span_of(array, moment)
    for other in range(-8, 9):
        assert span.holds(other) == ([one <= other for one in times] == [one <= moment for one in times])


def test_spans_move_and_overlap() -> None:
    assert Span(1, 5).overlap(Span(3, 9)).moved(10) == Span(13, 15)
    assert ALWAYS.overlap(Span(3, 9)) == Span(3, 9)
    assert ALWAYS.moved(3).holds(FIRST)


@given(st.sets(st.integers(0, 40)), st.dictionaries(st.integers(0, 60), st.booleans()))
def test_changed_items_override_those_of_the_bundle(passed: set[int], changes: dict[int, bool]) -> None:
    main = np.zeros(41, dtype=bool)
    main[list(passed)] = True
    rows, n_rows = np.array(list(changes), dtype=np.int64), max([41, *(row + 1 for row in changes)])
    changed = bitmap.pack(np.array(list(changes.values()), dtype=bool))
    found = overlaid(bitmap.pack(main), changed, rows, n_rows)
    assert set(bitmap.members(found).tolist()) == (passed - changes.keys()) | {row for row in changes if changes[row]}
    assert len(found) == (n_rows + 7) // 8


def test_changed_items_must_say_their_rows() -> None:
    scope = FilterScope(table(1), 0, FilterCache(), changed=table(2))
    with pytest.raises(TypeError, match="which rows"):
        passing("price < 5", scope)


def test_an_expression_that_skipped_a_step_is_no_answer() -> None:
    """Each step relies on the one before it: checked, folded, evaluated."""
    other = ItemTable(1, Attributes.of({"price": SHOP.items.columns["brand"]}, [{}]), np.array([0]), np.array([0]))
    with pytest.raises(TypeError, match="not checked"):
        passing("price < 5", FilterScope(other, 0, FilterCache()))
    with pytest.raises(TypeError, match="differs from item to item"):
        Folding(SHOP, Person(), 0).fold(parse("5 > price"))
    with pytest.raises(TypeError, match="not folded"):
        Evaluation(table(1), None, FilterCache(), 0).held(parse('user.country = "a"'))
