"""The `consent` section of a data set, from a table of any engine to statements.

A table holds a row per person, or several with times; what is assumed holds from the beginning, so that every answer
of a person's own comes after it.
"""

from collections.abc import Mapping
from pathlib import Path

import narwhals as nw
import numpy as np
import pyarrow as pa

from features.arrays import IntArray
from features.columns import as_moments, as_values, id_text, ids_as_codes
from features.consent import ConsentAnswer
from features.dataset import ConsentConfig, ConsentTable, DatasetConfig
from features.errors import ConfigError, DataError
from features.events import Strings
from features.frames import Engine, Frame, Frames, collect, require_columns
from features.imported_consent import ImportedConsent
from features.pseudonymising import pseudonymised
from features.pseudonyms import Pseudonyms, pseudonyms_of
from features.reading import open_table
from features.statements import BEGINNING, Statement

ANSWERS: Mapping[str, ConsentAnswer] = {
    **dict.fromkeys(("granted", "true", "yes", "1"), "granted"),
    **dict.fromkeys(("denied", "false", "no", "0"), "denied"),
}
"""What a column of answers may hold, in any case; nothing at all is silence."""
_FIELD = "dataset.consent.table"


def load_consent(
    dataset: DatasetConfig, folder: Path, frames: Frames | None = None, engine: Engine = "pandas"
) -> ImportedConsent | None:
    """What the `consent` section names, None without one; arguments and errors are those of `load_tables`."""
    config = dataset.consent
    if config is None:
        return None
    if config.table is None:
        return ImportedConsent(_assumed(config), {})
    given = {"consent.table": frames["consent"]} if frames and "consent" in frames else None
    table = open_table(config.table, "consent.table", folder, engine, given)
    if table is None:
        raise ConfigError("no table of consent is named", field=f"{_FIELD}.path", hint="Name a file or a glob.")
    return ImportedConsent(_assumed(config), _declared(config.table, table, pseudonyms_of(dataset.pseudonyms, folder)))


def _assumed(config: ConsentConfig) -> tuple[Statement, ...]:
    if config.assume is None:
        return ()
    source = f"assumed: {config.basis}"
    return tuple(Statement("consent", one, config.assume, BEGINNING, source) for one in config.purposes)


def _declared(config: ConsentTable, frame: Frame, pseudonyms: Pseudonyms | None) -> dict[str, tuple[Statement, ...]]:
    named = {"id": config.id, "time": config.time, "source": config.source, **config.columns}
    require_columns(frame, [(f"consent.table.{key}", column) for key, column in named.items()], "consent")
    chosen = [nw.col(column).alias(f"column.{key}") for key, column in named.items() if column is not None]
    identity = id_text(frame, config.id, f"{_FIELD}.id").alias("id")
    table = collect(frame.select(identity, *chosen[1:]), f"{_FIELD}.path")
    table = pseudonymised(table, "id", config.id, f"{_FIELD}.id", pseudonyms)
    ids, codes = ids_as_codes(table["id"], config.id, f"{_FIELD}.id")
    moments = _moments(config, table, ids, codes)
    sources = [None] * len(codes) if config.source is None else table["column.source"].to_pylist()
    file = f"table: {Path(config.path).name}" if config.path else "table"
    found: dict[str, list[Statement]] = {}
    for purpose, column in config.columns.items():
        for code, moment, source, answer in zip(
            codes.tolist(), moments.tolist(), sources, _answers(table, purpose, column), strict=True
        ):
            if answer is not None:
                one = Statement("consent", purpose, answer, moment, str(source or file))
                found.setdefault(ids[code], []).append(one)
    return {user: tuple(statements) for user, statements in found.items()}


def _moments(config: ConsentTable, table: pa.Table, ids: Strings, codes: IntArray) -> IntArray:
    """int64 [N]: from when each row holds."""
    if config.time is not None:
        return as_moments(table["column.time"], config.time, f"{_FIELD}.time")
    if len(codes) > len(ids):
        raise DataError(
            f"{int((np.bincount(codes) > 1).sum())} people have several rows, and no column says which is the newest",
            field=f"{_FIELD}.time",
            hint="Name the column with the time of each answer, or keep one row per person.",
        )
    return np.full(len(codes), BEGINNING, dtype=np.int64)


def _answers(table: pa.Table, purpose: str, column: str) -> list[ConsentAnswer | None]:
    """[N]: the answer of each row, None for silence."""
    field = f"{_FIELD}.columns.{purpose}"
    values = as_values(table[f"column.{purpose}"], "categorical", column, field)
    texts = [(one or "").strip().lower() for one in values]
    strange = [row for row, text in enumerate(texts, start=1) if text and text not in ANSWERS]
    if strange:
        raise DataError(
            f"{len(strange)} rows of column {column!r} are no answer, the first is row {strange[0]}",
            field=field,
            hint=f"An answer is one of {', '.join(ANSWERS)}; leave it empty where nobody was asked.",
        )
    return [ANSWERS[text] if text else None for text in texts]
