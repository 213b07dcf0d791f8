"""What a bundle leaves behind: the collector is told to look away, and freed memory goes back to the system."""

import gc
import weakref
from ctypes import CDLL

from serving.bundle import Bundle


class Leaving:
    """Bundles that answer nobody any more, until the last request that took one has ended."""

    def __init__(self) -> None:
        self._bundles: list[weakref.ref[Bundle]] = []

    def add(self, bundle: Bundle) -> None:
        """Await the end of a bundle."""
        self._bundles.append(weakref.ref(bundle))

    def free(self) -> None:
        """Give memory back to the system once a former bundle is gone."""
        left = [one for one in self._bundles if one() is not None]
        if len(left) < len(self._bundles):
            self._bundles = left
            trim_memory()


def leave_alone() -> None:
    """Tell the collector to look no more at what is loaded; what was told so before costs nothing here.

    References still free it; only cycles would stay, and a bundle has none.
    """
    gc.collect()
    gc.freeze()


def trim_memory() -> None:
    """Give freed memory back to the system, where the C library can (glibc)."""
    trim = getattr(CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
