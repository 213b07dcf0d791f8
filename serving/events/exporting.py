"""`tailorbird export-log`: the three logs as partitioned Parquet that a training reads, each run adding what is new.

served: what was answered. events/shown: exposures, what people saw. events/acted: what they did. A file holds the
numbers that its name says; beside them lie `dataset.yaml`, the section that reads them all, and what the people said on
consent, as of now.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from features.consent import ConsentRules
from features.dataset import DatasetConfig
from features.errors import ConfigError
from features.moments import SECOND
from features.reading import find_files
from serving.events.export_folder import ExportFolder
from serving.events.exported_rows import TIME, EventColumns, served_table
from serving.state.event_log import EventLog, LoggedEvent
from serving.state.protocol import State
from serving.state.served_log import LogExport

AT_ONCE = 50_000
"""Rows that are read, and written as one group of files, at a time."""
EVENT_FILES = "events/*/*/*.parquet"
SERVED_FILES = "served/*/*.parquet"
CONSENT = "consent.parquet"
SECTION = "dataset.yaml"


class Exported(NamedTuple):
    """Rows that one export added."""

    served: int
    shown: int
    acted: int


def export_log(
    state: State,
    log: EventLog,
    folder: ExportFolder,
    dataset: DatasetConfig,
    rules: ConsentRules,
    *,
    home: Path,
    now: int,
    since: int | None = None,
) -> Exported:
    """Add to a folder what the logs have got since the last time; events dated before `since` are left out for good.

    The paths of `dataset` start at `home`; `rules` say what the silence of live people means. Then notes the export in
    the store, and tells the log of events how far it is in files. Raises StateError.
    """
    added = {"served": 0, "shown": 0, "acted": 0}
    for kind, table in [*_export_events(log, folder, dataset, since), *_export_served(state, folder, since)]:
        added[kind] += table
    _write_consent(state, folder, EventColumns(dataset))
    folder.replace(SECTION, _section(dataset, home, folder, rules))
    state.served_log.note_export(LogExport(str(folder.path), now, folder.events, folder.served))
    log.mark_exported(folder.events)
    return Exported(**added)


def _export_events(
    log: EventLog, folder: ExportFolder, dataset: DatasetConfig, since: int | None
) -> list[tuple[str, int]]:
    columns, added = EventColumns(dataset), []
    newest = log.newest()
    while folder.events < newest and (some := log.after(folder.events, AT_ONCE)):
        groups: defaultdict[tuple[str, str], list[LoggedEvent]] = defaultdict(list)
        for one in some:
            if since is None or one.event.moment >= since:
                kind = "shown" if one.event.type in dataset.exposures else "acted"
                groups[kind, _day(one.event.moment) if dataset.timed else "undated"].append(one)
        tables = {
            _name(f"events/{kind}", day, [one.number for one in each]): columns.table(each)
            for (kind, day), each in groups.items()
        }
        folder.add(tables, events=some[-1].number, served=folder.served)
        added += [(name.split("/")[1], table.num_rows) for name, table in tables.items()]
    return added


def _export_served(state: State, folder: ExportFolder, since: int | None) -> list[tuple[str, int]]:
    served, added = state.served_log, []
    newest = served.newest()
    while folder.served < newest and (some := served.after(folder.served, AT_ONCE)):
        groups = defaultdict(list)
        for one in some:
            if since is None or one.row.moment >= since:
                groups[_day(one.row.moment)].append(one)
        tables = {
            _name("served", day, [one.number for one in each]): served_table(each) for day, each in groups.items()
        }
        folder.add(tables, events=folder.events, served=some[-1].number)
        added += [("served", table.num_rows) for table in tables.values()]
    return added


def _name(kind: str, day: str, numbers: Sequence[int]) -> str:
    return f"{kind}/day={day}/{numbers[0]:012d}-{numbers[-1]:012d}.parquet"


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment / SECOND, UTC).date().isoformat()


def _write_consent(state: State, folder: ExportFolder, columns: EventColumns) -> None:
    """What everybody in the exported events says on consent by now, one row for each statement."""
    people: set[tuple[str, bool]] = set()
    ids = [columns.names["user_id"], columns.names["anonymous"]]
    for name in folder.files:
        if name.startswith("events/") and (folder.path / name).exists():
            table = pq.ParquetFile(folder.path / name).read(columns=ids)
            people |= set(zip(*(table[column].to_pylist() for column in ids), strict=True))
    rows = [
        {"user_id": outside_id, "time": one.moment, "source": one.source, one.key: one.value}
        for outside_id, anonymous in sorted(people)
        for one in (state.statements(None, outside_id) if anonymous else state.statements(outside_id))
        if one.kind == "consent"
    ]
    purposes = sorted({key for row in rows for key in row} - {"user_id", "time", "source"})
    text = dict.fromkeys(("user_id", "source", *purposes), pa.string())
    table = pa.Table.from_pylist(rows, schema=pa.schema({**text, "time": TIME}))
    unfinished = folder.path / f".{CONSENT}.unfinished"
    pq.write_table(table, unfinished)
    unfinished.replace(folder.path / CONSENT)


def _section(dataset: DatasetConfig, home: Path, folder: ExportFolder, rules: ConsentRules) -> str:
    """A configuration whose `dataset` section reads the exported events; users and items are read where they were."""
    content = dataset.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    read = EventColumns(dataset).section(EVENT_FILES)
    context = {"context": content["events"]["context"]} if dataset.events.context else {}
    content |= {"order": {**content["order"], **read["order"]}, "events": {**read["events"], **context}}
    content.pop("consent", None)
    content.pop("served", None)
    if any(name.startswith("served/") for name in folder.files):
        content["served"] = {"path": SERVED_FILES}
    for name in ("users", "items"):
        part = content.get(name, {})
        for table in (part, *part.get("columns", {}).values()):
            if "path" in table:
                table["path"] = _absolute(table["path"], home)
    if dataset.erased is not None:
        content["erased"] = _absolute(dataset.erased, home)
    if dataset.pseudonyms is not None:
        key_file = dataset.pseudonyms.key_file
        content["pseudonyms"] = {**content["pseudonyms"], **({"key_file": str(home / key_file)} if key_file else {})}
    content |= _consent_section(folder, rules)
    return yaml.safe_dump({"dataset": content}, sort_keys=False, allow_unicode=True, width=110)


def _absolute(path: str, home: Path) -> str:
    """A path of a configuration, as one that leads there from anywhere."""
    try:
        return str((home if find_files(path, home, "dataset")[0].is_relative_to(home) else Path.cwd()) / path)
    except ConfigError:
        return str(home / path)  # not there yet


def _consent_section(folder: ExportFolder, rules: ConsentRules) -> Mapping[str, Any]:
    schema = pq.read_schema(folder.path / CONSENT)
    purposes = [name for name in schema.names if name not in ("user_id", "time", "source")]
    table = {
        "path": CONSENT,
        "columns": {name: name for name in purposes},
        "time": "time",
        "source": "source",
    }
    assumed = [str(name) for name in rules.purposes if rules.silence(name).unknown == "granted"]
    further = sorted({*purposes, *assumed} - set(ConsentRules.model_fields))
    section = {
        **({"table": table} if purposes else {}),
        **({"assume": "granted", "basis": rules.silence(assumed[0]).basis, "purposes": assumed} if assumed else {}),
        **({"further": further} if further else {}),
    }
    return {"consent": section} if purposes or assumed else {}
