"""Tables filtered by consent: equal to tables that never held the others, and never silently empty or granted."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.consent import OPT_IN, Purpose, decide
from features.consenting import consenting, trainable
from features.dataset import DatasetConfig
from features.errors import ConfigError, DataError
from features.events import Tables
from features.people import People
from features.tables import load_tables

EVENTS = pd.DataFrame(
    {
        "user_id": ["ann", "ann", "bob", "bob", "cy", "cy", "dee"],
        "item_id": ["i1", "i2", "i2", "only-bobs", "i1", "i3", "i3"],
        "at": [1, 2, 3, 4, 5, 6, 7],
        "device": ["tv", None, "tv", "phone", "tv", "tv", "tv"],
    }
)
USERS = pd.DataFrame(
    {
        "user_id": ["ann", "bob", "cy", "zoe"],
        "gender": ["f", "m", "f", "f"],
        "born": ["1990-01-01", "1980-01-01", "1970-01-01", "1960-01-01"],
        "plan": ["pro", "free", "pro", "free"],
        "city": ["x", "y", "z", "w"],
        "since": ["2020-01-01"] * 4,
    }
)
COLUMNS = {
    "gender": {"role": "categorical", "static": True, "protected": True},
    "born": {"role": "birth_date", "static": True},
    "plan": {"role": "categorical", "static": True},
    "city": {"role": "categorical", "time": "since", "demographic": True},
}
ASSUMED = {"assume": "granted", "basis": "a test"}


def answers(**columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({"user_id": ["ann", "bob", "cy"], **columns})


def table(*purposes: str, **more: Any) -> dict[str, Any]:
    return {"table": {"columns": {purpose: purpose for purpose in purposes}, **more}}


def config(consent: dict[str, Any] | None, **columns: Any) -> DatasetConfig:
    return DatasetConfig.parse(
        {
            "order": {"time": "at"},
            "events": {"context": {"device": {"role": "categorical"}}},
            "types": {"view": {}},
            "users": {"columns": columns or COLUMNS},
            **({"consent": consent} if consent else {}),
        },
        "dataset",
    )


def load(consent: dict[str, Any] | None, said: pd.DataFrame | None = None, without: tuple[str, ...] = ()) -> Tables:
    frames = {
        "events": EVENTS[~EVENTS["user_id"].isin(without)],
        "users": USERS[~USERS["user_id"].isin(without)],
        **({} if said is None else {"consent": said}),
    }
    return load_tables(config(consent), Path(), frames)


def same(first: Tables, second: Tables) -> None:
    assert first.fingerprint == second.fingerprint
    for name in ("users", "items", "user_codes", "item_codes", "moments", "event_ids"):
        np.testing.assert_array_equal(getattr(first.events, name), getattr(second.events, name))
    np.testing.assert_array_equal(first.users.ids, second.users.ids)


def test_training_reads_what_it_would_read_had_they_never_been_there() -> None:
    consent = {**table("train", "share_demographics"), **ASSUMED}
    said = answers(train=["no", "denied", ""], share_demographics=["", "", ""])
    part = trainable(config(consent), load(consent, said))
    same(part, load(ASSUMED, without=("ann", "bob")))
    assert "only-bobs" not in part.events.items
    assert not {"ann", "bob"} & {*People(config(consent), part).user_ids, *part.users.ids}


def test_who_is_filtered_twice_is_filtered_once() -> None:
    consent = {**table("train", "share_demographics"), **ASSUMED}
    said = answers(train=["no", "yes", "yes"], share_demographics=["yes", "no", "yes"])
    part = trainable(config(consent), load(consent, said))
    assert trainable(config(consent), part) is not None
    same(trainable(config(consent), part), part)


def test_everybody_agreed_changes_nothing() -> None:
    whole = load(ASSUMED)
    assert trainable(config(ASSUMED), whole) is whole


def test_demographics_that_are_not_shared_were_never_known() -> None:
    consent = {**table("share_demographics"), **ASSUMED}
    part = trainable(config(consent), load(consent, answers(share_demographics=["false", "", "true"])))
    people = People(config(consent), part)
    ann, bob = people.person("ann"), people.person("bob")
    assert {name: value for name, value in ann.attributes.items() if value is not None} == {"plan": "pro"}
    assert ann.changes == {}
    assert bob.attributes["gender"] == "m"
    assert set(bob.changes) == {"city"}


def test_silence_is_no_grant_beside_a_table() -> None:
    said = answers(train=["granted", None, "granted"])
    part = trainable(config(table("train")), load(table("train"), said))
    assert list(part.events.users) == ["ann", "cy"]
    assert list(part.users.ids) == ["ann", "cy"], "zoe and dee were never asked"


def test_what_is_assumed_is_assumed_for_the_named_purposes_only() -> None:
    consent = {**ASSUMED, "purposes": ["personalize"]}
    assert len(consenting(config(consent), load(consent), [Purpose.PERSONALIZE]).events) == len(EVENTS)
    with pytest.raises(DataError, match="none of 4 users agrees to train: all 7 events would be lost"):
        trainable(config(consent), load(consent))


def test_without_a_section_training_stops_and_says_what_it_would_lose() -> None:
    with pytest.raises(DataError, match="who agrees to train: all 7 events of 4 users would be lost") as told:
        trainable(config(None), load(None))
    assert told.value.field == "dataset.consent"


def test_of_a_table_with_times_the_newest_answer_holds() -> None:
    said = pd.DataFrame(
        {
            "user_id": ["ann", "ann", "bob"],
            "train": ["yes", "no", "yes"],
            "asked": ["2024-01-01", "2025-01-01", "2024-06-01"],
            "by": ["paper", "banner 2", None],
        }
    )
    consent = table("train", time="asked", source="by")
    tables = load(consent, said)
    assert tables.consent is not None
    assert decide("train", tables.consent.of("ann"), OPT_IN, 2_000_000_000_000)[1:4] == ("denied", False, "banner 2")
    assert list(trainable(config(consent), tables).events.users) == ["bob"]
    assert [one.source for one in tables.consent.of("bob")] == ["table"]


def test_consent_tables_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    twice = pd.DataFrame({"user_id": ["ann", "ann"], "train": ["yes", "no"]})
    with pytest.raises(DataError, match="1 people have several rows"):
        load(table("train"), twice)
    with pytest.raises(DataError, match="1 rows of column 'train' are no answer, the first is row 2") as told:
        load(table("train"), answers(train=["yes", "perhaps", ""]))
    assert told.value.field == "dataset.consent.table.columns.train"
    with pytest.raises(DataError, match="the consent table has no column 'train'"):
        load(table("train"), answers(other=["yes", "no", ""]))
    with pytest.raises(ConfigError, match="no table of consent is named"):
        load(table("train"))


def test_a_table_of_consent_is_read_from_its_file(tmp_path: Path) -> None:
    answers(train=[True, False, True]).to_csv(tmp_path / "consent.csv", index=False)
    consent = table("train", path="consent.csv")
    tables = load_tables(config(consent), tmp_path, {"events": EVENTS, "users": USERS})
    assert list(trainable(config(consent), tables).events.users) == ["ann", "cy"]
    assert tables.consent is not None
    assert tables.consent.of("bob")[0].source == "table: consent.csv"


@pytest.mark.parametrize(
    ("consent", "message"),
    [
        ({}, "name the `table`"),
        ({"assume": "granted"}, "belong together"),
        ({"basis": "a test", **table("train")}, "belong together"),
        (table("training"), "table.columns: 'training' is no purpose"),
        ({**ASSUMED, "purposes": ["all"]}, "purposes: 'all' is no purpose"),
        ({"assume": "denied", "basis": "a test"}, "'denied'"),
    ],
)
def test_sections_that_say_nothing_clear_are_refused(consent: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as told:
        DatasetConfig.parse({**config(None).model_dump(by_alias=True), "consent": consent}, "dataset")
    assert str(told.value.field).startswith("dataset.consent")


def test_which_attributes_are_demographic() -> None:
    assert config(None).users.demographics == {"gender", "born", "city"}
    plain = {"role": "categorical", "static": True, "protected": True, "demographic": False}
    assert config(None, gender=plain).users.demographics == frozenset()
