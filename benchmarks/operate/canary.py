"""What a canary and a shadow cost one worker: its memory, its answers, and how soon it has and leaves them.

Live alone, with a canary and with a shadow take turns in one run, each asked by the same people at the same rate, so
that what else the machine does falls on all three. Who is answered by what is a test (tests/slow/test_live_service.py).
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import click
import numpy as np
import yaml

from benchmarks.operate.processes import family_mb
from benchmarks.operate.replicas import GRANTED, Replica, replica, two_bundles, until
from benchmarks.operate.results import About, Row, about_now, put
from benchmarks.serving.world import SIZES, world_of
from features.arrays import FloatArray
from serving.lifecycle.registry import end, promote_canary, promote_shadow, rollback

SHARE = 0.5
SETTINGS = ("live alone", "with a canary of half the people", "with a shadow")
PEOPLE, EVENTS_EACH = 200, 10
LEFT_SECONDS = 5.0
"""Within which a rollback holds: "within seconds"."""
SLOWER = 1.1
"""Of the median answer beside a shadow over the one of live alone: a shadow is off the request's path."""
WARM = 50


class Turn(NamedTuple):
    """One setting, once."""

    milliseconds: FloatArray
    """[N] of each answer."""
    memory_mb: float
    """Of all processes of the service."""
    begun_s: float
    """From the promotion until it answers beside live; 0 for live alone."""
    left_s: float
    """From the rollback until it is gone; 0 for live alone."""
    compared: float = 0.0
    """Lists that the shadow made too."""


@click.command()
@click.option("--size", default="27k", show_default=True, type=click.Choice(list(SIZES)), help="Of the catalogue.")
@click.option("--bundle", type=click.Path(path_type=Path), help="A bundle in place of the one of that size.")
@click.option("--turns", default=3, show_default=True, help="Of each setting.")
@click.option("--seconds", default=15.0, show_default=True, help="Of asking in each turn.")
@click.option("--rate", default=50.0, show_default=True, help="Requests a second, one after the other.")
@click.option("--note", default="", help="What the load of the machine does not say.")
def main(size: str, bundle: Path | None, turns: int, seconds: float, rate: float, note: str) -> None:
    """Measure one worker, and write three rows of results.json and the page."""
    about = about_now("benchmarks.operate.canary", note)
    name, source = (size, world_of(size).bundle) if bundle is None else (bundle.name, bundle)
    with TemporaryDirectory(prefix="tailorbird-canary-") as folder, service(Path(folder), source) as one:
        acquaint(one)
        registry, other = Path(folder) / "registry", Path(folder) / "second"
        found: dict[str, list[Turn]] = {setting: [] for setting in SETTINGS}
        for _ in range(turns):
            for setting in SETTINGS:
                found[setting].append(turn(one, setting, registry, other, round(seconds * rate), rate))
                click.echo(f"{setting}: {np.median(found[setting][-1].milliseconds):.2f} ms")
    for row in rows_of(name, found, about):
        put(row)
        click.echo(json.dumps(row.figures))


@contextmanager
def service(folder: Path, source: Path) -> Iterator[Replica]:
    """A service of one worker over two copies of a bundle, the first of which is live."""
    two_bundles(folder, source)
    serving = {"workers": 1, "deadline_ms": 10_000, "consent": {"personalize": GRANTED, "measure": GRANTED}}
    (folder / "serving.yaml").write_text(yaml.safe_dump({"serving": serving}))
    with replica(folder, f"sqlite:///{folder}/state.db", "one") as one:
        yield one


def acquaint(one: Replica) -> None:
    """Let the service know what people did."""
    items = [item["item_id"] for item in one.ask("/v1/recommend", k=500)["items"]]
    draw = np.random.default_rng(0)
    for person in range(PEOPLE):
        seen = draw.choice(items, EVENTS_EACH)
        ids = {"user_id": f"person-{person}", "type": "view"}
        events = [{"event_id": f"{person}/{number}", "item_id": str(item), **ids} for number, item in enumerate(seen)]
        one.ask("/v1/events", events=events)


def turn(one: Replica, setting: str, registry: Path, other: Path, requests: int, rate: float) -> Turn:
    """Bring the registry to a setting, ask, and bring it back."""
    begun_s = left_s = 0.0
    compared_before = _compared(one)
    if setting == SETTINGS[1]:
        begun_s = _seconds(lambda: promote_canary(other, registry, SHARE), lambda: _beside(one, "canary"))
    elif setting == SETTINGS[2]:
        begun_s = _seconds(lambda: promote_shadow(other, registry), lambda: _beside(one, "shadow"))
    asked(one, WARM, rate)
    milliseconds = asked(one, requests, rate)
    memory = family_mb(one.process.pid)
    if setting == SETTINGS[1]:
        left_s = _seconds(lambda: rollback(registry), lambda: not _beside(one, "canary"))
    elif setting == SETTINGS[2]:
        left_s = _seconds(lambda: end("shadow", registry), lambda: not _beside(one, "shadow"))
    return Turn(milliseconds, memory, begun_s, left_s, _compared(one) - compared_before)


def asked(one: Replica, requests: int, rate: float) -> FloatArray:
    """Milliseconds of each of so many lists, one asked for after the other, and never more than `rate` a second."""
    found = np.empty(requests, dtype=np.float32)
    for number in range(requests):
        begun = time.monotonic()
        one.ask("/v1/recommend", user_id=f"person-{number % PEOPLE}", k=20)
        found[number] = 1000 * (time.monotonic() - begun)
        time.sleep(max(0.0, begun + 1 / rate - time.monotonic()))
    return found


def rows_of(size: str, found: dict[str, list[Turn]], about: About) -> Iterator[Row]:
    """A row for each setting: figures of the turns together, and what was asked of them."""
    alone = figures_of(found[SETTINGS[0]])
    for setting, turns in found.items():
        figures = figures_of(turns)
        slower = float(figures["p50, ms"]) / float(alone["p50, ms"])
        wanted: tuple[str, bool | None] = ("", None)
        if setting != SETTINGS[0]:
            figures["p50 over live alone"] = round(slower, 2)
            wanted = (f"gone within {LEFT_SECONDS:g} s", float(figures["left within, worst, s"]) <= LEFT_SECONDS)
        if setting == SETTINGS[2]:
            wanted = (f"{wanted[0]}; p50 at most {SLOWER:g} of live's", bool(wanted[1]) and slower <= SLOWER)
        yield Row(
            study="canary", name=f"{size}, {setting}", figures=figures, target=wanted[0], met=wanted[1], about=about
        )


def figures_of(turns: list[Turn]) -> dict[str, Any]:
    """Medians over all answers, the largest memory, the slowest coming and going."""
    answers = np.concatenate([one.milliseconds for one in turns])
    figures: dict[str, Any] = {
        "requests": len(answers),
        "p50, ms": round(float(np.median(answers)), 2),
        "p99, ms": round(float(np.quantile(answers, 0.99)), 2),
        "memory of all processes, MB": round(max(one.memory_mb for one in turns)),
    }
    if any(one.begun_s for one in turns):
        figures["answers beside live after, worst, s"] = round(max(one.begun_s for one in turns), 2)
        figures["left within, worst, s"] = round(max(one.left_s for one in turns), 2)
    if compared := sum(one.compared for one in turns):
        figures["compared with the shadow's"] = f"{compared / (len(answers) + WARM * len(turns)):.0%}"
    return figures


def _compared(one: Replica) -> float:
    """Lists that were compared with a shadow's since the service began."""
    told = one.client.get("/metrics").text
    found = re.findall(r'^tailorbird_shadow_answers_total\{.*outcome="compared"\} (\S+)$', told, re.MULTILINE)
    return sum(map(float, found))


def _beside(one: Replica, place: str) -> bool:
    told = one.client.get("/readyz").json().get(place) or {}
    return bool(told.get("bundle"))


def _seconds(change: Callable[[], object], so: Callable[[], bool]) -> float:
    """From a change of the registry until the worker says that it holds."""
    begun = time.monotonic()
    change()
    until(so)
    return time.monotonic() - begun


if __name__ == "__main__":
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    main()
