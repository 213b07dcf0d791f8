"""A shadow is asked beside the request, compared, counted and reported; live answers never wait for it."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import prometheus_client
import pytest

from features.person import Person
from serving.api.requests import RecommendRequest
from serving.desk.beside import Beside
from serving.desk.desk import Desk
from serving.lifecycle.opening import open_snapshot
from serving.settings import ShadowConfig
from serving.shadow.answering import Opened
from serving.shadow.comparing import Difference, Listed, Question, difference
from serving.shadow.report import Window
from serving.shadow.shadow import Shadow
from serving.state import ItemLog, State, open_item_log
from tests.serving.shadow_stand_in import END, FAULT, PRIVATE, WRONG, Answers

QUESTION = Question(Person(), 1_780_000_000_000, 5, (), None)
ANSWER = Listed({"a": 1.0, "b": 0.5}, 2.0)
PATIENCE_SECONDS = 60


def until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def counted(outcome: str) -> float:
    return counted_of("shadow", outcome)


def counted_of(bundle: str, outcome: str = "compared") -> float:
    labels = {"bundle": bundle, "outcome": outcome}
    return prometheus_client.REGISTRY.get_sample_value("tailorbird_shadow_answers_total", labels) or 0.0


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Shadow]]:
    begun: list[Shadow] = []

    def start(work: Any, window: float = 60.0, clock: Callable[[], float] = time.time, **config: Any) -> Shadow:
        begun.append(Shadow(tmp_path / "bundle", work, ShadowConfig(**config), clock, window))
        return begun[-1]

    yield start
    for one in begun:
        one.stop()
        one.join()


def test_two_lists_are_compared_as_defined() -> None:
    found = difference(ANSWER, Listed({"b": 0.7, "c": 0.1}, 4.0))
    assert found.score_shift == pytest.approx(0.2)
    assert found._replace(score_shift=None) == Difference(0.5, None, 2.0, 4.0)
    assert difference(ANSWER, Listed({}, 4.0)) == Difference(0.0, None, 2.0, 4.0)
    assert difference(Listed({}, 1.0), Listed({}, 1.0)).overlap == 1.0
    assert difference(ANSWER, Listed({"a": 1.0}, 1.0)).overlap == 0.5


def test_a_window_tells_counts_and_quantiles_and_an_empty_one_nothing() -> None:
    window = Window("live", "shadow", 0.0)
    assert window.line(60.0) is None
    window.outcomes["dropped"] += 2
    assert window.line(60.0)["overlap"] is None  # type: ignore[index]
    for overlap in (0.0, 0.5, 1.0):
        window.add(Difference(overlap, None if overlap == 0 else -overlap, 1.0, 3.0))
    assert window.line(60.0) == {
        "from": "1970-01-01T00:00:00+00:00",
        "to": "1970-01-01T00:01:00+00:00",
        "live": "live",
        "shadow": "shadow",
        "compared": 3,
        "dropped": 2,
        "failed": 0,
        "overlap": {"mean": 0.5, "p10": 0.1, "p50": 0.5},
        "score_shift": {"mean": -0.75, "p10": -0.95, "p50": -0.75, "p90": -0.55},
        "live_ms": {"mean": 1.0, "p50": 1.0, "p99": 1.0},
        "shadow_ms": {"mean": 3.0, "p50": 3.0, "p99": 3.0},
    }


def test_answers_are_counted_and_reported_without_anything_of_a_person(
    begin: Callable[..., Shadow], tmp_path: Path
) -> None:
    report, before = tmp_path / "reports" / "shadow.jsonl", counted("compared")
    shadow = begin(Answers(), window=0.2, report=str(report))
    until(lambda: shadow.name)
    person = Person(attributes={"city": "Nowhere"})
    shadow.offer("live", QUESTION._replace(person=person), ANSWER)
    until(lambda: counted("compared") == before + 1)
    until(report.exists)
    (line,) = [json.loads(one) for one in report.read_text().splitlines()]
    assert (line["live"], line["shadow"], line["compared"]) == ("live", "shadow", 1)
    assert line["overlap"]["mean"] == 0.5
    assert line["shadow_ms"]["p50"] == 4.0
    assert "Nowhere" not in report.read_text()


def test_a_clock_that_is_set_back_ends_a_window_and_so_does_the_shadow(
    begin: Callable[..., Shadow], tmp_path: Path
) -> None:
    """Nothing that was compared goes unreported."""
    report, clock, before = tmp_path / "shadow.jsonl", [2e9], counted("compared")
    shadow = begin(Answers(), clock=lambda: clock[0], report=str(report))
    until(lambda: shadow.name)
    for asked, moment in ((1, 2e9), (2, 1e9), (3, 1e9)):
        shadow.offer("live", QUESTION, ANSWER)
        until(lambda: counted("compared") == before + asked)  # noqa: B023
        clock[0] = moment
    shadow.stop()
    shadow.join()
    lines = [json.loads(one) for one in report.read_text().splitlines()]
    assert [one["compared"] for one in lines] == [2, 1]
    assert [one["to"][:4] for one in lines] == ["2001", "2001"]


def test_what_comes_while_too_many_wait_is_dropped_and_counted_at_once(begin: Callable[..., Shadow]) -> None:
    shadow, before = begin(Answers(seconds=30.0), max_waiting=2), counted("dropped")
    shadow.offer("live", QUESTION, ANSWER)
    assert counted("dropped") == before, "a shadow that is being opened is asked nothing"
    until(lambda: shadow.name)
    start = time.perf_counter()
    for _ in range(50):
        shadow.offer("live", QUESTION, ANSWER)
    assert time.perf_counter() - start < 1.0
    assert counted("dropped") - before in (47, 48)
    shadow.stop()
    shadow.join()
    assert time.perf_counter() - start < 20.0, "it ends at once, whatever its process does"


def test_a_question_that_fails_is_counted_and_a_process_that_ends_is_told(
    begin: Callable[..., Shadow], caplog: pytest.LogCaptureFixture
) -> None:
    shadow, failed, right = begin(Answers()), counted("failed"), counted("compared")
    until(lambda: shadow.name)
    for k in (WRONG, WRONG, FAULT, 5):
        shadow.offer("live", QUESTION._replace(k=k), ANSWER)
    until(lambda: counted("compared") == right + 1)
    assert counted("failed") == failed + 3
    assert shadow.refusal is None
    shadow.offer("live", QUESTION._replace(k=END), ANSWER)
    until(lambda: shadow.refusal)
    assert "ended with exit status 3" in str(shadow.refusal)
    shadow.offer("live", QUESTION, ANSWER)
    assert caplog.text.count("could not answer") == 2, "a fault that comes again is told once"
    assert PRIVATE not in caplog.text


def test_a_report_that_cannot_be_written_stops_nothing(begin: Callable[..., Shadow], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    shadow, before = begin(Answers(), window=0.0, report=str(tmp_path / "file" / "r.jsonl")), counted("compared")
    until(lambda: shadow.name)
    for _ in range(3):
        shadow.offer("live", QUESTION, ANSWER)
    until(lambda: counted("compared") == before + 3)
    assert shadow.refusal is None


def test_what_is_no_bundle_is_refused(begin: Callable[..., Shadow], tmp_path: Path) -> None:
    shadow = begin(Opened(tmp_path, open_snapshot, "sqlite://:memory:", 500, "cpu"))
    until(lambda: shadow.refusal)
    assert "is no bundle" in str(shadow.refusal)
    assert shadow.name is None


def test_the_same_bundle_as_a_shadow_gives_the_same_lists(
    begin: Callable[..., Shadow], trained: Any, state: State, item_log: ItemLog, tmp_path: Path, agreed: Any
) -> None:
    """A real bundle in its process, with item changes that it takes from their log; the store stays as it was."""
    url, report = f"sqlite:///{tmp_path}/items.db", tmp_path / "shadow.jsonl"
    open_item_log(url).close()
    shadow = begin(Opened(trained.bundle, open_snapshot, url, 500, "cpu"), window=0.0, report=str(report))
    pipeline = open_snapshot(trained.bundle, item_log, 500).pipeline
    desk = Desk(pipeline, state, item_log, consent=agreed).beside_others(Beside(shadow=shadow))
    until(lambda: shadow.name)
    assert shadow.name == desk.bundle
    before = counted_of(desk.bundle)
    desk.recommend(RecommendRequest(user_id="ann", k=7), "r")
    desk.recommend(RecommendRequest(user_id="bob", k=7, explain=True), "r2")
    until(lambda: counted_of(desk.bundle) == before + 2)
    desk.recommend(RecommendRequest(user_id="bob", k=7), "r3")
    until(lambda: len(report.read_text().splitlines()) >= 2)
    for line in map(json.loads, report.read_text().splitlines()):
        assert line["overlap"]["mean"] == 1.0
        assert line["score_shift"]["mean"] == pytest.approx(0.0, abs=1e-6)
    assert list(state.user_ids()) == []
    assert "ann" not in report.read_text()
