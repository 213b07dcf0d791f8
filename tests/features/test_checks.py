"""Every rule finds what it is for, on every engine, and finds nothing in sound tables."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.check_report import write
from features.checks import RULES, check_tables
from features.dataset import DatasetConfig
from features.errors import MASK
from features.frames import Engine

NOW = 1_700_000_000_000
CONFIG: dict[str, Any] = {
    "order": {"time": "at"},
    "events": {
        "path": "events.csv",
        "type": "kind",
        "value": "stars",
        "id": "event",
        "context": {"device": {"role": "categorical"}},
    },
    "types": {"view": {}, "buy": {"weight": 3}, "skip": {"sign": "negative"}},
    "users": {"path": "users.csv", "columns": {"city": {"role": "categorical", "static": True}}},
    "items": {
        "path": "items.csv",
        "columns": {
            "price": {"role": "numeric", "time": "since", "path": "prices.csv"},
            "colour": {"role": "categorical", "static": True},
        },
    },
}
HEADER = "user_id,item_id,kind,at,stars,device,event"
ENGINES = ["pandas", "polars", "duckdb", pytest.param("spark", marks=pytest.mark.spark)]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    kinds = ("view", "buy", "skip")
    lines = [
        f"u{user},i{(user * 7 + step) % 20},{kinds[step % 3]},{16 * 10**8 + step},{step % 5},d{step % 2},e{user}-{step}"
        for user in range(30)
        for step in range(6)
    ]
    (tmp_path / "events.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    (tmp_path / "users.csv").write_text("user_id,city\n" + "".join(f"u{user},c{user % 4}\n" for user in range(30)))
    (tmp_path / "items.csv").write_text("item_id,colour\n" + "".join(f"i{item},k{item % 3}\n" for item in range(20)))
    prices = "".join(f"i{item},{item + 1},2020-01-0{day}\n" for item in range(20) for day in (1, 2))
    (tmp_path / "prices.csv").write_text("item_id,price,since\n" + prices)
    return tmp_path


@pytest.mark.parametrize("engine", ENGINES)
def test_sound_tables_break_no_rule(shop: Path, engine: Engine) -> None:
    report = check_tables(DatasetConfig.parse(CONFIG), shop, engine=engine, now=NOW)
    assert report.findings == ()
    assert report.rows == {"events": 180, "users": 30, "items": 20, "items.price": 40}
    assert "Every rule holds." in report.to_table()


def add(name: str, *lines: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with (folder / name).open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    return change


def keep(name: str, *lines: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_text("".join(f"{line}\n" for line in lines))

    return change


def put(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return change


Case = tuple[Callable[[Path], None], str, str, str | None, int]
CASES: dict[str, Case] = {
    "missing column": (put("users.csv", "city", "town"), "missing_column", "users", "city", 1),
    "empty": (keep("users.csv", "user_id,city"), "empty_table", "users", None, 1),
    "floats": (keep("users.csv", "user_id,city", "1.0,a", "2.0,b"), "float_id", "users", "user_id", 2),
    "null id": (add("events.csv", ",i1,view,1600000000,1,d1,x"), "null_id", "events", "user_id", 1),
    "null type": (add("events.csv", "u1,i1,,1600000000,1,d1,x"), "null_id", "events", "kind", 1),
    "repeated item": (add("items.csv", "i1,k1", "i1,k2"), "repeated_id", "items", "item_id", 2),
    "bad time": (add("events.csv", "u1,i1,view,soon,1,d1,x"), "unreadable_time", "events", "at", 1),
    "no time": (add("events.csv", "u1,i1,view,,1,d1,x"), "unreadable_time", "events", "at", 1),
    "milliseconds": (add("events.csv", "u1,i1,view,1600000000000,1,d1,x"), "unreadable_time", "events", "at", 1),
    "bad price time": (add("prices.csv", "i1,2,never"), "unreadable_time", "items.price", "since", 1),
    "future": (add("events.csv", "u1,i1,view,2024-01-01T00:00:00Z,1,d1,x"), "future_time", "events", "at", 1),
    "bad number": (add("events.csv", "u1,i1,view,1600000000,many,d1,x"), "unreadable_number", "events", "stars", 1),
    "infinite": (add("prices.csv", "i1,inf,2020-02-02"), "unreadable_number", "items.price", "price", 1),
    "new type": (add("events.csv", "u1,i1,steal,1600000000,1,d1,x"), "undeclared_type", "events", "kind", 1),
    "unseen type": (put("events.csv", "skip", "buy"), "unseen_type", "events", "kind", 1),
    "repeated event": (add("events.csv", "u1,i1,view,1600000000,1,d1,e1-1"), "repeated_event_id", "events", "event", 1),
    "unknown user": (add("events.csv", "u99,i1,view,1600000000,1,d1,x"), "unknown_id", "events", "user_id", 1),
    "unknown item": (add("events.csv", "u1,i99,view,1600000000,1,d1,x"), "unknown_id", "events", "item_id", 1),
    "negative": (add("prices.csv", "i1,-3,2020-02-02"), "negative_value", "items.price", "price", 1),
    "outlier": (add("events.csv", *(f"u{n},i1,view,1600000000,{1e9 if n == 5 else 1},d1,{n}" for n in range(30)),
                    *(f"u{n % 30},i1,view,1600000000,1,d1,n{n}" for n in range(500))),
                "outlying_value", "events", "stars", 1),
    "constant": (keep("users.csv", "user_id,city", "u1,a", "u2,a"), "constant_column", "users", "city", 1),
    "robot": (add("events.csv", *(f"u3,i{n % 20},view,{1600000000 + n},1,d1,r{n}" for n in range(1500))),
              "robot", "events", "user_id", 1),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_rule_finds_what_it_is_for(shop: Path, case: str) -> None:
    change, rule, table, column, count = CASES[case]
    change(shop)
    report = check_tables(DatasetConfig.parse(CONFIG), shop, now=NOW)
    found = [one for one in report.findings if (one.rule, one.table, one.column) == (rule, table, column)]
    assert [one.count for one in found] == [count]
    assert found[0].severity == next(entry.severity for entry in RULES if entry.name == rule)


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_every_engine_finds_the_same(shop: Path, engine: Engine) -> None:
    for case in ("null id", "repeated item", "bad time", "bad price time", "future", "bad number", "infinite"):
        CASES[case][0](shop)
    for case in ("new type", "repeated event", "unknown user", "unknown item", "negative", "outlier", "robot"):
        CASES[case][0](shop)
    dataset = DatasetConfig.parse(CONFIG)
    expected = check_tables(dataset, shop, now=NOW)
    report = check_tables(dataset, shop, engine=engine, now=NOW)
    assert len(expected.findings) >= 14
    assert report.rows == expected.rows
    if engine == "spark":  # its rows have no numbers
        counts = [(one.rule, one.table, one.column, one.count) for one in expected.findings]
        assert [(one.rule, one.table, one.column, one.count) for one in report.findings] == counts
    else:
        assert report.findings == expected.findings


@pytest.mark.parametrize("engine", ["pandas", "polars", "duckdb"])
def test_examples_stand_with_file_row_column_and_value(shop: Path, engine: Engine) -> None:
    add("prices.csv", *(f"i{n},-{n + 1},2020-02-02" for n in range(8)))(shop)
    report = check_tables(DatasetConfig.parse(CONFIG), shop, engine=engine, now=NOW)
    (finding,) = report.warnings
    assert finding.count == 8
    told = [(one.file, one.row, one.column, one.shown()) for one in finding.examples]
    assert told == [("prices.csv", 41 + n, "price", f"-{n + 1}") for n in range(5)]


def test_what_tells_of_a_person_is_masked(shop: Path, tmp_path: Path) -> None:
    add("events.csv", "stranger,i1,view,1600000000,1,d1,x", "u1,i99,view,1600000000,1,d1,y")(shop)
    report = check_tables(DatasetConfig.parse(CONFIG), shop, now=NOW)
    write(report, tmp_path / "run")
    content = json.loads((tmp_path / "run" / "check.json").read_text())
    written = (tmp_path / "run" / "check.json").read_text() + (tmp_path / "run" / "check.md").read_text()
    assert [one["examples"][0]["value"] for one in content["findings"]] == [MASK, "i99"]
    assert "stranger" not in written
    assert "stranger" not in report.to_table()
    assert "stranger" in report.to_table(show_ids=True)


def test_events_without_ids_that_repeat_are_told(tmp_path: Path) -> None:
    dataset = DatasetConfig.parse({"order": {"sequence": "n"}, "events": {}, "types": {"view": {}}})
    frame = pd.DataFrame({"user_id": [2, 1, 1, 2, 1], "item_id": [7, 7, 8, 7, 7], "n": [3, 3, 3, 3, 3]})
    (finding,) = check_tables(dataset, tmp_path, {"events": frame}, now=NOW).findings
    assert finding.rule == "repeated_event"
    assert [example.row for example in finding.examples] == [4, 5], "the first of equal events is no repeat"


def test_a_table_of_one_user_and_nothing_positive(tmp_path: Path) -> None:
    types = {"view": {}, "skip": {"sign": "negative"}}
    dataset = DatasetConfig.parse({"order": {"sequence": "n"}, "events": {"type": "t"}, "types": types})
    frame = pd.DataFrame({"user_id": [1, 1], "item_id": [7, 8], "n": [1, 2], "t": ["skip", "skip"]})
    report = check_tables(dataset, tmp_path, {"events": frame}, now=NOW)
    assert [one.rule for one in report.errors] == ["nothing_positive", "single_user"]
    assert [one.rule for one in report.warnings] == ["unseen_type"]


def test_categories_that_are_nearly_ids(tmp_path: Path) -> None:
    columns = {"passport": {"role": "categorical", "static": True}}
    sections = {"events": {}, "users": {"columns": columns}, "types": {"view": {}}}
    dataset = DatasetConfig.parse({"order": {"sequence": "n"}, **sections})
    ids = list(range(200))
    frames = {
        "events": pd.DataFrame({"user_id": ids, "item_id": ids, "n": ids}),
        "users": pd.DataFrame({"user_id": ids, "passport": [f"p{one}" for one in ids]}),
    }
    (finding,) = check_tables(dataset, tmp_path, frames, now=NOW).findings
    assert (finding.rule, finding.column, finding.count) == ("large_vocabulary", "passport", 200)


@pytest.mark.parametrize("engine", ["pandas", "polars", "duckdb"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "events.csv").unlink(),
        lambda folder: (folder / "events.csv").write_bytes(b"user_id,item_id\n\xff,1\n"),
        lambda folder: (folder / "events.csv").write_text(""),
        lambda folder: (folder / "events.csv").write_text(HEADER + "\n"),
        lambda folder: (folder / "events.csv").write_text(HEADER + "\n1,2,3\n"),
    ],
)
def test_what_loading_refuses_is_an_error_of_the_check(
    shop: Path, engine: Engine, spoil: Callable[[Path], None]
) -> None:
    spoil(shop)
    assert check_tables(DatasetConfig.parse(CONFIG), shop, engine=engine, now=NOW).errors
