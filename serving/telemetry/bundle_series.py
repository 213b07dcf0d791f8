"""The series that a bundle's name labels last as long as somebody may ask for them, so that swaps add none in the end.

What answers now keeps its series, and so do the `FORMER` bundles that answered last: Prometheus reads their last
counts, and a rollback goes on with them. Older ones are removed. To fold them into one common series would count them a
second time; a removed series just ends, and a counter that comes back begins at 0, as after a restart.

BentoML's workers keep values in files, and from these Prometheus's client removes nothing (its multiprocess mode). So
here each bundle has files of its own, which are emptied when it is gone and given to the next; the client has room for
that in the function that names a process.
"""

import os
import threading
import warnings
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import values
from prometheus_client.metrics import MetricWrapperBase

LABEL = "bundle"
FORMER = 3
"""Bundles that answer no more and keep their series."""
GONE = "former"
"""Stands for every bundle before those, where what it did long ago is counted only now."""
_HEADER = bytes(8)
"""Of a file of values that holds none."""


class BundleFiles:
    """Makes the values of all metrics, those of each bundle in files of its own; safe to call from several threads."""

    _multiprocess = True

    def __init__(self, folder: Path) -> None:
        """`folder` is that of the files of all workers."""
        self._folder = folder
        self._general: Any = values.ValueClass
        self._lock = threading.Lock()
        self._made: list[Any] = []
        self._places: dict[str, int] = {}
        """Of each bundle in `_made`."""
        self._free: list[int] = []

    def __call__(
        self, kind: str, metric: str, name: str, labels: Sequence[str], given: Sequence[str], *more: Any, **modes: Any
    ) -> Any:
        """A value, as `prometheus_client.values.ValueClass` makes one."""
        made = self._of(dict(zip(labels, given, strict=False))[LABEL]) if LABEL in labels else self._general
        return made(kind, metric, name, labels, given, *more, **modes)

    def remove(self, bundle: str) -> None:
        """Empty the files of a bundle, whose values must not be used any more."""
        with self._lock:
            place = self._places.pop(bundle, None)
            if place is None:
                return
            self._made[place].close_all_files()
            for path in self._folder.glob(f"*_{_process(place)}.db"):
                with path.open("r+b") as file:
                    file.write(_HEADER)
            self._free.append(place)

    def _of(self, bundle: str) -> Any:
        with self._lock:
            if bundle not in self._places:
                if not self._free:
                    self._free.append(len(self._made))
                    made = values.MultiProcessValue(partial(_process, len(self._made)))  # type: ignore[no-untyped-call]
                    self._made.append(made)
                self._places[bundle] = self._free.pop(0)
            return self._made[self._places[bundle]]


class BundleSeries:
    """The series of all bundles of one worker, in these metrics; safe to call from several threads."""

    def __init__(self, metrics: Sequence[MetricWrapperBase], files: BundleFiles | None) -> None:
        """`files` in multiprocess mode."""
        self._metrics = [one for one in metrics if LABEL in one._labelnames]
        self._files = files
        self._lock = threading.Lock()
        self._known: dict[str, None] = {}
        """Bundles by their last use, the newest last."""

    def in_use(self, bundles: Collection[str], left: Collection[str] = ()) -> None:
        """Say which bundles are of use from now on, and which were until now; removes what is too old."""
        with self._lock:
            for one in (*left, *bundles):
                self._known.pop(one, None)
                self._known[one] = None
            former = [one for one in self._known if one not in bundles]
            for one in former[: max(0, len(former) - FORMER)]:
                del self._known[one]
                self._remove(one)

    def label(self, bundle: str) -> str:
        """The name under which something of a bundle is counted, which may have answered long ago."""
        return bundle if bundle in self._known else GONE

    def _remove(self, bundle: str) -> None:
        for metric in self._metrics:
            metric.remove_by_labels({LABEL: bundle})
        if self._files:
            self._files.remove(bundle)


def bundle_files() -> BundleFiles | None:
    """From now on each bundle has files of its own, where values lie in files. Before the first value is made."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder is None:
        return None
    warnings.filterwarnings("ignore", "Removal of labels has not been implemented", UserWarning)  # it is, here
    files = BundleFiles(Path(folder))
    setattr(values, "ValueClass", files)  # noqa: B010  (to mypy it is a class for good)
    return files


def _process(place: int) -> str:
    """How files of this process are named, those of the bundle at a place."""
    return f"{os.getpid()}-{place}"
