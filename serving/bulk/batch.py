"""`tailorbird recommend`: lists for many people through the same pipeline object as the service."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from features.consent import OPT_IN
from features.errors import ConfigError, DataError
from features.moments import to_moment
from serving.answers import MAX_K
from serving.bulk.lists import COLUMNS, Group, ListMaker, items_now
from serving.bulk.people import Crowd, people_of_state, people_of_tables, wanted_users
from serving.bulk.processes import cores, in_order
from serving.bundle import open_bundle
from serving.settings import pseudonyms_in, read_serving
from serving.state import absolute_url, open_as_kept

GROUP_USERS = 100
"""People that a process works on at a time."""
ROW_GROUP = 20
"""Groups that make one row group of the file."""
MAX_PROCESSES = 256


def recommend_to_file(
    bundle: Path,
    output: Path,
    *,
    config: Path | None,
    state: str | None,
    users: Path | None,
    history: Path | None,
    at: str | None,
    k: int,
    where: str | None = None,
    processes: int | None = None,
    consent: Path | None = None,
) -> int:
    """Lists for the people of a config's tables or of the state; returns the number of rows written.

    `users` limits to its `user_id` column; `history` takes the place of the config's table of events; `at` is
    RFC 3339, or a sequence number where events have no time; `where` is a filter; `processes`, one for each core if
    None, change nothing but the time; `consent` is the file whose `serving.consent` says what the silence of the people
    of the state means. Raises ConfigError when neither or both sources are named, RequestError for a
    text that is no filter, DataError when there is nobody, and ProcessError when a process dies.
    """
    if (config is None) == (state is None):
        raise ConfigError("name where people and events come from: either --config or --state")
    if not 1 <= k <= MAX_K:
        raise ConfigError(f"k must be from 1 to {MAX_K}; got {k}", field="--k")
    if processes is not None and not 1 <= processes <= MAX_PROCESSES:
        raise ConfigError(f"must be from 1 to {MAX_PROCESSES}; got {processes}", field="--processes")
    if state is not None and history is not None:
        raise ConfigError("--history replaces the events of --config; it cannot go with --state")
    if config is not None and consent is not None:
        raise ConfigError("--consent is about the people of --state; those of --config have `dataset.consent`")
    opened = open_bundle(bundle.resolve())
    url = None if state is None else absolute_url(state)
    with closing(open_as_kept(url or "sqlite://:memory:")) as store:
        crowd = people_of_tables(config, history) if config is not None else people_of_state(store)
        maker = ListMaker(
            bundle=opened.path,
            manifest=opened.manifest,
            items=None if url is None else items_now(opened, url),
            state=url,
            moment=crowd.newest if at is None else _moment(at, timed=opened.schema.timed),
            k=k,
            where=where,
            consent=OPT_IN if consent is None else read_serving(consent).consent,
            pseudonyms=pseudonyms_in(consent),
        )
        return write_lists(maker, crowd, crowd.users() if users is None else wanted_users(users), output, processes)


def write_lists(maker: ListMaker, crowd: Crowd, users: Iterable[str], path: Path, processes: int | None = None) -> int:
    """Write user_id, item_id, rank (from 1) and score for every user, in their order; returns the number of rows.

    Memory is bounded by a few groups of users; the file is there whole or not at all. Raises DataError when there is
    nobody to recommend to, and what making lists raises.
    """
    total = len(users) if isinstance(users, Sequence) else None
    rest = iter(users)
    first = next(rest, None)
    if first is None:
        raise DataError("there is nobody to recommend to", hint="Check --users, or the table of events.")
    groups = _groups(chain([first], rest), crowd, maker.moment)
    count = 1 if total is not None and total <= GROUP_USERS else processes or cores()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with _progress(total) as shown:
            written = _write(in_order(maker.open, _counted(groups, shown), count), unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return written


def _write(batches: Iterator[pa.RecordBatch], path: Path) -> int:
    written = 0
    with closing(batches), pq.ParquetWriter(path, COLUMNS) as writer:  # type: ignore[type-var]
        while part := list(islice(batches, ROW_GROUP)):
            table = pa.Table.from_batches(part)
            writer.write_table(table)
            written += table.num_rows
    return written


def _groups(users: Iterator[str], crowd: Crowd, moment: int) -> Iterator[Group]:
    while group := tuple(islice(users, GROUP_USERS)):
        yield Group(group, None if crowd.people is None else crowd.people(group, moment))


def _progress(total: int | None) -> "tqdm[Any]":
    return tqdm(total=total, desc="recommending", unit="users", disable=None, leave=False)


def _counted(groups: Iterator[Group], shown: "tqdm[Any]") -> Iterator[Group]:
    """The groups, each counted once the next is asked for."""
    for group in groups:
        yield group
        shown.update(len(group.users))


def _moment(text: str, *, timed: bool) -> int:
    try:
        return to_moment(text) if timed else int(text)
    except ValueError:
        wanted = "an RFC 3339 time" if timed else "a sequence number, for events without a time"
        raise ConfigError(f"{text!r} is not {wanted}", field="--at") from None
