"""What was decided about bundles, and why: one line of JSON for each decision, appended beside the registry's pointer.

A line is written whole and synced before the pointer moves; a line that a crash tore is passed over.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from features.errors import BundleError

DECISIONS = "decisions.jsonl"
Action = Literal["promoted", "refused", "rolled_back", "canary", "shadow", "ended"]
JUDGED = ("promoted", "refused", "rolled_back")
"""What says whether a bundle may be live; a trial beside the live one does not."""


class Decision(NamedTuple):
    """One decision about one bundle."""

    action: Action
    bundle: str
    """Its path."""
    fingerprint: str
    why: tuple[str, ...] = ()
    """The rules that refused it, or the reason that somebody gave."""
    forced: bool = False
    """Whether it went live, or to a canary's share, although it had been refused."""
    moment: str = ""
    """RFC 3339, UTC; now, if not given."""


def record(decision: Decision, registry: Path) -> None:
    """Append a decision, durably."""
    registry.mkdir(parents=True, exist_ok=True)
    moment = decision.moment or datetime.now(UTC).isoformat(timespec="seconds")
    line = json.dumps(decision._replace(moment=moment)._asdict(), ensure_ascii=False)
    descriptor = os.open(registry / DECISIONS, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        # Begins with a line break too, so that a torn line before it spoils nothing but itself.
        rest = f"\n{line}\n".encode()
        while rest:  # a disk that is nearly full takes a part, and refuses the next
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def decisions(registry: Path) -> list[Decision]:
    """All decisions, oldest first; none where there is no such file."""
    path = registry / DECISIONS
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return [found for line in lines if (found := _read(line)) is not None]


def _read(line: str) -> Decision | None:
    try:
        content = json.loads(line)
        return Decision(**{**content, "why": tuple(content["why"])})
    except (json.JSONDecodeError, KeyError, TypeError):
        return None


def newest_about(fingerprint: str, registry: Path) -> Decision | None:
    """The newest decision on whether a bundle may be live, wherever it lies by now."""
    about = (one for one in reversed(decisions(registry)) if one.fingerprint == fingerprint)
    return next((one for one in about if one.action in JUDGED), None)


def require_not_refused(fingerprint: str, registry: Path) -> None:
    """Raises BundleError with the reasons when the gate refused a bundle and nobody overruled it since."""
    found = newest_about(fingerprint, registry)
    if found is not None and found.action == "refused":
        raise BundleError(
            f"the gate refused {found.bundle} on {found.moment}: {'; '.join(found.why)}",
            hint="Promote it all the same with --force --why 'REASON', which is recorded.",
        )
