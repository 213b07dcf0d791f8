"""A `dataset` section that contradicts itself is refused, with the key that does."""

from typing import Any

import pytest

from features.dataset import DatasetConfig
from features.errors import ConfigError

CHANGING = {"role": "categorical", "time": "since"}
BORN = {"role": "birth_date", "static": True}


def parse(order: dict[str, str], **sections: Any) -> DatasetConfig:
    return DatasetConfig.parse({"order": order, "events": {}, "types": {"view": {}}, **sections}, "dataset")


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({"users": {"columns": {"plan": CHANGING}}}, "users.columns.plan.time"),
        ({"items": {"columns": {"price": CHANGING}}}, "items.columns.price.time"),
        ({"users": {"columns": {"born": BORN}}}, "users.columns.born.role"),
        ({"items": {"columns": {"made": BORN}}}, "items.columns.made.role"),
        ({"events": {"context": {"guest_born": BORN}}}, "events.context.guest_born.role"),
        ({"items": {"available": {"from": "starts"}}}, "items.available.from"),
        ({"items": {"available": {"to": "ends"}}}, "items.available.to"),
        ({"types": {"view": {"repeat": {"after_days": 3}}}}, "types.view.repeat"),
    ],
)
def test_what_needs_a_time_is_refused_where_events_have_none(section: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"sequence": "n"}, **section)
    assert str(caught.value).startswith(f"dataset: {key}: ")
    assert "order.time" in str(caught.value)
    for order in ({"time": "at"}, {"time": "at", "sequence": "n"}):
        assert parse(order, **section).timed


def test_a_static_attribute_needs_no_time() -> None:
    columns = {"city": {"role": "categorical", "static": True}, "joined": {"role": "time", "static": True}}
    assert not parse({"sequence": "n"}, users={"columns": columns}).timed


def test_what_a_later_data_set_no_longer_reads_is_named() -> None:
    before = parse(
        {"time": "at"},
        types={"view": {}, "buy": {}},
        users={"columns": {"plan": CHANGING}},
        events={"type": "kind", "context": {"device": {"role": "categorical", "static": True}}},
    )
    now = parse({"time": "at"}, types={"view": {}})
    assert now.no_longer_read(before) == ["event type buy", "attribute plan of people", "context device"]
    assert before.no_longer_read(now) == before.no_longer_read(before) == []
