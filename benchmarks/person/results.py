"""results.json, and RESULTS.md, which is made from the json files of this folder alone."""

import json
import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.accuracy.results import commit, hardware, write_atomically

NAMES = {
    "sqlite": "SQLite, a file",
    "redis_always": "Redis, `appendfsync always`",
    "redis_everysec": "Redis, `appendfsync everysec`",
}


def about_now(note: str, command: str | None = None) -> dict[str, Any]:
    """What must be known to judge a figure; `note` says what the load does not. The command is the one that runs."""
    return {
        "measured": f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        "commit": commit(),
        "hardware": hardware(),
        "load": [round(one, 2) for one in os.getloadavg()],
        "command": command or shlex.join(["python", "-m", "benchmarks.person", *sys.argv[1:]]),
        **({"note": note} if note else {}),
    }


def put(folder: Path, part: str, name: str, row: dict[str, Any], file: str = "results.json") -> None:
    """Write one row of a part down, and the page anew."""
    path = folder / file
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    content.setdefault(part, {})[name] = row
    write_atomically(path, json.dumps(content, indent=1) + "\n")
    write_page(folder)


def write_page(folder: Path) -> None:
    """Write RESULTS.md from what was measured."""
    content: dict[str, Any] = {}
    for path in sorted(folder.glob("*.json")):
        content |= json.loads(path.read_text(encoding="utf-8"))
    write_atomically(folder / "RESULTS.md", "\n".join(page(content)) + "\n")


def page(content: dict[str, Any]) -> Iterator[str]:
    """The lines of the page."""
    yield "# The person in charge, measured"
    yield ""
    yield "`make bench-person` and the commands at the end measure and write this page."
    stores, crashes, reasons = (content.get(one, {}) for one in ("stores", "crashes", "faithfulness"))
    if stores:
        yield from _stores(stores)
    if crashes:
        yield from _crashes(crashes)
    if reasons:
        yield from _faithfulness(reasons)
    interests, groups, hidden = (content.get(one, {}) for one in ("interests", "groups", "hidden"))
    if hidden:
        yield from _hidden(hidden)
    if interests:
        yield from _interests(interests)
    if groups:
        yield from _groups(groups)
    yield from _abouts(
        {
            **{f"stores, {name}": row for name, row in stores.items()},
            **{f"crashes, {name}": row for name, row in crashes.items()},
            **{f"reasons, {name}": row for name, row in reasons.items()},
            **{f"hidden categories, {name}": row for name, row in hidden.items()},
            **{f"interests, {name}": row for name, row in interests.items()},
            **{f"groups, {name}": row for name, row in groups.items()},
        }
    )


def _stores(rows: dict[str, Any]) -> Iterator[str]:
    yield from ("", "## Stores", "")
    yield "Events are stored one at a time, each acknowledged before its thread's next; reads are of random people."
    yield ""
    lanes = next(iter(rows.values()))["appended_per_s"]
    head = ["store", "people", "events", "bulk load, events/s", *(f"events/s, {one} at once" for one in lanes)]
    head += ["read p50 / p99, ms", "beside a writer p50 / p99, ms"]
    yield from _table(head, (_store_row(name, row) for name, row in rows.items()))


def _store_row(name: str, row: dict[str, Any]) -> list[str]:
    reads = [f"{row[one]['p50_ms']:.2f} / {row[one]['p99_ms']:.2f}" for one in ("read", "read_beside_writes")]
    loaded = f"{row['loaded_per_s']:,}" if "loaded_per_s" in row else "–"
    stored = [f"{one:,.0f}" for one in row["appended_per_s"].values()]
    return [NAMES.get(name, name), f"{row['users']:,}", f"{row['events']:,}", loaded, *stored, *reads]


def _crashes(rows: dict[str, Any]) -> Iterator[str]:
    yield from ("", "## kill -9 while events come in", "")
    yield "Batches of three events from four threads; after each kill the store is opened and looked through."
    yield ""
    head = ["what is killed", "kills", "acknowledged events", "lost", "twice", "torn batches"]
    columns = ("kills", "acknowledged", "lost", "twice", "torn")
    yield from _table(head, ([name, *(f"{row[one]:,}" for one in columns)] for name, row in rows.items()))


def _faithfulness(rows: dict[str, Any]) -> Iterator[str]:
    yield from ("", "## Reasons that are true", "")
    yield "One of the first ten items of each person, drawn: its place without the events that its reasons name, and"
    yield "without as many others of like age. `further`: the share that falls more without the first; a tie is none."
    yield ""
    columns = ("people", "cases", "no event named", "further", "low", "high", "ties", "events")
    falls = ("median fall", "median fall of others")
    head = [
        "world",
        "people",
        "items",
        "no event named",
        "further",
        "95 % from",
        "to",
        "ties",
        "deleted",
        *falls,
    ]
    yield from _table(head, ([name, *(f"{row[one]:g}" for one in (*columns, *falls))] for name, row in rows.items()))


def _hidden(rows: dict[str, Any]) -> Iterator[str]:
    yield from ("", "## Hidden categories", "")
    yield "Milliseconds of a list of 20 in one process, without HTTP: the first time, when no bitmap was kept, and"
    yield "again. The cache of bitmaps is bounded, and shared with filters; `found`: the share of bitmaps that it had."
    yield ""
    columns = ("first_ms", "again_ms", "again_p99_ms", "cache_mb", "kept", "found")
    head = ["items", "who", "first, p50", "again, p50", "again, p99", "cache, MB", "bitmaps", "found"]
    yield from _table(
        head,
        (
            [name, one["who"], *(f"{one[key]:,g}" for key in columns)]
            for name, row in rows.items()
            for one in row["rows"]
        ),
    )


def _interests(rows: dict[str, Any]) -> Iterator[str]:
    yield from ("", "## Interests alone, without a history", "")
    yield "Recall@20 of what people took in the second half of their past, when all that is known are two categories,"
    yield "those that they took most of in the first half; 95 % intervals over people. `popular`: the list of somebody"
    yield "who names nothing; `random`: items drawn evenly."
    yield ""
    columns = ("interests", "popular", "random", "interests minus popular")
    head = ["world", "people", "named", *columns]
    yield from _table(
        head,
        (
            [
                name,
                f"{row['people']:,}",
                f"2 of {row['values']} ({row['attribute']})",
                *(_bounded(row[one]) for one in columns),
            ]
            for name, row in rows.items()
        ),
    )


def _groups(rows: dict[str, Any]) -> Iterator[str]:
    yield from ("", "## Accuracy by group", "")
    yield "NDCG of the whole service on the newest slice of events, by protected attribute, from the training's report."
    yield ""
    yield from _table(
        ["world", "group", "people", "moments", "NDCG"],
        (
            [name, group, f"{one['users']:,}", f"{one['moments']:,}", f"@{row['groups']['k']}: {_bounded(one['ndcg'])}"]
            for name, row in rows.items()
            for group, one in row["groups"].items()
            if group != "k"
        ),
    )


def _bounded(values: list[float]) -> str:
    mean, low, high = values
    return f"{mean:.4f} ({low:.4f} to {high:.4f})"


def _abouts(rows: dict[str, Any]) -> Iterator[str]:
    yield from ("", "## How it was measured", "")
    for name, row in rows.items():
        about = row["about"]
        note = f" {about['note']}" if "note" in about else ""
        load = "/".join(str(one) for one in about["load"])
        yield (
            f"- {name}: `{about['command']}`, {about['measured']} UTC, commit {about['commit']}, "
            f"{about['hardware']}, load {load} before.{note}"
        )


def _table(head: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|---|" + "---:|" * (len(head) - 1)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
