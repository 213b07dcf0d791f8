"""Records made from tables: who has one, and what was taken by a moment."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from features.dataset import DatasetConfig
from features.events import AttributeTable, EventTable, Tables
from features.people import People

SHOP = DatasetConfig.parse(
    {
        "order": {"sequence": "n"},
        "events": {"type": "kind"},
        "types": {"view": {}, "buy": {}, "shown": {"sign": "exposure"}},
    }
)
Row = tuple[int, int, int]


def people_of(rows: Sequence[Row]) -> People:
    """Rows of user, item and type; the order is that of the rows."""
    frame = pd.DataFrame(rows, columns=["user", "item", "type"]).sort_values("user", kind="stable")
    nobody = AttributeTable(ids=np.empty(0, dtype=object), columns={}, changes={})
    events = EventTable(
        users=np.array([f"u{number}" for number in range(4)], dtype=object),
        items=np.array([f"i{number}" for number in range(4)], dtype=object),
        types=tuple(SHOP.types),
        user_codes=frame["user"].to_numpy(np.int64),
        item_codes=frame["item"].to_numpy(np.int64),
        type_codes=frame["type"].to_numpy(np.int64),
        moments=np.arange(len(frame)) // 2,
        values=np.full(len(frame), np.nan, dtype=np.float32),
        event_ids=np.array([f"e{number}" for number in range(len(frame))], dtype=object),
        contexts={},
    )
    return People(SHOP, Tables(events, nobody, nobody, "f"))


rows_of = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), max_size=40)


@given(rows=rows_of, moment=st.integers(0, 20))
def test_taken_is_every_item_and_type_with_its_newest_moment(rows: list[Row], moment: int) -> None:
    people = people_of(rows)
    events = people.events
    for code, user in enumerate(events.users):
        wanted: dict[tuple[str, str], int] = {}
        for row in np.flatnonzero((events.user_codes == code) & (events.moments <= moment)):
            key = (events.items[events.item_codes[row]], events.types[events.type_codes[row]])
            wanted[key] = int(events.moments[row])
        taken = people.person(user, moment).taken
        assert taken is not None
        found = dict(zip(zip(taken.item_ids, taken.types, strict=True), taken.moments.tolist(), strict=True))
        assert found == wanted
        assert len(taken.item_ids) == len(wanted)


def test_who_was_only_shown_something_is_not_among_the_users() -> None:
    people = people_of([(0, 1, 0), (1, 1, 2), (1, 2, 2), (3, 1, 1), (3, 2, 2)])
    assert people.user_ids == ["u0", "u3"]
    assert len(people.person("u1").events) == 0


@given(rows_of)
def test_a_record_right_after_an_event_ends_with_it(rows: list[Row]) -> None:
    people = people_of(rows)
    for row in range(len(people.events)):
        user = str(people.events.users[people.events.user_codes[row]])
        start, _ = people.span(user)
        record = people.after(row, newest=3)
        assert list(record.events.item_ids) == list(people.events.slice_of(max(start, row - 2), row + 1).item_ids)
        assert record.attributes == people.person(user).attributes
