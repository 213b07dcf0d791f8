"""Items that are posted, held against the item table of the bundle's data set: its columns, and what each may hold.

A value that passes is kept as it came, and every encoder reads it as it reads the same value of a table.
"""

import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from features.columns import parse_time
from features.dataset import DatasetConfig, Role
from features.errors import RequestError, TailorbirdError
from serving.api.problems import of_validation
from serving.api.replies import ItemChangeReply
from serving.items.requests import PostedItem
from serving.state.item_log import ItemEdit

_FORMS: dict[Role, str] = {
    "categorical": "a text or a finite number",
    "multi_categorical": "a list of texts or finite numbers, or a text",
    "numeric": "a finite number",
    "text": "a text",
    "time": "a time as RFC 3339 text, such as 2026-05-01T18:30:00Z",
    "birth_date": "a date or time as RFC 3339 text, such as 1990-05-01",
}


class ItemIntake:
    """Checks items for one data set."""

    def __init__(self, dataset: DatasetConfig) -> None:
        self._roles = item_roles(dataset)

    def posted(self, content: Any) -> ItemEdit | ItemChangeReply:
        """An edit that can be stored, or why it cannot."""
        try:
            record = PostedItem.model_validate(content)
            if record.attributes is not None:
                self._check(record.attributes)
            return ItemEdit(record.item_id, record.attributes)
        except ValidationError as error:
            problem: TailorbirdError = of_validation(error, PostedItem)
        except RequestError as error:
            problem = error
        item_id = content.get("item_id") if isinstance(content, dict) else None
        return ItemChangeReply(
            item_id=item_id if isinstance(item_id, str) else None,
            status="rejected",
            field=problem.field,
            message=f"{problem.message}. {problem.hint}" if problem.hint else problem.message,
        )

    def _check(self, attributes: Mapping[str, Any]) -> None:
        """Raises RequestError at the first column that the item table has not, or whose value is of another form."""
        for name, value in attributes.items():
            if name not in self._roles:
                columns = f"The columns are: {', '.join(self._roles)}." if self._roles else "Items have no attributes."
                raise RequestError("the item table has no such column", field=f"attributes.{name}", hint=columns)
            if value is not None and not _fits(self._roles[name], value):
                raise RequestError(f"must be {_FORMS[self._roles[name]]}, or null", field=f"attributes.{name}")


def item_roles(dataset: DatasetConfig) -> dict[str, Role]:
    """The role of every column that an item may have; the title reads as text, the bounds of availability as times."""
    items = dataset.items
    bounds = (items.available.from_, items.available.to)
    plain: list[tuple[str | None, Role]] = [(items.title, "text"), *((bound, "time") for bound in bounds)]
    declared: dict[str, Role] = {name: column.role for name, column in items.columns.items()}
    return declared | {name: role for name, role in plain if name is not None and name not in declared}


def _fits(role: Role, value: Any) -> bool:
    match role:
        case "categorical":
            return _is_scalar(value)
        case "multi_categorical":
            return isinstance(value, str) or (isinstance(value, list) and all(_is_scalar(part) for part in value))
        case "numeric":
            return _is_number(value)
        case "text":
            return isinstance(value, str)
        case "time" | "birth_date":
            return isinstance(value, str) and "-" in value[1:] and parse_time(value) is not None


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | bool) or _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
