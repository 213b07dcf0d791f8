"""What the desk answers about many users at once: to each what /v1/recommend would answer."""

from collections.abc import Iterator
from time import perf_counter

from features.errors import RequestError
from serving.api.problems import internal
from serving.api.replies import ErrorDetail, ListReply, UserListReply
from serving.api.requests import BatchRequest, RecommendRequest
from serving.budget import NEVER
from serving.desk.desk import Desk
from serving.http.wire import PART_ENTRIES, log_without_values

LATE = "late"


def recommend_batch(
    desk: Desk, request: BatchRequest, request_id: str, until: float = NEVER
) -> Iterator[UserListReply]:
    """The items that each of these users should see, in their order, a few users at a time.

    A fault with one user is that user's error. Raises RequestError, with the first users, for what is wrong with all.
    """
    for start in range(0, len(request.user_ids), PART_ENTRIES):
        few = request.user_ids[start : start + PART_ENTRIES]
        if perf_counter() > until:
            yield from (_without_list(user_id, _late(request_id)) for user_id in few)
        else:
            yield from _lists_of(desk, [_asked(request, user_id) for user_id in few], request_id)


def _lists_of(desk: Desk, asked: list[RecommendRequest], request_id: str) -> list[UserListReply]:
    """All together, or one by one after a fault, which is with one of them."""
    try:
        return _together(desk, asked, request_id)
    except RequestError:
        raise
    except Exception as error:
        if len(asked) > 1:
            return [reply for one in asked for reply in _lists_of(desk, [one], request_id)]
        log_without_values(request_id, error)
        fault = internal("the list could not be made")
        return [_without_list(str(asked[0].user_id), _detail(fault.code, fault.message, fault.hint, request_id))]


def _together(desk: Desk, asked: list[RecommendRequest], request_id: str) -> list[UserListReply]:
    """Those whose lists one bundle makes are answered at once."""
    makers = [desk.for_person(one) for one in asked]
    replies = dict[int, ListReply]()
    for maker in dict.fromkeys(makers):
        places = [place for place, one in enumerate(makers) if one is maker]
        lists = maker.lists([asked[place] for place in places], request_id)
        replies |= dict(zip(places, lists, strict=True))
    return [_of_user(desk, one, replies[place]) for place, one in enumerate(asked)]


def _asked(request: BatchRequest, user_id: str) -> RecommendRequest:
    return RecommendRequest.model_construct(
        user_id=user_id,
        placement=request.placement,
        k=request.k,
        exclude=request.exclude,
        filter=request.filter,
        context=request.context,
        explain=request.explain,
        language=request.language,
    )


def _of_user(desk: Desk, asked: RecommendRequest, reply: ListReply) -> UserListReply:
    return UserListReply(
        user_id=str(asked.user_id),
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
