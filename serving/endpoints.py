"""The table of endpoints: path, what goes in, what comes out, and who answers.

To add one: its request in `requests`, its reply in `replies`, a method in `desk`, and a line here.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from serving.desk import Desk
from serving.item_desk import change_items
from serving.item_requests import ItemsRequest
from serving.replies import EventsReply, ItemsReply, ListReply, ProfileReply, Stamped
from serving.requests import (
    Asked,
    EventsRequest,
    ProfileRequest,
    RankRequest,
    RecommendRequest,
    SimilarRequest,
)


class Endpoint(NamedTuple):
    """One route that takes and gives JSON."""

    path: str
    request: type[Asked]
    reply: type[Stamped]
    answer: Callable[..., Stamped]
    """Takes a desk, a request and the request's id; when `budgeted`, also its deadline."""
    budgeted: bool = False
    """Whether the answer can leave something out when time is short."""
    lane: Literal["reads", "writes"] = "reads"
    """Where it waits and runs: what writes waits for the store's one writer, and must hold up nobody else."""

    @property
    def name(self) -> str:
        """The path's words after the version: `recommend`, `privacy_erase`."""
        return "_".join(self.path.split("/")[2:])

    def ask(self, desk: Desk, request: Any, request_id: str, until: float) -> Stamped:
        """The answer to a checked request."""
        return self.answer(desk, request, request_id, *((until,) if self.budgeted else ()))


ENDPOINTS = (
    Endpoint("/v1/recommend", RecommendRequest, ListReply, Desk.recommend, budgeted=True),
    Endpoint("/v1/rank", RankRequest, ListReply, Desk.rank, budgeted=True),
    Endpoint("/v1/similar", SimilarRequest, ListReply, Desk.similar),
    Endpoint("/v1/events", EventsRequest, EventsReply, Desk.events, lane="writes"),
    Endpoint("/v1/items", ItemsRequest, ItemsReply, change_items, lane="writes"),
    Endpoint("/v1/profile", ProfileRequest, ProfileReply, Desk.profile),
)
