"""`tailorbird retrain`: one idempotent command that keeps the live bundle up to date, or says why not.

New files of the tables -> check -> train -> judge candidate and live bundle on the same newest slice, which neither was
fitted on -> gate -> bring the candidate up to the newest event -> promote, or refuse. Steps are recorded: a run that
was broken off, however, is gone on with by the next one. A lock keeps two runs apart.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from features.arrays import BoolArray
from features.errors import BundleError, TailorbirdError
from features.events import Tables
from features.people import People
from serving.access.administration import note
from serving.bundle import open_bundle
from serving.lifecycle.decisions import Decision, record
from serving.lifecycle.lock import only_one
from serving.lifecycle.registry import promote
from serving.manifest import verify_bundle
from serving.remote.place import Place, place_of
from training.config import TrainingConfig, read_training_config
from training.full_disk import told_when_full
from training.gate.gate import hold, newest_moments
from training.gate.page import read_gate, write_gate
from training.retrain.attempts import Attempt, Kind, attempts, tidy
from training.retrain.partitions import Found, find_partitions, frames_of, load_partitions, unchanged
from training.run import checked_tables, train_on
from training.slices import C, cut, cut_moment
from training.stage import part_of
from training.warm import can_go_on, warm_bundle


class Exit(IntEnum):
    """Exit codes of the command; 1 is an error, 2 a wrong call."""

    PROMOTED = 0
    REFUSED = 3
    NOTHING_NEW = 4
    BUSY = 5


class Outcome(NamedTuple):
    """How a run ended."""

    exit: Exit
    line: str
    """One line for people."""
    bundle: Path | None = None
    """The bundle that was promoted or refused."""
    page: Path | None = None
    """What the gate said, where it was asked."""


Tell = Callable[[str], None]


@dataclass(frozen=True)
class Retraining:
    """One call of the command."""

    config: TrainingConfig
    base: Path
    """Folder at which relative paths of the configuration start."""
    runs: Path
    registry: Place
    tell: Tell
    state: str | None = None
    """URL of the store in whose audit log decisions are noted too."""

    @property
    def settings(self) -> str:
        """SHA-256 of what decides about a bundle; how a service answers does not."""
        content = self.config.model_dump(mode="json", by_alias=True, exclude={"serving", "workers", "schedule"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @cached_property
    def live(self) -> Path | None:
        """The live bundle. Raises BundleError when the registry points to one that is not there."""
        pointer = self.registry.pointer()
        if pointer is None:
            return None
        live = pointer.live
        if not live.exists():
            raise BundleError(
                f"the registry {self.registry.name} points to {live}, which is not there",
                hint="Promote a bundle that is, or roll back, before anything is compared with it.",
            )
        verify_bundle(live)
        return live


def retrain(
    config: Path, runs: Path, registry: Path | str, tell: Tell = lambda _: None, state: str | None = None
) -> Outcome:
    """Bring the live bundle of a registry up to date; the registry may be a folder or an address.

    Decisions are noted in the audit log of a `state` too, before they hold. Raises ConfigError, DataError, BundleError,
    RegistryError and StateError; what was finished until then is not done again.
    """
    settings, base = read_training_config(config)
    runs.mkdir(parents=True, exist_ok=True)
    with told_when_full(runs), only_one(runs / "lock") as ours:
        if not ours:
            return Outcome(Exit.BUSY, f"another run holds {runs / 'lock'}; nothing was done")
        return _run(Retraining(settings, base, runs, place_of(registry), tell, state))


def _run(this: Retraining) -> Outcome:
    config = this.config
    found = find_partitions(config.dataset, this.base, config.retrain.marker, this.runs / "partitions.json")
    for path in found.left:
        this.tell(f"left for the next time, not whole yet: {path}")
    attempt = _begun(this, found)
    if isinstance(attempt, Outcome):
        return attempt
    try:
        outcome = _Steps(this, attempt).run()
    except TailorbirdError as error:
        attempt.fail(str(error))
        raise
    pointer = this.registry.pointer()
    tidy(this.runs, config.retrain.keep, pointer.bundles if pointer else [])
    return outcome


def _begun(this: Retraining, found: Found) -> Attempt | Outcome:
    """The attempt to go on with, a new one, or that nothing is new."""
    past = attempts(this.runs)
    newest = past[-1] if past else None
    live = None if this.live is None else str(this.live)
    if newest is not None and newest.settings == this.settings:
        same = set(newest.partitions) == set(found.whole)
        decided = newest.done("decide")
        if decided is not None and same:
            line = f"nothing new: the {len(found.whole)} files are those of run {newest.number}, {decided['decision']}"
            return Outcome(Exit.NOTHING_NEW, line)
        as_it_was = unchanged(newest.partitions, found) and newest.live == live
        if decided is None and as_it_was and (same or not newest.failed):
            this.tell(f"going on with run {newest.number}, which was broken off")
            return newest
    kind, why = _kind(this, newest)
    since = 0 if kind == "full" or newest is None else newest.since_full + 1
    return Attempt.begin(this.runs, partitions=found.whole, settings=this.settings, kind=kind, why=why, live=live,
                         since_full=since)  # fmt: skip


def _kind(this: Retraining, newest: Attempt | None) -> tuple[Kind, str]:
    """Whether to train in full, and why."""
    every = this.config.retrain.full_every
    if this.live is None:
        return "full", "there is no live bundle to go on from"
    if every == 1:
        return "full", "retrain.full_every is 1"
    if newest is None or newest.since_full + 1 >= every:
        return "full", f"one of {every} runs is"
    if (newest.done("decide") or {}).get("decision") == "refused":
        return "full", f"run {newest.number} was refused"
    if reason := can_go_on(this.config, open_bundle(this.live)):
        return "full", f"the live bundle cannot be gone on from: {reason}"
    return "warm", f"from {this.live}"


class _Steps:
    """The steps of one attempt, in order."""

    def __init__(self, this: Retraining, attempt: Attempt) -> None:
        self._this, self._attempt = this, attempt
        self._config = this.config
        self._live = None if attempt.live is None else Path(attempt.live)

    def run(self) -> Outcome:
        """Do what is not done yet."""
        self._step("check", self._check)
        if self._too_few:
            return self._wait()
        candidate = Path(self._step("train", self._train)["bundle"])
        judged = self._step("judge", lambda: self._judge(candidate))
        if not judged["passed"]:
            return self._decided(self._step("decide", lambda: self._refuse(candidate, judged["reasons"])))
        published = Path(self._step("publish", lambda: self._publish(candidate))["bundle"])
        return self._decided(self._step("decide", lambda: self._promote(published)))

    def _step(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if self._attempt.done(name) is None:
            self._this.tell(f"run {self._attempt.number}: {name}")
        return self._attempt.once(name, work)

    @cached_property
    def _tables(self) -> Tables:
        return load_partitions(self._config.dataset, self._this.base, self._attempt.partitions)

    @cached_property
    def _newest(self) -> BoolArray:
        return newest_slice(self._config, self._tables, self._live)

    @property
    def _too_few(self) -> bool:
        done = self._attempt.done("check") or {}
        return int(done["moments"]) < self._config.gate.least_moments

    def _check(self) -> dict[str, Any]:
        frames = frames_of(self._config.dataset, self._attempt.partitions)
        checked_tables(self._config, self._this.base, self._attempt.folder, frames)
        return {"moments": len(newest_moments(self._config, self._tables, self._newest))}

    def _wait(self) -> Outcome:
        found, least = (self._attempt.done("check") or {})["moments"], self._config.gate.least_moments
        self._attempt.finish("decide", {"decision": "too few events to judge", "bundle": None})
        line = f"nothing new enough: {found} moments that the live bundle does not know; to judge takes {least}"
        return Outcome(Exit.NOTHING_NEW, line)

    def _train(self) -> dict[str, Any]:
        """The candidate knows everything before the newest slice."""
        before = part_of(self._config.dataset, self._tables, ~self._newest, exposures=True)
        folder = self._attempt.folder / "training"
        if self._attempt.kind == "warm" and self._live is not None:
            epochs = self._config.retrain.warm_epochs
            return {"bundle": str(warm_bundle(self._config, before, self._live, folder, epochs))}
        return {"bundle": str(train_on(self._config, before, folder))}

    def _judge(self, candidate: Path) -> dict[str, Any]:
        moments = newest_moments(self._config, self._tables, self._newest)
        verdicts = hold(self._config, self._tables, self._newest, moments, candidate, self._live)
        told = {"candidate": str(candidate), "live": self._attempt.live,
                "training": f"{self._attempt.kind}: {self._attempt.why}"}  # fmt: skip
        write_gate(verdicts, told, self._attempt.folder)
        return {"passed": verdicts.passed, "reasons": list(verdicts.reasons)}

    def _publish(self, candidate: Path) -> dict[str, Any]:
        """The bundle that goes live knows the newest slice too: a few more epochs from the judged weights."""
        epochs = self._config.retrain.warm_epochs
        folder = self._attempt.folder / "publishing"
        return {"bundle": str(warm_bundle(self._config, self._tables, candidate, folder, epochs))}

    def _promote(self, bundle: Path) -> dict[str, Any]:
        pointer, registry = self._this.registry.pointer(), self._this.registry
        now, admitted = pointer and pointer.live, registry.admitted(bundle)
        if now not in (self._live, admitted.resolve()):
            raise BundleError(
                f"the live bundle changed to {now} while the candidate was held against {self._live}",
                hint="Call it again: the candidate is then held against the bundle that is live.",
            )
        why = f"passed the gate, {self._attempt.folder / 'gate.md'}"
        self._note("promote", bundle, why)
        with registry.changing() as folder:
            promote(admitted, folder, why=why)
        return {"decision": "promoted", "bundle": str(bundle)}

    def _refuse(self, candidate: Path, reasons: list[str]) -> dict[str, Any]:
        fingerprint = verify_bundle(candidate)["fingerprint"]
        self._note("refuse", candidate, "; ".join(reasons))
        with self._this.registry.changing() as folder:
            record(Decision("refused", str(candidate), fingerprint, tuple(reasons)), folder)
        return {"decision": "refused", "bundle": str(candidate)}

    def _note(self, action: str, bundle: Path, why: str) -> None:
        """In the audit log, where there is one, as `promote` of the command line is."""
        if self._this.state is not None:
            registry = self._this.registry.name
            note(self._this.state, action, bundle=str(bundle.resolve()), registry=registry, why=why, by="retrain")

    def _decided(self, result: dict[str, Any]) -> Outcome:
        bundle = Path(result["bundle"])
        if result["decision"] == "promoted":
            return Outcome(Exit.PROMOTED, f"promoted: {bundle}", bundle, self._attempt.folder / "gate.md")
        rulings = read_gate(self._attempt.folder)["rulings"]
        names = ", ".join(one["rule"] for one in rulings if one["passed"] is False)
        return Outcome(Exit.REFUSED, f"refused by {names}: {bundle}", bundle, self._attempt.folder / "gate.md")


def newest_slice(config: TrainingConfig, tables: Tables, live: Path | None) -> BoolArray:
    """bool [N]: the newest events, on which candidate and live bundle are judged.

    By time: at most `retrain.newest_share` of them, and none that the live bundle knows. Where only an order is known:
    each user's last turn, of which nobody can say whether the live bundle knows it.
    """
    events = tables.events
    if not config.dataset.timed:
        people = People(config.dataset, tables)
        last = people.events.event_ids[cut(config.dataset, people.events).codes == C]
        return np.isin(events.event_ids.astype(str), last.astype(str))
    start = cut_moment(events, 1 - config.retrain.newest_share)
    if live is not None:
        start = max(start, int(open_bundle(live).manifest["newest_event"]) + 1)
    return np.asarray(events.moments >= start)
