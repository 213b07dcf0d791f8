"""A login: a visitor becomes a user, once and for all."""

from serving.api.replies import Stamped
from serving.api.requests import Asked, Id
from serving.desk.desk import Desk


class LinkRequest(Asked):
    """Which visitor turned out to be which user?"""

    anonymous_id: Id
    """The visitor; from now on the same as the user, for good."""
    user_id: Id
    """The user; their visits before a login may bear any number of anonymous ids."""


class LinkReply(Stamped, frozen=True, kw_only=True):
    """The visitor is the user."""

    linked: bool
    """False when it was so already."""


def link(desk: Desk, request: LinkRequest, request_id: str) -> LinkReply:
    """Join what a visitor did to what a user did; the very next answer uses both pasts.

    Raises RequestError when the visitor is another user already.
    """
    linked = desk.state.link(request.anonymous_id, request.user_id)
    return LinkReply(request_id=request_id, bundle=desk.bundle, linked=linked)
