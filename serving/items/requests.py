"""What may be asked of the catalogue: items as they shall be from now on."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from serving.api.requests import Asked, Id, each_for_itself

MAX_ITEMS = 1_000


class PostedItem(Asked):
    """What shall become of one item: all of it anew, or gone."""

    item_id: Id
    """The item, new or known."""
    attributes: dict[str, Any] | None = None
    """The whole item by column of the item table: its attributes, its title, and from when to when it may be shown.
    It takes the place of what was known; a column that is left out is missing from now on."""
    delete: bool = False
    """Whether the item is no longer to be shown."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.attributes is None) != self.delete:
            raise ValueError("give either attributes or `delete: true`")
        return self


class ItemsRequest(Asked):
    """Items that came, changed, or went. Each is checked for itself, so that a bad one does not hold up the others."""

    items: Annotated[list[Any], Field(min_length=1, max_length=MAX_ITEMS), each_for_itself("PostedItem", MAX_ITEMS)]
