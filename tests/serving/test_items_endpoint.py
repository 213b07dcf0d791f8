"""Items that are posted: what is stored, what is refused by name, and that a bad one holds up no other."""

from typing import Any

import httpx
import pytest

from features.dataset import DatasetConfig
from serving.api.replies import ItemChangeReply
from serving.desk.desk import Desk
from serving.items.desk import change_items
from serving.items.intake import ItemIntake
from serving.items.requests import MAX_ITEMS, ItemsRequest
from serving.state import ItemLog
from serving.state.item_log import ItemEdit

WHOLE = {
    "title": "Tea",
    "genre": "drama",
    "tags": ["a", 7],
    "price": 3,
    "made": "2026-05-01T18:30:00Z",
    "opens": "2026-05-01",
    "closes": None,
}


def posted(desk: Desk, **attributes: Any) -> ItemEdit | ItemChangeReply:
    return ItemIntake(desk.schema.dataset).posted({"item_id": "new", "attributes": attributes})


def test_edits_reach_the_log_in_their_order(desk: Desk, item_log: ItemLog) -> None:
    request = ItemsRequest(
        items=[
            {"item_id": "new", "attributes": WHOLE},
            {"item_id": "i3", "delete": True},
            {"item_id": "bare", "attributes": {}},
        ]
    )
    reply = change_items(desk, request, "r")
    changes = item_log.after(0, 10)
    assert [one.number for one in reply.results] == [one.number for one in changes]
    assert [(one.item_id, one.attributes) for one in changes] == [("new", WHOLE), ("i3", None), ("bare", {})]
    assert {one.moment for one in changes} == {desk.clock()}
    assert (reply.stored, reply.rejected, reply.bundle) == (3, 0, "standin")


@pytest.mark.parametrize(
    ("record", "field", "told"),
    [
        ({"item_id": "x", "attributes": {"colour": "red"}}, "attributes.colour", "no such column. The columns are: g"),
        ({"item_id": "x", "attributes": {"price": "3"}}, "attributes.price", "must be a finite number, or null"),
        ({"item_id": "x", "attributes": {"price": True}}, "attributes.price", "finite number"),
        ({"item_id": "x", "attributes": {"genre": ["a"]}}, "attributes.genre", "a text or a finite number"),
        ({"item_id": "x", "attributes": {"tags": [None]}}, "attributes.tags", "a list of at most 1000 texts"),
        ({"item_id": "x", "attributes": {"title": 5}}, "attributes.title", "must be a text"),
        ({"item_id": "x", "attributes": {"made": "soon"}}, "attributes.made", "a time as RFC 3339"),
        ({"item_id": "x", "attributes": {"opens": 1767225600}}, "attributes.opens", "a time as RFC 3339"),
        ({"item_id": "x", "attributes": {"closes": "1767225600"}}, "attributes.closes", "a time as RFC 3339"),
        ({"item_id": 7, "attributes": {}}, "item_id", "Ids are strings"),
        ({"item_id": "x", "attributes": {}, "delete": True}, None, "give either attributes or"),
        ({"item_id": "x"}, None, "give either attributes or"),
        ({"item_id": "x", "attributes": {}, "price": 3}, "price", "there is no such field"),
        ("tea", None, "must be a JSON object"),
    ],
)
def test_a_bad_record_is_refused_by_name_and_holds_up_no_other(
    desk: Desk, item_log: ItemLog, record: Any, field: str | None, told: str
) -> None:
    reply = change_items(desk, ItemsRequest(items=[record, {"item_id": "good", "attributes": {}}]), "r")
    assert (reply.stored, reply.rejected) == (1, 1)
    assert reply.results[0].field == field
    assert told in (reply.results[0].message or "")
    assert [one.item_id for one in item_log.after(0, 10)] == ["good"]


@pytest.mark.parametrize("attributes", [{"genre": 7}, {"genre": True}, {"tags": "a|b"}, {"tags": []}, {"price": 1.5}])
def test_what_a_table_may_hold_may_be_posted(desk: Desk, attributes: dict[str, Any]) -> None:
    edit = posted(desk, **attributes)
    assert edit == ItemEdit("new", attributes)
    codes = desk.schema.encode_items({name: [value] for name, value in attributes.items()}, 1)
    assert codes.shape == (1, sum(one.width for one in desk.schema.item_fields))


def test_items_of_a_data_set_without_an_item_table_have_no_attributes() -> None:
    intake = ItemIntake(DatasetConfig.parse({"order": {"sequence": "n"}, "events": {}, "types": {"view": {}}}))
    told = intake.posted({"item_id": "x", "attributes": {"price": 1}})
    assert isinstance(told, ItemChangeReply)
    assert "Items have no attributes" in (told.message or "")
    assert intake.posted({"item_id": "x", "attributes": {}}) == ItemEdit("x", {})


def test_over_the_wire(client: httpx.Client) -> None:
    body = {"items": [{"item_id": "new", "attributes": {"price": 2}}, {"item_id": "i1", "delete": True}, 5]}
    answer = client.post("/v1/items", json=body).json()
    assert (answer["stored"], answer["rejected"]) == (2, 1)
    assert [one["status"] for one in answer["results"]] == ["stored", "stored", "rejected"]
    assert answer["results"][0]["number"] < answer["results"][1]["number"]


@pytest.mark.parametrize("items", [[], [{"item_id": "x", "delete": True}] * (MAX_ITEMS + 1), "tea", None])
def test_too_few_or_too_many(client: httpx.Client, items: Any) -> None:
    response = client.post("/v1/items", json={"items": items})
    assert response.status_code == 400
    assert response.json()["error"]["field"] == "items"


def test_the_openapi_document_describes_a_record(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["paths"]["/v1/items"]["post"]["operationId"] == "items"
    assert set(document["components"]["schemas"]["PostedItem"]["properties"]) == {"item_id", "attributes", "delete"}
