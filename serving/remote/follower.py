"""A process that follows an address for all workers of a machine, beside them: reading, hashing and copying take from
no request, and no worker loads what speaks to the store.

    python -m serving.remote.follower ADDRESS FOLDER KEEP SECONDS

It ends when whoever started it does, and another worker's takes its turn. What is wrong stands in a file of the folder.
"""

import json
import os
import select
import sys
from datetime import UTC, datetime
from pathlib import Path

from features.errors import RegistryError, TailorbirdError
from serving.lifecycle.lock import only_one
from serving.remote.address import Address
from serving.remote.cache import Cache
from serving.remote.pulling import pull

NICE = 10
"""Mostly what nobody else wants of the processor, as a bundle's trial."""
FOLLOWING = ".following.lock"
TROUBLE = "trouble.json"


def look_once(url: str, folder: Path, keep: int, *, suspicious: bool) -> TailorbirdError | None:
    """Bring the folder up to date, note there what is wrong, and give what keeps the live bundle from being had."""
    failed: TailorbirdError | None = None
    try:
        cache = Cache(folder)
        trouble = pull(Address(url), cache, keep, suspicious=suspicious)
    except TailorbirdError as error:
        failed, trouble = error, str(error)
    except OSError as error:
        failed = RegistryError(f"{folder} cannot be written: {type(error).__name__} {error.strerror}")
        trouble = str(failed)
    _note(folder, trouble)
    return failed


def trouble_of(folder: Path) -> str | None:
    """Why the folder is not what the address says, and since when; None when it is."""
    try:
        content = json.loads((folder / TROUBLE).read_bytes())
        return f"since {content['since']}: {content['trouble']}"
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _note(folder: Path, trouble: str | None) -> None:
    path = folder / TROUBLE
    if trouble is None:
        path.unlink(missing_ok=True)
        return
    try:
        if json.loads(path.read_bytes())["trouble"] == trouble:
            return
    except (OSError, ValueError, KeyError, TypeError):
        pass  # there was none, or it is not readable
    since = datetime.now(UTC).isoformat(timespec="seconds")
    fresh = path.with_name(f".{TROUBLE}.{os.getpid()}")
    try:
        fresh.write_text(json.dumps({"since": since, "trouble": trouble}), encoding="utf-8")
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)  # a full disk is told by the bundle that does not come


def follow(url: str, folder: Path, keep: int, seconds: float) -> None:
    """Look again and again until standard input ends; at once when another process is at it."""
    with only_one(folder / FOLLOWING) as ours:
        while ours and not _ended(seconds):
            look_once(url, folder, keep, suspicious=False)


def _ended(seconds: float) -> bool:
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready)


def main(url: str, folder: str, keep: str, seconds: str) -> int:
    """Once, with the outcome told as JSON, when `seconds` are 0; else for as long as standard input is open."""
    if float(seconds) > 0:
        os.nice(NICE)
        follow(url, Path(folder), int(keep), float(seconds))
        return 0
    failed = look_once(url, Path(folder), int(keep), suspicious=True)
    told = None if failed is None else {"code": failed.code, "message": failed.message, "hint": failed.hint}
    sys.stdout.write(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
