"""Items that are posted, held against the item table of the bundle's data set: its columns, and what each may hold.

A value that passes is kept as it came, and every encoder reads it as it reads the same value of a table.
"""

from typing import Any

from pydantic import ValidationError

from features.dataset import DatasetConfig, Role
from features.errors import RequestError, TailorbirdError
from serving.api.columns import check_columns
from serving.api.problems import id_in, in_words, of_validation
from serving.api.replies import ItemChangeReply
from serving.items.requests import PostedItem
from serving.state.item_log import ItemEdit


class ItemIntake:
    """Checks items for one data set."""

    def __init__(self, dataset: DatasetConfig) -> None:
        self._roles = item_roles(dataset)

    def posted(self, content: Any) -> ItemEdit | ItemChangeReply:
        """An edit that can be stored, or why it cannot."""
        try:
            record = PostedItem.model_validate(content)
            if record.attributes is not None:
                check_columns(record.attributes, self._roles, "item")
            return ItemEdit(record.item_id, record.attributes)
        except ValidationError as error:
            problem: TailorbirdError = of_validation(error, PostedItem)
        except RequestError as error:
            problem = error
        return ItemChangeReply(
            item_id=id_in(content, "item_id"), status="rejected", field=problem.field, message=in_words(problem)
        )


def item_roles(dataset: DatasetConfig) -> dict[str, Role]:
    """The role of every column that an item may have; the title reads as text, the bounds of availability as times."""
    items = dataset.items
    bounds = (items.available.from_, items.available.to)
    plain: list[tuple[str | None, Role]] = [(items.title, "text"), *((bound, "time") for bound in bounds)]
    declared: dict[str, Role] = {name: column.role for name, column in items.columns.items()}
    return declared | {name: role for name, role in plain if name is not None and name not in declared}
