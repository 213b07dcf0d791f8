"""A folder of exported logs: partitions by kind and day, each file complete or absent, none twice.

Files are written beside their place under another name, the manifest then says that they belong here, and only then
they take their place: whoever is broken off finishes the next time what the manifest promised, and drops the rest.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import DataError

MANIFEST = "export.json"
_UNFINISHED = ".unfinished"


class ExportFolder:
    """The files of one store's logs."""

    def __init__(self, path: Path, store: str) -> None:
        """Open or make it for the store of an identity, and finish what was broken off.

        Raises DataError for a folder with the logs of another store, or with a damaged manifest.
        """
        self.path = path.resolve()
        self.path.mkdir(parents=True, exist_ok=True)
        self._manifest = self._read(store)
        self._finish()

    @property
    def events(self) -> int:
        """Up to which number the log of events is here."""
        return int(self._manifest["events"])

    @property
    def served(self) -> int:
        """Up to which number the log of what was served is here."""
        return int(self._manifest["served"])

    @property
    def files(self) -> dict[str, int]:
        """Rows by file, relative to the folder."""
        return dict(self._manifest["files"])

    def add(self, parts: dict[str, pa.Table], *, events: int, served: int) -> None:
        """Add files, and say up to which numbers the logs are here with them: all of it, or nothing."""
        for name, table in parts.items():
            waiting = self._waiting(name)
            waiting.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, waiting)
        files = {**self.files, **{name: table.num_rows for name, table in parts.items()}}
        self._manifest = {**self._manifest, "events": events, "served": served, "files": files}
        self.replace(MANIFEST, json.dumps(self._manifest, indent=1, sort_keys=True))
        self._finish()

    def replace(self, name: str, text: str) -> None:
        """Write a small file whole or not at all."""
        unfinished = self._waiting(name)
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(self.path / name)

    def _read(self, store: str) -> dict[str, Any]:
        path = self.path / MANIFEST
        if not path.exists():
            return {"store": store, "events": 0, "served": 0, "files": {}}
        try:
            manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            whose, _ = manifest["store"], (manifest["events"], manifest["served"], manifest["files"])
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{path} is no manifest of exported logs", hint="Export into a new folder.") from None
        if whose != store:
            raise DataError(f"{self.path} holds the logs of another store", hint="Export into a folder of its own.")
        return manifest

    def _finish(self) -> None:
        """Put promised files in their place, and drop what nobody promised."""
        for waiting in self.path.rglob(f".*{_UNFINISHED}"):
            place = waiting.with_name(waiting.name[1 : -len(_UNFINISHED)])
            if str(place.relative_to(self.path)) in self._manifest["files"] and not place.exists():
                waiting.replace(place)
            else:
                waiting.unlink()

    def _waiting(self, name: str) -> Path:
        place = self.path / name
        return place.with_name(f".{place.name}{_UNFINISHED}")
