"""Attributes that are posted, held against a table of the data set: its columns, and what each may hold.

A value that passes is kept as it came, and every encoder reads it as it reads the same value of a table.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

from features.columns import parse_time
from features.dataset import Role
from features.errors import RequestError

MAX_CHARACTERS = 20_000
"""Of a text; the models read far less of it."""
MAX_VALUES = 1_000
"""Of a column with several values."""
_FORMS: dict[Role, str] = {
    "categorical": "a text or a finite number",
    "multi_categorical": f"a list of at most {MAX_VALUES} texts or finite numbers, or a text",
    "numeric": "a finite number",
    "text": f"a text of at most {MAX_CHARACTERS} characters",
    "time": "a time as RFC 3339 text, such as 2026-05-01T18:30:00Z",
    "birth_date": "a date or time as RFC 3339 text, such as 1990-05-01",
}


def check_columns(attributes: Mapping[str, Any], roles: Mapping[str, Role], table: Literal["item", "user"]) -> None:
    """Raises RequestError at the first column that the table has not, or whose value is of another form."""
    for name, value in attributes.items():
        if name not in roles:
            none = f"{table.capitalize()}s have no attributes."
            hint = f"The columns are: {', '.join(roles)}." if roles else none
            raise RequestError(f"the {table} table has no such column", field=f"attributes.{name}", hint=hint)
        if value is not None and not _fits(roles[name], value):
            raise RequestError(f"must be {_FORMS[roles[name]]}, or null", field=f"attributes.{name}")


def _fits(role: Role, value: Any) -> bool:
    match role:
        case "categorical":
            return _is_scalar(value)
        case "multi_categorical":
            if isinstance(value, list):
                return len(value) <= MAX_VALUES and all(_is_scalar(part) for part in value)
            return _is_text(value)
        case "numeric":
            return _is_number(value)
        case "text":
            return _is_text(value)
        case "time" | "birth_date":
            return isinstance(value, str) and "-" in value[1:] and parse_time(value) is not None


def _is_scalar(value: Any) -> bool:
    return isinstance(value, bool) or _is_text(value) or _is_number(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_CHARACTERS


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
