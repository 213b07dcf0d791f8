"""What an operator does on the command line with one person, at once and whole; the audit log notes each deed."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from features.errors import ConfigError
from features.moments import to_text
from serving.access.administration import by_command
from serving.desk.desk import wall_clock
from serving.person.archive import archive_of
from serving.person.erasing import Verification, finish, remains, verify
from serving.person.housekeeping import check_retention, expire
from serving.person.reach import NOWHERE, Reach, reach_of
from serving.settings import ServingConfig
from serving.state import open_as_kept, open_state
from serving.state.protocol import State

SERVED = (Path("runs"), Path("registry"))
"""Folders that are searched where they are there."""


def erase_person(url: str, user_id: str | None, anonymous_id: str | None, reach: Reach) -> dict[str, Any]:
    """Erase a person and finish it; the receipt as plain data. Raises ConfigError, StateError, OSError."""
    with _about_somebody(url, user_id, anonymous_id, "privacy_erase", reach) as state:
        erasure = state.erase(user_id, anonymous_id, moment=wall_clock())
        report = finish(state, erasure, reach, wall_clock())
    return {
        "receipt_id": erasure.receipt_id,
        "erased": to_text(erasure.moment),
        "removed": dict(erasure.removed),
        "places": report["places"],
        "remains": remains(reach.retraining, erasure.moment),
    }


def verify_person(url: str, user_id: str | None, anonymous_id: str | None, reach: Reach) -> Verification:
    """Search everything for an erased person. Raises ConfigError for nobody, StateError and OSError."""
    with _about_somebody(url, user_id, anonymous_id, "privacy_verify", reach) as state:
        return verify(state, user_id, anonymous_id, reach)


def export_person(url: str, user_id: str | None, anonymous_id: str | None, output: Path) -> None:
    """Write the archive of a person; only its owner may read it. Raises ConfigError for nobody, StateError."""
    with _about_somebody(url, user_id, anonymous_id, "privacy_export") as state:
        content = archive_of(state, user_id, anonymous_id, wall_clock())
    output.parent.mkdir(parents=True, exist_ok=True)
    output.touch(mode=0o600)
    output.write_bytes(content)


def write_tombstones(url: str, output: Path) -> int:
    """Write the marks of all who were erased for trainings to read; how many. Raises StateError."""
    with closing(open_as_kept(url)) as state:
        tombstones = state.tombstones()
    output.parent.mkdir(parents=True, exist_ok=True)
    tombstones.write(output)
    return len(tombstones.marks)


def expire_state(url: str, config: Path) -> dict[str, int]:
    """Remove what a config's retention no longer allows; rows by what they are. Raises ConfigError and StateError."""
    from features.config import read_config

    file = read_config(config)
    serving = ServingConfig.parse(file.content.get("serving") or {}, "serving")
    check_retention(serving.retention, file.dataset.types, timed=file.dataset.timed)
    with closing(open_as_kept(url)) as state:
        return expire(state, serving.retention, serving.consent, wall_clock())


def lines_of(found: Verification) -> Iterator[str]:
    """What a verification came to, for a person to read."""
    for place in found.places:
        count = "" if place.count is None else f" ({place.count})"
        yield f"{place.status + count:<16} {place.place}" + (f": {place.note}" if place.note else "")
    if found.erased is None:
        yield "no erasure of this person is known here"
    else:
        yield f"{'clean' if found.clean else 'not clean'}: erased at {to_text(found.erased)}"


def reach_here(config: Path | None, search: tuple[Path, ...]) -> Reach:
    """The reach of a command: what its config names, the usual folders, and those that it is given."""
    return reach_of(config, (*SERVED, *search))


@contextmanager
def _about_somebody(
    url: str, user_id: str | None, anonymous_id: str | None, action: str, reach: Reach = NOWHERE
) -> Iterator[State]:
    """The store for one deed about one person, which the audit log gets in any case."""
    if user_id is None and anonymous_id is None:
        raise ConfigError("nobody is named", field="USER", hint="Give a user id, or --visitor with an anonymous id.")
    with closing(open_state(url, pseudonyms=reach.pseudonyms)) as state:
        deed = by_command(action)
        deed.people = [(user_id, anonymous_id)]
        yield state.audited(deed)
        state.audit_log.note(deed)
