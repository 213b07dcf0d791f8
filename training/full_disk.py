"""A disk that became full, told in one sentence, whichever library met it.

PyTorch, FAISS and ONNX tell it as errors of their own, without the number of the system's error. When no room is left
as they fail, that is taken for the reason.
"""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import DataError, TailorbirdError

NO_ROOM = 64 * 1024
"""Bytes that are free on a disk on which nothing more can be written."""
FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def told_when_full(folder: Path) -> Iterator[None]:
    """Raises DataError in place of what failed for want of room in `folder`; anything else stays as it is."""
    try:
        yield
    except TailorbirdError:
        raise
    except Exception as error:
        if not (isinstance(error, OSError) and error.errno in FULL) and not _is_full(folder):
            raise
        raise DataError(
            f"the disk of {folder} is full ({type(error).__name__})",
            hint="Make room and call it again: it goes on after the last step that was finished.",
        ) from None


def _is_full(folder: Path) -> bool:
    there = next((one for one in (folder, *folder.resolve().parents) if one.exists()), None)
    return there is not None and shutil.disk_usage(there).free < NO_ROOM
