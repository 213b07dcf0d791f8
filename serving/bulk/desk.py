"""What the desk answers about many users at once: to each what /v1/recommend would answer."""

from collections.abc import Iterator
from time import perf_counter

from features.errors import RequestError
from serving.api.problems import internal
from serving.api.replies import ErrorDetail, UserListReply
from serving.api.requests import BatchRequest, RecommendRequest
from serving.budget import NEVER
from serving.desk.desk import Desk
from serving.http.wire import log_without_values

LATE = "late"


def recommend_batch(
    desk: Desk, request: BatchRequest, request_id: str, until: float = NEVER
) -> Iterator[UserListReply]:
    """The items that each of these users should see, made one user after the other.

    A fault with one user is that user's error. Raises RequestError, with the first user, for what is wrong with all.
    """
    for user_id in request.user_ids:
        if perf_counter() > until:
            yield _without_list(user_id, _late(request_id))
            continue
        try:
            yield _list_of(desk, request, user_id, request_id)
        except RequestError:
            raise
        except Exception as error:
            log_without_values(request_id, error)
            fault = internal("the list could not be made")
            yield _without_list(user_id, _detail(fault.code, fault.message, fault.hint, request_id))


def _list_of(desk: Desk, request: BatchRequest, user_id: str, request_id: str) -> UserListReply:
    asked = RecommendRequest.model_construct(
        user_id=user_id,
        placement=request.placement,
        k=request.k,
        exclude=request.exclude,
        filter=request.filter,
        context=request.context,
        explain=request.explain,
        language=request.language,
    )
    reply = desk.recommend(asked, request_id, logged=False)
    return UserListReply(
        user_id=user_id,
        bundle=None if reply.bundle == desk.bundle else reply.bundle,
        items=reply.items,
        shortfall=reply.shortfall,
        filtering=reply.filtering,
        degraded=["state"] if reply.degraded else None,
        not_personal=reply.not_personal,
    )


def _without_list(user_id: str, error: ErrorDetail) -> UserListReply:
    return UserListReply(user_id=user_id, items=[], error=error)


def _late(request_id: str) -> ErrorDetail:
    return _detail(LATE, "there was no time left for this user", "Ask again, with fewer users in one call.", request_id)


def _detail(code: str, message: str, hint: str | None, request_id: str) -> ErrorDetail:
    return ErrorDetail(code=code, message=message, hint=hint, request_id=request_id)
