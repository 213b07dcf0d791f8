"""Whom `tailorbird recommend` makes lists for, and where what is known of them is read."""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from features.config import read_config
from features.consent import ConsentRules, Purpose
from features.consenting import consenting
from features.dataset import DatasetConfig
from features.encoders import as_id
from features.errors import ConfigError
from features.moments import SECOND
from features.people import People
from features.person import Person
from features.pseudonyms import Pseudonyms
from features.tables import load_tables
from serving.desk.permission import permitted_past
from serving.state import State, open_state


class Crowd(NamedTuple):
    """People, wherever they are kept."""

    users: Callable[[], Iterable[str]]
    """Everybody, sorted by id."""
    people: Callable[[Sequence[str], int], tuple[Person, ...]] | None
    """Records as of a moment, read here; None: they lie in the state, where each process reads for itself."""
    newest: int
    """The moment of the requests, unless another is asked for."""


def people_of_tables(config: Path, history: Path | None) -> Crowd:
    """The people of a config's tables, which are read once; `history` takes the place of the table of events.

    The record of whoever does not allow personal lists is that of a stranger. Raises DataError when that is everybody.
    """
    file = read_config(config)
    dataset = file.dataset
    if history is not None:
        events = dataset.events.model_copy(update={"path": str(history.resolve())})
        dataset = dataset.model_copy(update={"events": events})
    tables = load_tables(dataset, file.folder)
    everybody = People(dataset, tables)
    people = People(dataset, consenting(dataset, tables, [Purpose.PERSONALIZE]))

    def records(users: Sequence[str], moment: int) -> tuple[Person, ...]:
        return tuple(people.person(user, moment) for user in users)

    return Crowd(lambda: everybody.user_ids, records, int(everybody.events.moments.max()))


def people_of_state(store: State) -> Crowd:
    """The people of the service's memory, now."""
    return Crowd(store.user_ids, None, round(time.time() * SECOND))


def reader_of_state(
    url: str, dataset: DatasetConfig, rules: ConsentRules, pseudonyms: Pseudonyms | None = None
) -> Callable[[str], Person]:
    """What reads from the state what each user allows, as the service does."""
    store = open_state(url, pseudonyms=pseudonyms)
    exposures = [name for name, kind in dataset.types.items() if kind.sign == "exposure"]
    demographics = dataset.users.demographics

    def read(user: str) -> Person:
        now = round(time.time() * SECOND)
        whole = partial(store.person, user, without=exposures)
        return permitted_past(store, user, None, rules, now, demographics, whole).person

    return read


def wanted_users(path: Path) -> list[str]:
    """The distinct values of a file's user_id column, in its order; no other column is read. Raises ConfigError."""
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
