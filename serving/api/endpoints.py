"""The table of endpoints: path, what goes in, what comes out, and who answers.

To add one: its request in `requests`, its reply in `replies`, a method in `desk`, and a line here.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from serving.api.replies import BatchReply, EventsReply, ItemsReply, ListReply, ProfileReply, Stamped
from serving.api.requests import (
    Asked,
    BatchRequest,
    EventsRequest,
    ProfileRequest,
    RankRequest,
    RecommendRequest,
    SimilarRequest,
)
from serving.bulk.desk import recommend_batch
from serving.desk.desk import Desk
from serving.items.desk import change_items
from serving.items.requests import ItemsRequest


class Endpoint(NamedTuple):
    """One route that takes and gives JSON."""

    path: str
    request: type[Asked]
    reply: type[Stamped]
    answer: Callable[..., Any]
    """Takes a desk, a request and the request's id; when `budgeted`, also its deadline. Gives the reply or, when
    `streamed`, one after the other the entries of the list that is its last field."""
    budgeted: bool = False
    """Whether the answer can leave something out when time is short."""
    lane: Literal["reads", "writes", "batch"] = "reads"
    """Where it waits and runs: what writes waits for the store's one writer, and must hold up nobody else; nor must
    what is long."""
    streamed: bool = False
    """Whether it is sent as it is made, so that nobody holds all of it."""

    @property
    def name(self) -> str:
        """The path's words after the version: `recommend`, `privacy_erase`."""
        return "_".join(self.path.split("/")[2:])

    def ask(self, desk: Desk, request: Any, request_id: str, until: float) -> Any:
        """What `answer` gives for a checked request."""
        return self.answer(desk, request, request_id, *((until,) if self.budgeted else ()))


ENDPOINTS = (
    Endpoint("/v1/recommend", RecommendRequest, ListReply, Desk.recommend, budgeted=True),
    Endpoint(
        "/v1/recommend/batch",
        BatchRequest,
        BatchReply,
        recommend_batch,
        budgeted=True,
        lane="batch",
        streamed=True,
    ),
    Endpoint("/v1/rank", RankRequest, ListReply, Desk.rank, budgeted=True),
    Endpoint("/v1/similar", SimilarRequest, ListReply, Desk.similar),
    Endpoint("/v1/events", EventsRequest, EventsReply, Desk.events, lane="writes"),
    Endpoint("/v1/items", ItemsRequest, ItemsReply, change_items, lane="writes"),
    Endpoint("/v1/profile", ProfileRequest, ProfileReply, Desk.profile),
)
