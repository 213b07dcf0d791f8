"""The desk's side of the catalogue: items that are right go into the shared log, from which every worker takes them."""

from serving.api.replies import ItemChangeReply, ItemsReply
from serving.desk.desk import Desk
from serving.items.intake import ItemIntake
from serving.items.requests import ItemsRequest
from serving.state.item_log import ItemEdit


def change_items(desk: Desk, request: ItemsRequest, request_id: str) -> ItemsReply:
    """Store or delete each item that is right; every worker shows it, or no longer does, within a second."""
    intake = ItemIntake(desk.schema.dataset)
    checked = [intake.posted(content) for content in request.items]
    edits = [one for one in checked if isinstance(one, ItemEdit)]
    numbers = iter(desk.item_log.change(edits, desk.clock()) if edits else ())
    results = [
        ItemChangeReply(item_id=one.item_id, status="stored", number=next(numbers))
        if isinstance(one, ItemEdit)
        else one
        for one in checked
    ]
    return ItemsReply(
        request_id=request_id,
        bundle=desk.bundle,
        stored=len(edits),
        rejected=len(results) - len(edits),
        results=results,
    )
