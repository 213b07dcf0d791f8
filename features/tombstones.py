"""Marks of erased people: a keyed hash of an outside id, and the moment of the erasure.

A mark names nobody. Whoever holds the key and an id can tell that this id was erased, and that what is dated at or
before the moment must not come back: the store refuses such events, and every training leaves out such rows.
"""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from features.arrays import BoolArray, IntArray
from features.errors import DataError
from features.events import AttributeTable, Changes, EventTable, Tables
from features.imported_consent import ImportedConsent
from features.pseudonyms import Pseudonyms

Marked: TypeAlias = Literal["user", "visitor", "event"]
MARK_DIGITS = 32
TOMBSTONES = "_erased.json"
"""The file that an erasure leaves beside exported logs, and that every reader of tables looks for there."""


def mark_of(key: str, kind: Marked, outside_id: str) -> str:
    """The mark of an id: hex digits of HMAC-SHA-256, cut to 128 bits."""
    return hmac.digest(key.encode(), f"{kind}:{outside_id}".encode(), "sha256").hex()[:MARK_DIGITS]


@dataclass(frozen=True)
class Tombstones:
    """Who was erased, and when."""

    key: str
    marks: Mapping[str, int]
    """Moment of the newest erasure by mark of a user or visitor."""
    pseudonyms: str | None = None
    """Fingerprint of the key of pseudonyms, when it is these and not the ids that were marked."""

    def of_user(self, user_id: str) -> int | None:
        """When a user was erased last; None for one who never was."""
        return self.marks.get(mark_of(self.key, "user", user_id))

    def of_rows(self, user_id: str) -> int | None:
        """The same for an id of a table, which may be a user's or a visitor's."""
        found = (self.marks.get(mark_of(self.key, kind, user_id)) for kind in ("user", "visitor"))
        return max((moment for moment in found if moment is not None), default=None)

    def write(self, path: Path) -> None:
        """Write the file whole or not at all; only its owner may read it, for the key is in it."""
        unfinished = path.with_name(f".{path.name}.unfinished")
        unfinished.touch(mode=0o600)
        content = {"key": self.key, "marks": dict(self.marks), "pseudonyms": self.pseudonyms}
        unfinished.write_text(json.dumps(content), encoding="utf-8")
        unfinished.replace(path)


def read_tombstones(path: Path) -> Tombstones:
    """Read what `write` wrote. Raises `DataError` for anything else: a training must not go on without it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        marks = {str(mark): int(at) for mark, at in content["marks"].items()}
        return Tombstones(str(content["key"]), marks, content.get("pseudonyms"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise DataError(
            f"{path} holds no tombstones; without them erased people would be trained on again",
            hint="`tailorbird privacy tombstones` writes the file anew.",
        ) from None


def check_pseudonyms(tombstones: Tombstones, pseudonyms: Pseudonyms | None, path: Path) -> None:
    """Raises `DataError` unless the marks of a file can be found under the ids that the tables were read with."""
    if tombstones.marks and tombstones.pseudonyms != (pseudonyms and pseudonyms.fingerprint):
        raise DataError(
            f"the marks in {path} are of {'pseudonyms' if tombstones.pseudonyms else 'plain ids'}, and the tables were "
            f"read with {'another key, or none' if tombstones.pseudonyms else 'pseudonyms'}: none of the erased would "
            "be found in them",
            field="dataset.pseudonyms",
            hint="Name the key of the store that wrote the marks, or nothing if it has none.",
        )


def without_erased(tables: Tables, tombstones: Tombstones) -> Tables:
    """The tables without what was known of erased people: rows dated at or before the erasure, and undated ones.

    The fingerprint stays that of what was read; `features.tables` takes it after this.
    """
    if not tombstones.marks:
        return tables
    events, users = _events(tables.events, tombstones), _users(tables.users, tombstones)
    return replace(tables, events=events, users=users, consent=_consent(tables.consent, events, users))


def _consent(consent: ImportedConsent | None, events: EventTable, users: AttributeTable) -> ImportedConsent | None:
    """The answers of those who are left; what somebody denied before they came back goes on to count."""
    if consent is None:
        return None
    left = {*events.users.tolist(), *users.ids.tolist()}
    return replace(consent, declared={user: said for user, said in consent.declared.items() if user in left})


def _limits(ids: "np.ndarray[tuple[int], np.dtype[np.object_]]", tombstones: Tombstones) -> IntArray:
    """int64 [U]: up to which moment nothing of each id may be kept; the smallest int64 for those never erased."""
    never = np.iinfo(np.int64).min
    found = (tombstones.of_rows(user_id) for user_id in ids.tolist())
    return np.array([never if moment is None else moment for moment in found], dtype=np.int64)


def _events(events: EventTable, tombstones: Tombstones) -> EventTable:
    limits = _limits(events.users, tombstones)
    kept = events.where(np.asarray(events.moments > limits[events.user_codes]))
    left = np.zeros(len(events.users), dtype=bool)
    left[kept.user_codes] = True
    stays = left | (limits == np.iinfo(np.int64).min)
    return replace(kept, users=events.users[stays], user_codes=_renumbered(stays)[kept.user_codes])


def _users(users: AttributeTable, tombstones: Tombstones) -> AttributeTable:
    limits = _limits(users.ids, tombstones)
    stays = np.asarray(limits == np.iinfo(np.int64).min)
    return replace(
        users,
        ids=users.ids[stays],
        columns={name: column[stays] for name, column in users.columns.items()},
        changes={name: _changes(one, stays) for name, one in users.changes.items()},
        titles=None if users.titles is None else users.titles[stays],
    )


def _changes(changes: Changes, stays: BoolArray) -> Changes:
    kept = changes.where(stays[changes.entity_codes])
    return replace(kept, entity_codes=_renumbered(stays)[kept.entity_codes])


def _renumbered(stays: BoolArray) -> IntArray:
    """int64: the new code of each old one, right for those that stay."""
    return np.cumsum(stays).astype(np.int64) - 1
