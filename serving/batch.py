"""`tailorbird recommend`: lists for many people through the same pipeline object as the service."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from features.config import read_config
from features.dataset import DatasetConfig
from features.encoders import as_id
from features.errors import ConfigError, DataError
from features.moments import SECOND, to_moment
from features.people import People
from features.person import Person
from features.tables import load_tables
from serving.answers import MAX_K, Query
from serving.bundle import open_bundle
from serving.pipeline import Pipeline
from serving.state import open_state

COLUMNS = pa.schema([("user_id", pa.string()), ("item_id", pa.string()), ("rank", pa.int32()), ("score", pa.float64())])
ROW_GROUP_USERS = 2_000


def write_lists(
    pipeline: Pipeline, users: Sequence[str], person: Callable[[str], Person], moment: int, k: int, path: Path
) -> int:
    """Write user_id, item_id, rank (from 1) and score for every user; returns the number of rows.

    Memory is bounded by a group of users. Raises DataError when there is nobody to recommend to.
    """
    if not users:
        raise DataError("there is nobody to recommend to", hint="Check --users, or the table of events.")
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with pq.ParquetWriter(path, COLUMNS) as writer:
        shown = tqdm(users, desc="recommending", disable=None, leave=False)
        for group in _batched(shown, ROW_GROUP_USERS):
            rows = [row for user in group for row in _rows(pipeline, user, person(user), moment, k)]
            writer.write_table(pa.Table.from_pylist(rows, COLUMNS))
            written += len(rows)
    return written


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
) -> int:
    """Lists for the people of a config's tables or of the state; returns the number of rows written.

    `users` limits to its `user_id` column; `history` takes the place of the config's table of events; `at` is
    RFC 3339, or a sequence number where events have no time. Raises ConfigError when neither or both are named.
    """
    if (config is None) == (state is None):
        raise ConfigError("name where people and events come from: either --config or --state")
    if not 1 <= k <= MAX_K:
        raise ConfigError(f"k must be from 1 to {MAX_K}; got {k}", field="--k")
    if state is not None and history is not None:
        raise ConfigError("--history replaces the events of --config; it cannot go with --state")
    pipeline = Pipeline(open_bundle(bundle))
    crowd = _of_tables(config, history) if config is not None else _of_state(str(state), pipeline.bundle.schema.dataset)
    chosen = crowd.users() if users is None else _wanted(users)
    moment = crowd.newest if at is None else _moment(at, timed=pipeline.bundle.schema.timed)
    return write_lists(pipeline, chosen, lambda user: crowd.person(user, moment), moment, k, output)


class _Crowd(NamedTuple):
    """Whom to recommend to, wherever they are kept."""

    users: Callable[[], Sequence[str]]
    person: Callable[[str, int], Person]
    newest: int
    """The moment of the requests, unless another is asked for."""


def _of_tables(config: Path, history: Path | None) -> _Crowd:
    file = read_config(config)
    dataset = file.dataset
    if history is not None:
        events = dataset.events.model_copy(update={"path": str(history.resolve())})
        dataset = dataset.model_copy(update={"events": events})
    people = People(dataset, load_tables(dataset, file.folder))
    return _Crowd(lambda: people.user_ids, people.person, int(people.events.moments.max()))


def _of_state(url: str, dataset: DatasetConfig) -> _Crowd:
    store = open_state(url)
    exposures = [name for name, kind in dataset.types.items() if kind.sign == "exposure"]
    return _Crowd(
        lambda: list(store.user_ids()),
        lambda user, _: store.person(user, without=exposures),
        round(time.time() * SECOND),
    )


def _wanted(path: Path) -> list[str]:
    """The distinct values of a file's user_id column, in its order; no other column is read."""
    try:
        frame = (
            pd.read_parquet(path, columns=["user_id"])
            if path.suffix == ".parquet"
            else pd.read_csv(path, usecols=["user_id"], dtype=str)
        )
    except FileNotFoundError:
        raise ConfigError(f"no file {path}", field="--users") from None
    except (ValueError, KeyError):
        raise ConfigError(
            f"{path} has no column user_id", field="--users", hint="Give a CSV or Parquet file with that column."
        ) from None
    return [as_id(user) for user in dict.fromkeys(frame["user_id"].dropna())]


def _moment(text: str, *, timed: bool) -> int:
    try:
        return to_moment(text) if timed else int(text)
    except ValueError:
        wanted = "an RFC 3339 time" if timed else "a sequence number, for events without a time"
        raise ConfigError(f"{text!r} is not {wanted}", field="--at") from None


def _rows(pipeline: Pipeline, user: str, person: Person, moment: int, k: int) -> Iterator[dict[str, object]]:
    answer = pipeline.recommend(person, Query(k=k), moment)
    for rank, one in enumerate(answer.items, start=1):
        yield {"user_id": user, "item_id": one.item_id, "rank": rank, "score": one.score}


def _batched(users: Iterable[str], size: int) -> Iterator[tuple[str, ...]]:
    rest = iter(users)
    while group := tuple(islice(rest, size)):
        yield group
