"""A worker's side of a registry at an address: the process that follows it, and what that process says."""

import json
import logging
import signal
import subprocess
import sys
from pathlib import Path

from features.errors import BundleError, ConfigError, RegistryError, TailorbirdError
from serving.lifecycle.lock import only_one
from serving.lifecycle.registry import REGISTRY, read_pointer
from serving.metrics import REGISTRY_TROUBLE
from serving.remote.follower import FOLLOWING, trouble_of
from serving.remote.settings import CacheConfig

LOOK_SECONDS = 1.0
_LOG = logging.getLogger("bentoml.tailorbird")
_KINDS: dict[str, type[TailorbirdError]] = {one.code: one for one in (BundleError, ConfigError, RegistryError)}


def fetch_registry(url: str, folder: Path, config: CacheConfig) -> None:
    """Bring the folder up to date once, in a process of its own, before anything is served from it.

    When the address does not answer, or its live bundle cannot be had, what is in the folder is served and the reason
    logged. Raises BundleError, ConfigError or RegistryError when there is nothing in it.
    """
    command = _command(url, folder, config.keep, 0.0)
    done = subprocess.run(command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise RegistryError(f"the process that was to fetch the registry ended with exit status {done.returncode}")
    told = json.loads(done.stdout)
    if told is None:
        return
    error = _KINDS.get(told["code"], RegistryError)(told["message"], hint=told["hint"])
    if not (folder / REGISTRY).exists() or not read_pointer(folder).live.exists():
        raise error
    _LOG.error("what was fetched before is served: %s", error)


class Follower:
    """Sees to it that one process of this machine follows the address. Used from one thread."""

    def __init__(self, url: str, folder: Path, config: CacheConfig) -> None:
        self._command = _command(url, folder, config.keep, config.poll_seconds)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def trouble(self) -> str | None:
        """Why what is served is perhaps not what the address says."""
        return trouble_of(self._folder)

    def look(self) -> None:
        """Start the process when nobody's follows. Raises RegistryError with what it says is wrong."""
        if self._process is not None and (status := self._process.poll()) is not None:
            self._process.communicate()
            self._process = None
            if status not in (0, -signal.SIGTERM):
                raise RegistryError(f"the process that follows the registry ended with exit status {status}")
        if self._process is None and self._nobody_follows():
            self._process = subprocess.Popen(self._command, cwd=_ROOT, stdin=subprocess.PIPE)
        trouble = self.trouble
        REGISTRY_TROUBLE.set(trouble is not None)
        if trouble is not None:
            raise RegistryError(trouble)

    def stop(self) -> None:
        """End this worker's process, wherever it is: a bundle that is half here is fetched again."""
        if self._process is not None:
            self._process.terminate()
            self._process.communicate()

    def _nobody_follows(self) -> bool:
        with only_one(self._folder / FOLLOWING) as ours:
            return ours


_ROOT = Path(__file__).parents[2]


def _command(url: str, folder: Path, keep: int, seconds: float) -> list[str]:
    return [sys.executable, "-m", "serving.remote.follower", url, str(folder), str(keep), str(seconds)]
