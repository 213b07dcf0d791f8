"""What every backend of the log of item changes must do: one suite for all."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import StateError
from serving.state import ItemLog, open_item_log, open_state
from serving.state.item_log import ItemEdit


@pytest.fixture
def log(store_url: str) -> Iterator[ItemLog]:
    opened = open_item_log(store_url)
    yield opened
    opened.close()


def upsert(item: str, **attributes: Any) -> ItemEdit:
    return ItemEdit(item, attributes)


def delete(item: str) -> ItemEdit:
    return ItemEdit(item, None)


def test_an_empty_log(log: ItemLog) -> None:
    assert log.newest() == 0
    assert log.after(0, 10) == []
    assert log.change([], 5) == []


def test_changes_come_back_as_they_were_and_in_order(log: ItemLog) -> None:
    attributes = {"title": "Zażółć", "tags": ["a", "b"], "price": 1.5, "shelf": None}
    numbers = log.change([upsert("tea", **attributes), delete("milk")], 77)
    assert numbers == sorted(set(numbers))
    tea, milk = log.after(0, 10)
    assert (tea.item_id, tea.kind, tea.attributes, tea.moment) == ("tea", "upsert", attributes, 77)
    assert (milk.item_id, milk.kind, milk.attributes) == ("milk", "delete", None)
    assert [tea.number, milk.number] == numbers
    assert log.newest() == numbers[-1]


def test_readers_go_on_where_they_were(log: ItemLog) -> None:
    numbers = log.change([upsert(f"i{place}") for place in range(7)], 1)
    pages, seen = [], 0
    while page := log.after(seen, 3):
        pages.append([change.number for change in page])
        seen = page[-1].number
    assert pages == [numbers[:3], numbers[3:6], numbers[6:]]


def test_only_the_newest_change_of_an_item_is_kept(log: ItemLog) -> None:
    log.change([upsert("tea", price=1), upsert("milk"), upsert("tea", price=2)], 1)
    newest = log.change([delete("milk")], 2)
    assert [(change.item_id, change.kind) for change in log.after(0, 10)] == [("tea", "upsert"), ("milk", "delete")]
    assert log.after(0, 10)[0].attributes == {"price": 2}
    assert log.newest() == newest[0]


def test_a_number_is_never_given_twice(log: ItemLog) -> None:
    numbers = [log.change([upsert("tea", price=price)], 1)[0] for price in range(5)]
    assert numbers == sorted(set(numbers))


def test_a_batch_is_stored_whole_or_not_at_all(log: ItemLog) -> None:
    with pytest.raises(TypeError):
        log.change([upsert("tea"), ItemEdit("milk", {"price": object()})], 1)
    assert log.newest() == 0
    assert log.after(0, 10) == []


def test_it_knows_itself_again_and_no_other(shared_store_url: str) -> None:
    logs = [open_item_log(shared_store_url), open_item_log(shared_store_url), open_item_log("sqlite://:memory:")]
    assert logs[0].identity == logs[1].identity != logs[2].identity
    for one in logs:
        one.close()


def test_a_store_that_had_no_log_is_given_one(shared_store_url: str) -> None:
    url = shared_store_url
    state = open_state(url)
    log = open_item_log(url)
    log.change([upsert("tea")], 1)
    state.check()
    again = open_item_log(url)
    assert again.newest() == log.newest() == 1
    for one in (again, log, state):
        one.close()


def test_a_closed_log_says_that_it_does_not_answer(log: ItemLog) -> None:
    log.close()
    with pytest.raises(StateError, match="did not answer"):
        log.newest()


def test_nobody_meets_a_smaller_number_later(log: ItemLog) -> None:
    """Writers at once, and a reader that follows: what it meets only grows, and at the end nothing is missing."""
    seen: list[int] = []
    items: dict[str, int] = {}
    done = threading.Event()

    def follow() -> None:
        last_round = False
        while not last_round:
            last_round = done.is_set()
            for change in log.after(seen[-1] if seen else 0, 1000):
                seen.append(change.number)
                items[change.item_id] = change.number

    def write(name: str) -> None:
        for place in range(25):
            log.change([upsert(f"{name}{place % 9}"), upsert("shared")], place)

    follower = threading.Thread(target=follow)
    writers = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in (follower, *writers):
        thread.start()
    for writer in writers:
        writer.join()
    done.set()
    follower.join()
    assert seen == sorted(set(seen))
    assert items == {change.item_id: change.number for change in log.after(0, 1000)}
    assert len(items) == 28


EDITS = st.lists(st.tuples(st.sampled_from("abcd"), st.one_of(st.none(), st.integers(0, 9))), max_size=20)


@given(EDITS, st.integers(0, 20), st.integers(1, 4))
def test_any_edits_from_any_place_give_what_a_dictionary_gives(
    new_store_url: Callable[[], str], edits: list[tuple[str, int | None]], away: int, limit: int
) -> None:
    """A reader that knows the first changes and then reads the rest page by page knows what a dictionary holds."""
    log = open_item_log(new_store_url())
    known: dict[str, int | None] = {}
    mine: dict[str, int | None] = {}
    seen = 0

    def read() -> int:
        last = seen
        while page := log.after(last, limit):
            mine.update({one.item_id: one.attributes["n"] if one.attributes else None for one in page})
            last = page[-1].number
        return last

    for place, (item, content) in enumerate(edits):
        if place == away:
            seen = read()
        known[item] = content
        log.change([delete(item) if content is None else upsert(item, n=content)], place)
    read()
    assert mine == known
    log.close()
