"""The OpenAPI document says of lists of records what the service takes of them."""

import pytest
from pydantic import ValidationError

from serving.api.openapi import openapi
from serving.api.requests import Asked, EventsRequest
from serving.items.requests import ItemsRequest
from serving.person.users import UsersRequest

LISTS: dict[str, tuple[type[Asked], str]] = {
    "events": (EventsRequest, "Event"),
    "items": (ItemsRequest, "PostedItem"),
    "users": (UsersRequest, "PostedUser"),
}


@pytest.mark.parametrize("field", LISTS)
def test_the_bounds_of_a_list_of_records_are_those_that_hold(field: str) -> None:
    """Whatever a record looks like: it is checked for itself, once the list is taken."""
    model, record = LISTS[field]
    schemas = openapi()["components"]["schemas"]
    told = schemas[model.__name__]["properties"][field]
    assert told["items"]["$ref"].removeprefix("#/components/schemas/") == record
    assert record in schemas
    for taken in (told["minItems"], told["maxItems"]):
        model.model_validate({field: ["no record"] * taken})
    for refused in (told["minItems"] - 1, told["maxItems"] + 1):
        with pytest.raises(ValidationError):
            model.model_validate({field: ["no record"] * refused})
