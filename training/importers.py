"""Public data sets as Parquet tables, with a config that trains on them. The data is no part of the project.

MovieLens 1M comes in two forms: the official one, where `ratings.dat` has seconds, and a copy with the mere
order of each user's ratings.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import yaml

from features.dataset import FormatConfig
from features.errors import DataError
from features.reading import read_delimited

DEFAULT_FOLDER = Path("var/movielens-1m")
_RATINGS = FormatConfig(separator="::", columns=("user_id", "item_id", "rating", "timestamp"))
_USERS = FormatConfig(separator="::", columns=("user_id", "gender", "age", "occupation", "zip"))
_MOVIES = FormatConfig(separator="::", encoding="latin-1", columns=("item_id", "title", "genres"))


def import_movielens(source: Path, folder: Path = DEFAULT_FOLDER) -> Path:
    """Write events, users and items of MovieLens 1M as Parquet into `folder`; returns the config's path.

    A copy's `train.parquet` goes before its `ratings.parquet`, which holds the holdout too. Raises
    `DataError` when a file is absent or is no MovieLens file.
    """
    events, order = _ratings(source)
    tables = {"events": events, "users": _read(source, "users.dat", _USERS), "items": _movies(source)}
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        pyarrow.parquet.write_table(table, folder / f"{name}.parquet")
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(_config(order), sort_keys=False), encoding="utf-8")
    return config


def _ratings(source: Path) -> tuple[pa.Table, dict[str, str]]:
    """The ratings, and the `order` section that fits them."""
    if (source / "ratings.dat").is_file():
        table = _integers(_read(source, "ratings.dat", _RATINGS), ("user_id", "item_id", "rating", "timestamp"))
        return table.append_column("position", _positions(table)), {
            "time": "timestamp",
            "sequence": "position",
        }
    for name in ("train.parquet", "ratings.parquet"):
        if (source / name).is_file():
            columns = ["user_id", "item_id", "rating", "position"]
            return pyarrow.parquet.read_table(source / name, columns=columns), {"sequence": "position"}
    raise DataError(
        f"{source} holds neither ratings.dat nor train.parquet nor ratings.parquet",
        hint="Give the folder that the archive ml-1m.zip unpacks to.",
    )


def _positions(table: pa.Table) -> pa.Array:
    """int64 [N]: the place of each rating among its user's, by time and, within a second, as in the file."""
    users = table["user_id"].to_numpy()
    order = np.lexsort((np.arange(len(users)), table["timestamp"].to_numpy(), users))
    starts = np.searchsorted(users[order], users[order])
    positions = np.empty(len(users), dtype=np.int64)
    positions[order] = np.arange(len(users)) - starts
    return pa.array(positions)


def _movies(source: Path) -> pa.Table:
    """Movies with their genres as lists."""
    table = _read(source, "movies.dat", _MOVIES)
    genres = [text.split("|") if text else [] for text in table["genres"].to_pylist()]
    return table.set_column(2, "genres", pa.array(genres, pa.list_(pa.string())))


def _read(source: Path, name: str, form: FormatConfig) -> pa.Table:
    path = source / name
    if not path.is_file():
        raise DataError(f"there is no {path}", hint="Give the folder that the archive ml-1m.zip unpacks to.")
    try:
        return read_delimited(path, form)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise _not_movielens(path, error) from None


def _integers(table: pa.Table, columns: tuple[str, ...]) -> pa.Table:
    try:
        return table.cast(pa.schema([(name, pa.int64()) for name in columns]))
    except pa.ArrowInvalid as error:
        raise _not_movielens(Path("ratings.dat"), error) from None


def _not_movielens(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is no file of MovieLens 1M: {error}", hint="Its fields stand between two colons, `::`.")


def _config(order: dict[str, str]) -> dict[str, Any]:
    """The config of the imported tables; its paths start at its own folder."""
    static = {"static": True}
    return {
        "dataset": {
            "consent": {"assume": "granted", "basis": "published for research, with ids that name nobody"},
            "order": order,
            "events": {"path": "events.parquet", "value": "rating"},
            "types": {"rating": {"weight": 1, "sign": "positive", "repeat": "never"}},
            "users": {
                "path": "users.parquet",
                "columns": {
                    "gender": {"role": "categorical", **static, "protected": True},
                    "age": {"role": "categorical", **static, "protected": True},
                    "occupation": {"role": "categorical", **static},
                },
            },
            "items": {
                "path": "items.parquet",
                "title": "title",
                "columns": {
                    "title": {"role": "text", **static},
                    "genres": {"role": "multi_categorical", **static},
                },
            },
        }
    }
