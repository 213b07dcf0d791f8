"""The run folders of `tailorbird retrain`: one numbered folder for each attempt, which knows the steps it finished.

A step's result is written, synced and renamed into place when the step is over: what has a result is never done again,
what has none is done anew. The numbers, not a clock, say which attempt is the newest.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from training.retrain.partitions import Partition
from training.whole_file import write_whole

Kind = Literal["full", "warm"]
ATTEMPT, FAILED = "attempt.json", "failed.json"


@dataclass(frozen=True)
class Attempt:
    """One attempt at a better bundle."""

    folder: Path
    partitions: tuple[Partition, ...]
    settings: str
    """SHA-256 of the configuration that it was begun with."""
    kind: Kind
    why: str
    """Why it is full, or what it goes on from."""
    live: str | None
    """The bundle that was live when it began."""
    since_full: int
    """Attempts since the newest full one."""

    @property
    def number(self) -> int:
        """From 1."""
        return int(self.folder.name)

    def done(self, step: str) -> dict[str, Any] | None:
        """The result of a finished step."""
        path = self.folder / "done" / f"{step}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def once(self, step: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result of a step, which is done only if it was not finished before."""
        if (found := self.done(step)) is not None:
            return found
        result = work()
        self.finish(step, result)
        return result

    def finish(self, step: str, result: dict[str, Any]) -> None:
        """Record that a step is over."""
        write_json(self.folder / "done" / f"{step}.json", result)

    @property
    def failed(self) -> bool:
        """Whether its newest try ended with an error."""
        return (self.folder / FAILED).exists()

    def fail(self, message: str) -> None:
        """Record an error; the next run tries again, or begins anew when there is something new."""
        write_json(self.folder / FAILED, {"message": message})

    @classmethod
    def begin(cls, runs: Path, **content: Any) -> Self:
        """A new folder behind the newest one."""
        number = max((one.number for one in attempts(runs)), default=0) + 1
        attempt = cls(folder=runs / f"{number:04d}", **content)
        write_json(
            attempt.folder / ATTEMPT,
            {**{name: getattr(attempt, name) for name in content if name != "partitions"},
             "partitions": [one._asdict() for one in attempt.partitions]},
        )  # fmt: skip
        return attempt


def attempts(runs: Path) -> list[Attempt]:
    """All attempts that are there, oldest first."""
    folders = sorted(one.parent for one in runs.glob(f"[0-9]*/{ATTEMPT}"))
    return [_read(one) for one in sorted(folders, key=lambda folder: int(folder.name))]


def _read(folder: Path) -> Attempt:
    content = json.loads((folder / ATTEMPT).read_text(encoding="utf-8"))
    partitions = tuple(Partition(**one) for one in content.pop("partitions"))
    return Attempt(folder=folder, partitions=partitions, **content)


def write_json(path: Path, content: Any) -> None:
    """Write a file that is there whole or not at all, also after a power failure."""
    write_whole(path, json.dumps(content, indent=1))


def tidy(runs: Path, keep: int, needed: list[Path]) -> list[int]:
    """Delete all but the newest `keep` attempts and those in which a needed path lies; their numbers.

    What a finished attempt needed only to be resumed, its stages and checkpoints, goes too.
    """
    found = attempts(runs)
    for one in found:
        if one.done("decide") is not None:
            for name in ("training/stages", "training/checkpoints", "publishing/checkpoints"):
                shutil.rmtree(one.folder / name, ignore_errors=True)
    kept = {one.number for one in found[-keep:]}
    gone = [one for one in found if one.number not in kept and not any(_within(path, one.folder) for path in needed)]
    for one in gone:
        shutil.rmtree(one.folder)
    return [one.number for one in gone]


def _within(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
