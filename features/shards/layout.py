"""Where prepared events lie, and what is known of them: a folder of parts, and a list of the parts, written last.

A shard, or part, is one Parquet file with every event of a range of users: checked, in the order in which training
reads them (user, moment, ties), users and items as codes into the ids of the part. The parts stand in the order of
their users, so that part after part they are the table of events, whichever engine wrote them.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from features.dataset import DatasetConfig
from features.errors import DataError

LIST = "_prepared.json"
FORMAT = 1
_AGAIN = "Run `tailorbird prepare` again."


class Part(NamedTuple):
    """What one file holds."""

    file: str
    users: int
    events: int
    types: tuple[int, ...]
    """Events of each type, in the order of the config."""


class Prepared(NamedTuple):
    """The parts of a folder in the order of their users, and what they were made of."""

    parts: tuple[Part, ...]
    engine: str
    meaning: str
    """Hash of the configuration that decides what the events are."""
    sources: str
    """Hash of the names and sizes of the files that were read."""


def part_file(number: int) -> str:
    """The file name of a part; names sort as the parts do."""
    return f"part-{number:06d}.parquet"


def meaning_of(dataset: DatasetConfig) -> str:
    """Changes whenever the same files would be read as other events."""
    told = {"order": dataset.order, "events": dataset.events}
    content = {name: one.model_dump(mode="json", by_alias=True) for name, one in told.items()}
    content["types"] = {name: one.sign for name, one in dataset.types.items()}
    return _hash(json.dumps(content))


def sources_of(files: Iterable[Path]) -> str:
    """Changes whenever a file comes, goes, or grows."""
    return _hash(json.dumps(sorted((file.name, file.stat().st_size) for file in files)))


def write_list(prepared: Prepared, folder: Path) -> None:
    """Say that the parts are whole; without this file nobody reads them."""
    content = {**prepared._asdict(), "format": FORMAT, "parts": [part._asdict() for part in prepared.parts]}
    unfinished = folder / f".{LIST}.unfinished"
    unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(folder / LIST)


def read_list(folder: Path, dataset: DatasetConfig, files: Iterable[Path]) -> Prepared:
    """The parts of a folder. Raises DataError where they are not whole, or no longer those of config and files."""
    try:
        content = json.loads((folder / LIST).read_text(encoding="utf-8"))
        parts = tuple(Part(**{**one, "types": tuple(one["types"])}) for one in content["parts"])
        if content["format"] != FORMAT:
            raise ValueError
        prepared = Prepared(parts, content["engine"], content["meaning"], content["sources"])
    except (OSError, ValueError, KeyError, TypeError):
        raise _stale(folder, f"no readable {LIST}: nothing was prepared there, or not to the end") from None
    if prepared.meaning != meaning_of(dataset):
        raise _stale(folder, "events that were prepared with other settings under `dataset`")
    if prepared.sources != sources_of(files):
        raise _stale(folder, "events of other files than there are now")
    gone = [part.file for part in parts if not (folder / part.file).is_file()]
    if gone:
        raise _stale(folder, f"{len(parts) - len(gone)} of {len(parts)} parts; {gone[0]} is the first that is gone")
    return prepared


def _stale(folder: Path, what: str) -> DataError:
    return DataError(f"{folder} holds {what}", field="tables.prepared", hint=_AGAIN)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
