"""Golden answers: requests of simulated people whose answers a bundle must still give, or it is not served.

A case is {person, request, moment, answer}, run on the bare bundle without a store. Equal means the same items in
the same order wherever scores differ by more than `TIE`.
"""

import json
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np

from features.errors import BundleError
from features.person import Change, Events, Person
from serving.answers import Answer, Query
from serving.pipeline import Pipeline

TIE = 1e-4
"""Scores nearer than this, relative to the best score of the answer, may change places between machines."""
GOLDEN = "golden.json"


def record_golden(pipeline: Pipeline, people: list[tuple[Person, int]], k: int, path: Path) -> None:
    """Ask the pipeline for each (person, moment) and write the cases."""
    cases = []
    for person, moment in people:
        answer = pipeline.recommend(person, Query(k=k), moment)
        cases.append(
            {"person": _person_out(person), "request": {"k": k}, "moment": moment, "answer": _answer_out(answer)}
        )
    path.write_text(json.dumps(cases, indent=1), encoding="utf-8")


def check_golden(pipeline: Pipeline, pause: float = 0.0) -> int:
    """Run every golden case; returns their number. Raises BundleError at the first that differs.

    `pause` in seconds lies between two cases: under traffic they are to be like other people's requests.
    """
    path = pipeline.bundle.path / GOLDEN
    if not path.is_file():
        raise BundleError(f"{GOLDEN} is missing: {pipeline.bundle.path}")
    cases = json.loads(path.read_text(encoding="utf-8"))
    for number, case in enumerate(cases):
        answer = pipeline.recommend(_person_in(case["person"]), Query(k=case["request"]["k"]), case["moment"])
        difference = _difference(_answer_out(answer), case["answer"])
        if difference:
            raise BundleError(
                f"golden case {number} of {len(cases)} is answered otherwise than in training: {difference}",
                hint="The bundle or its libraries changed; do not serve it.",
            )
        sleep(pause)
    return len(cases)


def _difference(got: list[list[Any]], expected: list[list[Any]]) -> str | None:
    """What differs beyond ties; None when the answers are equal."""
    if len(got) != len(expected):
        return f"{len(got)} items instead of {len(expected)}"
    scores = np.array([score for _, score in expected])
    tolerance = TIE * max(float(np.abs(scores).max(initial=0.0)), 1e-12)
    for place, ((item, score), (_, wanted)) in enumerate(zip(got, expected, strict=True)):
        if abs(score - wanted) > tolerance:
            return f"the score at place {place + 1} is {score:.6g} instead of {wanted:.6g}"
        near = {one for one, other in expected if abs(other - wanted) <= 2 * tolerance}
        cut_off = abs(wanted - scores[-1]) <= 2 * tolerance
        if item not in near and not cut_off:
            return f"another item stands at place {place + 1}"
    return None


def _answer_out(answer: Answer) -> list[list[Any]]:
    return [[one.item_id, one.score] for one in answer.items]


def _person_out(person: Person) -> dict[str, Any]:
    events = person.events
    return {
        "events": {
            "item_ids": list(events.item_ids),
            "types": list(events.types),
            "moments": events.moments.tolist(),
            "values": [None if np.isnan(value) else float(value) for value in events.values],
        },
        "attributes": dict(person.attributes),
        "changes": {name: [list(one) for one in changes] for name, changes in person.changes.items()},
    }


def _person_in(content: dict[str, Any]) -> Person:
    events = content["events"]
    values = [np.nan if value is None else value for value in events["values"]]
    return Person(
        events=Events(
            events["item_ids"],
            events["types"],
            np.array(events["moments"], dtype=np.int64),
            np.array(values, dtype=np.float32),
        ),
        attributes=content["attributes"],
        changes={name: [Change(*one) for one in changes] for name, changes in content["changes"].items()},
    )
