"""A process as a container holds it: of a user who owns nothing but some folders, on a file system that is read-only.

Where tests run as root, a mount namespace and another user make it so. Elsewhere the user is an ordinary one already.
"""

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

NOBODY = 65534
INTERPRETER = Path(sys.base_prefix).resolve()
READ_ONLY = """
if [ -n "$1" ]; then
    mount --bind "$2" "$3"; mount -t tmpfs -o mode=755 tmpfs "$1"
    mkdir -p "$2"; mount --bind "$3" "$2"; mount -o remount,ro "$1"
fi
shift 3
while [ "$1" != -- ]; do mount --bind "$1" "$1"; shift; done; shift
mount -o remount,bind,ro / && exec "$@"
"""
"""A folder that is closed to others, or nothing; the interpreter's, which may lie in it; one to put that aside; folders
that stay writable; --; the command."""
DROPPED = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs", "--bounding-set=-all")


class Place(NamedTuple):
    """A folder that everybody may read, with another in it that belongs to the ordinary user."""

    folder: Path

    @property
    def home(self) -> Path:
        """Of the ordinary user."""
        return self.folder / "home"

    def own(self, name: str) -> Path:
        """A new folder that belongs to the ordinary user."""
        made = self.folder / name
        made.mkdir()
        if os.getuid() == 0:
            os.chown(made, NOBODY, NOBODY)
        return made

    def command(self, *command: str | Path, writable: tuple[Path, ...]) -> list[str]:
        """The command line that runs another as the ordinary user, who can write to these folders alone."""
        if os.getuid():
            return [str(one) for one in command]
        shut = ["sh", "-ec", READ_ONLY, "sh", _closed(INTERPRETER), INTERPRETER, self.folder / "aside", *writable, "--"]
        return [str(one) for one in ("unshare", "--mount", *shut, "setpriv", *DROPPED, *command)]

    def environment(self) -> dict[str, str]:
        """Ours, but for what leads Python, BentoML or a temporary file back to us."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BENTOML_HOME"))}
        return {**kept, "HOME": str(self.home), "TMPDIR": str(self.home), "BENTOML_HOME": str(self.home / "bentoml")}


def _closed(path: Path) -> Path | str:
    """The first folder on the way to a path into which others cannot go; nothing when there is none."""
    return next((one for one in reversed(path.parents) if not one.stat().st_mode & stat.S_IXOTH), "")


@contextmanager
def readable_place() -> Iterator[Place]:
    """A place outside of pytest's folders, which are its user's alone."""
    with tempfile.TemporaryDirectory(prefix="tailorbird-place-") as name:
        place = Place(Path(name))
        place.folder.chmod(0o755)
        (place.folder / "aside").mkdir()
        place.own("home")
        yield place
