"""README's walk of a person: each command as printed, and in its answer the fields that are printed."""

import json
import re
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from features.consent import ConsentRules
from features.preferences import Category
from serving.desk.desk import Desk
from serving.person.erasing import finish
from serving.person.reach import Reach
from serving.pipeline import Pipeline
from serving.retrieval.bitmap import members
from serving.retrieval.preferred import rows_of
from serving.state import load_tables_into_state, open_item_log, open_state

README = Path(__file__).parents[2] / "README.md"
SECTION = re.compile(r"^### A person's way.*?^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
ITEM = re.compile(r"i00\d{3}")
KEY = re.compile(r'"([a-z_]+)":')
OF_A_REASON = {"last", "times"}
"""What some kinds of reasons lack."""


def steps() -> list[tuple[str, str]]:
    """Each command with the answer that is printed below it."""
    (block,) = SECTION.findall(README.read_text(encoding="utf-8"))
    parts = [part.partition("\n") for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(command, answer) for command, _, answer in parts if not command.startswith("#")]


def keys_of(answer: Any) -> set[str]:
    """Names of all fields, however deep."""
    match answer:
        case dict():
            return {*answer, *(key for one in answer.values() for key in keys_of(one))}
        case list():
            return {key for one in answer for key in keys_of(one)}
    return set()


def test_every_command_of_the_walk_answers_as_printed(
    trained: Any, pipeline: Pipeline, run_door: Callable[..., str], agreed: ConsentRules, tmp_path: Path
) -> None:
    state = open_state(f"sqlite:///{tmp_path}/state.db")
    load_tables_into_state(state, trained.tables)
    bundle = pipeline.bundle
    crime = bundle.schema.items.id_of(int(members(rows_of(bundle, Category("category", "crime")))[0]))
    url = run_door(lambda: Desk(pipeline, state, open_item_log("sqlite://:memory:"), consent=agreed))
    answers: dict[str, Any] = {}
    for command, printed in steps():
        if "/verify" in command:
            (erasure,) = state.unfinished()
            finish(state, erasure, Reach(), erasure.moment)  # what a worker does within a second
        line = ITEM.sub(crime, command.replace("127.0.0.1:3000", url.removeprefix("http://")))
        said = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        if printed:
            answers[command] = json.loads(said)
            assert set(KEY.findall(printed)) - keys_of(answers[command]) - OF_A_REASON == set(), command
    why, hidden, standing, weaker, viewed, linked, known, denied, plain, erased, verified = answers.values()
    assert why["items"][0]["reasons"]
    assert hidden["preferences"][0]["value"] == "crime"
    assert "hidden" in [one["stop"] for one in standing["obstacles"]]
    assert weaker["strength"] == 0.3
    assert viewed["stored"] == 1
    assert linked["linked"]
    assert known["events"][0]["event_id"] == "e-1"
    assert denied["purposes"][0]["allowed"] is False
    assert plain["not_personal"] == "denied"
    assert erased["receipt"]["removed"]["events"] > 0
    assert verified["clean"]
    assert verified["receipts"][0]["status"] == "finished"
    assert zipfile.is_zipfile(tmp_path / "u00007.zip")
    assert not state.person("u00007").events.item_ids
    state.close()
