"""Erasure and its proof: rows in one transaction, then what lies beside them, and a receipt that can be verified.

The rows are gone when `State.erase` returns. Files take longer, so they are done after the answer, by whichever
process looks first; until then the receipt says `pending`, and the store holds the ids that are yet to be looked for.
A receipt never says more than was done by then: its own bytes are pending until they are overwritten too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from features.errors import StateError
from features.tombstones import Tombstones
from serving.lifecycle.lock import only_one
from serving.person.reach import Reach
from serving.person.retraining import Retraining, words_of
from serving.person.traces import files_with, rows_with, take_out
from serving.state.erasures import Erasure, Scrubbed
from serving.state.protocol import State

SHOWN_FILES = 5
EXPORT_LOCK = ".lock"
"""Whoever writes a folder of exported logs holds the lock of this name in it."""
STORE = "the store's files"
OWN_BYTES = "until a moment ago the receipt itself held the ids; their bytes are overwritten now"
UNSEEN = "the files are the server's and cannot be searched from here; the receipt tells whether it wrote them anew"


@dataclass(frozen=True)
class Place:
    """What was done, or found, in one place."""

    place: str
    status: str
    """clean, rewritten, found, pending, not_reached or absent."""
    count: int | None = None
    note: str | None = None

    def plain(self) -> dict[str, Any]:
        """Without what has nothing to say."""
        return {name: value for name, value in vars(self).items() if value is not None}


def finish(state: State, erasure: Erasure, reach: Reach, moment: int) -> Mapping[str, Any]:
    """Do for an erasure what is left beyond its rows, and keep the report, which is returned.

    Doing it twice does no harm. Raises `StateError`, and `OSError` when a file cannot be read or written: then it is
    left to be done again. If it ends once the receipt holds no id, the report says what is pending.
    """
    ids = state.written([*erasure.user_ids, *erasure.anonymous_ids])
    tombstones = state.tombstones()
    if reach.tombstones is not None:
        tombstones.write(reach.tombstones)
    places = []
    for folder in _exports(state, reach):
        count = _taken_out(folder, ids, tombstones) if folder.is_dir() else None
        places.append(_absent(folder) if count is None else Place(str(folder), "rewritten", count))
    places += [_searched(folder, ids) for folder in reach.searched]
    places += _not_reached(reach)
    state.scrub(ids)
    state.finish(erasure.receipt_id, _report([Place(STORE, "pending", note=OWN_BYTES), *places], moment))
    scrubbed = state.scrub(ids)  # once more: until now the receipt itself held them
    report = _report([_bytes(state, ids, scrubbed), *places], moment)
    state.finish(erasure.receipt_id, report)
    return report


def _report(places: Sequence[Place], moment: int) -> Mapping[str, Any]:
    return {"finished": moment, "places": [place.plain() for place in places]}


class Verification(NamedTuple):
    """What a search for an erased person came to."""

    clean: bool
    """Whether nothing from before the last erasure was found anywhere."""
    places: Sequence[Place]
    erased: int | None
    """The moment of the last erasure; None when there was none."""


def verify(state: State, user_id: str | None, anonymous_id: str | None, reach: Reach | None) -> Verification:
    """Search everything again for an erased person; without a reach, the store's rows and marks alone."""
    receipts = state.receipts(user_id, anonymous_id)
    erased = max((one.moment for one in receipts), default=None)
    ids = state.written([one for one in (user_id, anonymous_id) if one is not None])
    held = state.export(user_id, anonymous_id)
    places = [_rows(held, erased)]
    if reach is not None:
        known_again = bool(held["user_ids"] or held["anonymous_ids"])
        places += [] if known_again else [_bytes(state, ids, Scrubbed("not_reached", UNSEEN))]
        places += [_exported(folder, ids, known_again) for folder in _exports(state, reach)]
        places += [_searched(folder, ids) for folder in reach.searched]
    pending = [Place(f"receipt {one.receipt_id}", "pending") for one in receipts if one.report is None]
    unclean = [place for place in (*pending, *places) if place.status in ("found", "pending")]
    return Verification(erased is not None and not unclean, [*pending, *places, *_not_reached(reach)], erased)


def _taken_out(folder: Path, ids: Sequence[str], tombstones: Tombstones) -> int:
    """Rows that went. Raises `StateError` while an export writes the folder, which may still hold rows of before."""
    with only_one(folder / EXPORT_LOCK) as ours:
        if not ours:
            raise StateError(f"an export writes {folder}", hint="It is tried again.")
        return take_out(folder, ids, tombstones)


def remains(retraining: Retraining | None, now: int) -> list[dict[str, str]]:
    """What an erasure leaves, why, and until when."""
    until = words_of(retraining, now)
    return [
        {
            "what": "weights of trained models",
            "why": "training averaged the person in with all others; nothing in them names or stands for one person",
            "until": until,
        },
        {
            "what": "counts by item: popularity, transitions",
            "why": "sums over everybody, in which nobody can be told apart",
            "until": until,
        },
        {
            "what": "marks: a keyed hash of each id, with the moment",
            "why": "without them a client's retry, an old table or a copy would bring the person back",
            "until": "the store is given up",
        },
        {
            "what": "entries of the audit log, under a key that is destroyed",
            "why": "that somebody asked must stay provable; about whom can no longer be told",
            "until": "the store is given up",
        },
    ]


def _rows(held: Mapping[str, Any], erased: int | None) -> Place:
    """Whether the store holds anything dated before the erasure."""
    dated = [*held["events"], *held["statements"], *held["taken"]]
    old = [one for one in dated if erased is None or one["moment"] <= erased]
    if old:
        return Place("the store's rows", "found", len(old))
    again = len(held["events"]) + len(held["statements"]) + len(held["attributes"]) + len(held["changes"])
    if again or held["user_ids"] or held["anonymous_ids"]:
        note = "known again: all of it came after the erasure, as of a new person"
        return Place("the store's rows", "found" if erased is None else "clean", again, note)
    return Place("the store's rows", "clean", 0)


def _bytes(state: State, ids: Sequence[str], unseen: Scrubbed) -> Place:
    """What a search of the store's files comes to; of files that cannot be searched from here, what is told."""
    found = state.remnants(ids)
    if found is None:
        return Place(STORE, unseen.status, note=unseen.note)
    left = sum(found.values())
    return Place(STORE, "found" if left else "clean", left)


def _exports(state: State, reach: Reach) -> Sequence[Path]:
    """Folders of exported logs: those that a configuration names, and those that `export-log` noted."""
    return list(dict.fromkeys([*reach.exports, *(Path(one.folder) for one in state.served_log.exports())]))


def _exported(folder: Path, ids: Sequence[str], known_again: bool) -> Place:
    if not folder.is_dir():
        return _absent(folder)
    count = rows_with(folder, ids)
    if count and known_again:
        return Place(str(folder), "clean", count, "rows of the new person; the erasure took out the earlier ones")
    return Place(str(folder), "found" if count else "clean", count)


def _searched(folder: Path, ids: Sequence[str]) -> Place:
    if not folder.exists():
        return _absent(folder)
    files = files_with(folder, ids)
    if not files:
        return Place(str(folder), "clean", 0)
    shown = ", ".join(str(path) for path in files[:SHOWN_FILES])
    return Place(str(folder), "found", len(files), f"nothing is changed here, remove it yourself: {shown}")


def _absent(folder: Path) -> Place:
    return Place(str(folder), "absent", note="not on this machine: whoever has it must apply the marks")


def _not_reached(reach: Reach | None) -> Iterator[Place]:
    yield Place(
        "copies elsewhere",
        "not_reached",
        note="backups of the store, copies of exported logs and of lists; trainings that read one apply the marks "
        "when `_erased.json` lies beside it",
    )
    if reach is None:
        yield Place(
            "exports and run folders", "not_reached", note="`tailorbird privacy verify` searches them on the machine"
        )
