"""A machine that publishes bundles at an address, and one that serves what it finds there."""

from pathlib import Path

from serving.lifecycle.administration import make_live
from serving.lifecycle.registry import Pointer, read_pointer
from serving.manifest import verify_bundle
from serving.remote.address import Address
from serving.remote.cache import Cache
from serving.remote.place import AtAddress
from serving.remote.pulling import pull


class Machines:
    """One that publishes and one that serves, each with a folder of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        self.address = Address(url)
        self.publisher = AtAddress(self.address, folder / "publisher")
        self.cache = Cache(folder / "server")
        self.state = f"sqlite:///{folder}/state.db"

    def promote(self, bundle: Path) -> Pointer:
        return make_live(bundle, self.publisher, self.state, force=False, why="")

    def served(self, keep: int = 1) -> Pointer:
        """What the serving machine reads after a look that found nothing wrong."""
        assert pull(self.address, self.cache, keep) is None
        return read_pointer(self.cache.folder)


def fingerprint(bundle: Path) -> str:
    return str(verify_bundle(bundle)["fingerprint"])
