"""A bundle tried out in a process of its own: hashed, opened, and asked its golden requests.

Hashing a gigabyte takes a core for a second, and a thread of low priority that holds the interpreter's lock makes those
of high priority wait for the processor with it. A process of low priority takes mostly what nobody else wants, and
a file on which native code breaks down ends that process and no service.
"""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, TypeAlias

from features.errors import BundleError, TailorbirdError
from serving.bundle import Bundle, open_bundle
from serving.golden import check_golden
from serving.pipeline import Pipeline
from serving.retrieval.device import Device

NICE = 10
"""A tenth of a core beside a thread that needs all of it: at 19 a machine that is never idle would take minutes."""
REMEMBERED = 8
"""Bundles that are known to be right, as long as none of their files changes."""
_Stamps: TypeAlias = frozenset[tuple[str, int, int, int, int]]


class Trial:
    """Tries bundles out, one after the other."""

    def __init__(self, device: Device = "cpu") -> None:
        """`device` as the service has it."""
        self._device = device
        self._passed: dict[Path, tuple[str, _Stamps]] = {}
        self._changing = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def __call__(self, path: Path) -> str:
        """The fingerprint of a bundle that is whole and answers right. Raises BundleError with what is wrong.

        One that passed before, and of which no file was written since, is not tried again: that is the way back.
        """
        stamps = _stamps(path)
        fingerprint, before = self._passed.get(path, ("", None))
        if stamps == before:
            return fingerprint
        fingerprint = self._tried(path)
        self._remember(path, fingerprint, stamps)
        return fingerprint

    def passed(self, bundle: Bundle) -> None:
        """Take note of a bundle that this process has verified itself."""
        self._remember(bundle.path, bundle.fingerprint, _stamps(bundle.path))

    def _remember(self, path: Path, fingerprint: str, stamps: "_Stamps") -> None:
        self._passed.pop(path, None)
        self._passed[path] = fingerprint, stamps
        while len(self._passed) > REMEMBERED:
            del self._passed[next(iter(self._passed))]

    def _tried(self, path: Path) -> str:
        with self._changing:
            if self._stopped:
                raise BundleError(f"{path} was not tried out, because the service ends")
            self._process = subprocess.Popen(
                [sys.executable, "-m", "serving.lifecycle.trial", str(path), self._device],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
            )
        said, _ = self._process.communicate()
        if self._process.returncode:
            raise BundleError(f"the process that tried out {path} ended with exit status {self._process.returncode}")
        told = json.loads(said)
        if "fingerprint" not in told:
            raise BundleError(**told)
        return str(told["fingerprint"])

    def stop(self) -> None:
        """Break off a trial, and begin no other."""
        with self._changing:
            self._stopped = True
            if self._process is not None:
                self._process.kill()


def _stamps(path: Path) -> _Stamps:
    """What of a folder's files changes when anything is written there; the system keeps the time of the last change."""
    files = ((one, one.stat()) for one in path.rglob("*") if one.is_file())
    return frozenset(
        (str(one), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns) for one, status in files
    )


def told_of(path: Path, device: Device) -> dict[str, Any]:
    """The bundle's fingerprint, or the message and hint of what is wrong with it."""
    try:
        bundle = open_bundle(path, device)
        check_golden(Pipeline(bundle))
    except TailorbirdError as error:
        return {"message": error.message, "hint": error.hint}
    except Exception as error:
        return {"message": f"it could not be opened: {type(error).__name__}"}
    return {"fingerprint": bundle.fingerprint}


if __name__ == "__main__":
    os.nice(NICE)
    sys.stdout.write(json.dumps(told_of(Path(sys.argv[1]), sys.argv[2])))  # type: ignore[arg-type]  # from `Trial`
