"""Lists for many people ask for consent as the service does, from the state and from tables."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from features.consent import OPT_IN, ConsentRules
from features.preferences import Category, Declared, declaration
from features.statements import Statement
from serving.bulk.people import people_of_tables, reader_of_state
from serving.settings import read_serving
from serving.state import open_state
from serving.state.protocol import StoredEvent, UserAttributes


def test_the_state_is_read_by_the_rules_of_the_service(stand_in: Any, agreed: ConsentRules, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    store = open_state(url)
    for user in ("silent", "refuses"):
        store.append([StoredEvent(f"e-{user}", "i1", "view", 1, user)])
        store.set_attributes([UserAttributes(user, {"plan": "pro"})])
    store.declare("refuses", None, [Statement("consent", "personalize", "denied", 2, "person")])
    dataset = stand_in.bundle.schema.dataset
    for rules, known in ((OPT_IN, 0), (agreed, 1)):
        read = reader_of_state(url, dataset, rules)
        assert len(read("silent").events) == known
        assert len(read("refuses").events) == 0
        assert read("refuses").attributes == {}
    store.close()


def test_the_state_is_read_with_what_was_declared(stand_in: Any, agreed: ConsentRules, tmp_path: Path) -> None:
    """So that what somebody hid is in no list of `tailorbird recommend --state`, whatever they agreed to."""
    url = f"sqlite:///{tmp_path}/state.db"
    store = open_state(url)
    for user in ("agrees", "refuses"):
        store.declare(user, None, [declaration(Declared(Category("genre", "drama"), "hide", None), 2, "person")])
    store.declare("refuses", None, [Statement("consent", "personalize", "denied", 2, "person")])
    read = reader_of_state(url, stand_in.bundle.schema.dataset, agreed)
    assert [read(user).preferences.hidden for user in ("agrees", "refuses")] == [{Category("genre", "drama")}] * 2
    store.close()


def test_rules_are_read_from_the_file_of_the_service(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text("serving: {consent: {personalize: {unknown: granted, basis: the contract}}}\n", encoding="utf-8")
    assert read_serving(path).consent.personalize.basis == "the contract"
    path.write_text("dataset: {}\n", encoding="utf-8")
    assert read_serving(path).consent == OPT_IN


@pytest.mark.parametrize("answers", ["ann,yes\nbob,no\n", "ann,yes\n"])
def test_tables_tell_nothing_of_who_did_not_agree(answers: str, tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user_id,item_id,at\nann,i1,1\nbob,i2,2\n", encoding="utf-8")
    (tmp_path / "consent.csv").write_text(f"user_id,personalize\n{answers}", encoding="utf-8")
    dataset = {
        "order": {"time": "at"},
        "events": {"path": "events.csv"},
        "types": {"view": {}},
        "consent": {"table": {"path": "consent.csv", "columns": {"personalize": "personalize"}}},
    }
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump({"dataset": dataset}), encoding="utf-8")
    crowd = people_of_tables(tmp_path / "shop.yaml", None)
    assert list(crowd.users()) == ["ann", "bob"], "everybody gets a list"
    assert crowd.people is not None
    ann, bob = crowd.people(["ann", "bob"], 10_000)
    assert (len(ann.events), len(bob.events)) == (1, 0)
