"""Files that are there whole or not at all, after a crash, a power failure, and on a disk that became full.

What says that something was done must be written so: half of it would be believed, or never be readable again.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a text in UTF-8, synced and renamed into place; its folder is made. Raises OSError."""
    with unfinished(path) as fresh:
        fresh.write_text(text, encoding="utf-8")


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Where to write what becomes `path` at the end, and is taken away when it cannot be finished.

    It lies in the same folder: a file that comes from another file system is copied into place, not renamed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield fresh
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
