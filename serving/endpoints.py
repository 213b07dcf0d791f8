"""The table of endpoints: path, what goes in, what comes out, and who answers.

To add one: its request in `requests`, its reply in `replies`, a method in `desk`, and a line here.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic import BaseModel

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
    reply: type[BaseModel]
    answer: Callable[[Desk, Any, str], Stamped]


ENDPOINTS = (
    Endpoint("/v1/recommend", RecommendRequest, ListReply, Desk.recommend),
    Endpoint("/v1/rank", RankRequest, ListReply, Desk.rank),
    Endpoint("/v1/similar", SimilarRequest, ListReply, Desk.similar),
    Endpoint("/v1/events", EventsRequest, EventsReply, Desk.events),
    Endpoint("/v1/items", ItemsRequest, ItemsReply, change_items),
    Endpoint("/v1/profile", ProfileRequest, ProfileReply, Desk.profile),
)
