"""The next page of a ranking: the same question asked again, without what its earlier pages gave.

The question is that of the first page, the moment is the present (unless the first page named one) and the person is
as they are now: what they hid or took meanwhile does not come.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from features.errors import RequestError
from serving.answers import Answer, Shortfall
from serving.api.requests import MAX_EXCLUDED, Context, InlineEvent, RecommendRequest
from serving.events.served import Served, told_events
from serving.state.served_log import ServedRow


class Page(NamedTuple):
    """A request for a list, and what came before it."""

    request: RecommendRequest
    """The whole question."""
    given: Sequence[str] = ()
    """Items of earlier pages."""
    bundle: str | None = None
    """What made the page before, if there was one."""

    @property
    def depth(self) -> int:
        """How many items must be put in order."""
        return len(self.given) + self.request.k

    def cut(self, answer: Answer) -> Answer:
        """The items of an answer of this depth that are on this page."""
        if not self.given:
            return answer
        before, k = set(self.given), self.request.k
        items = tuple([one for one in answer.items if one.item_id not in before][:k])
        cause = answer.shortfall.cause if answer.shortfall else "all others were on earlier pages"
        return replace(answer, items=items, shortfall=Shortfall(k, len(items), cause) if len(items) < k else None)


def page_of(request: RecommendRequest, served: Served | None) -> Page:
    """What a request asks for. Raises RequestError for an answer that cannot be continued."""
    if request.after is None:
        return Page(request)
    row = None if served is None else served.find(request.after, request.user_id, request.anonymous_id)
    if row is None or "given" not in row.query:
        raise RequestError(
            "no list of this person has this request_id",
            field="after",
            hint="Lists are kept of people who allow measuring, and only for some time; "
            "else send the items so far in `exclude`.",
        )
    given = [*row.query["given"], *(one.item_id for one in row.items)]
    if len(given) > MAX_EXCLUDED:
        raise RequestError(f"the pages so far hold more than {MAX_EXCLUDED} items", field="after")
    return Page(_continued(request, row), given, row.bundle)


def _continued(request: RecommendRequest, row: ServedRow) -> RecommendRequest:
    """The question of an earlier answer, asked by a later request."""
    time = {} if row.query["time"] is None else {"time": row.query["time"]}
    return request.model_copy(
        update={
            "context": Context.model_construct(**row.query["context"], **time),
            "filter": row.query["filter"],
            "events": [
                InlineEvent.model_construct(
                    event_id=one.event_id or None,
                    item_id=one.item_id,
                    type=one.type,
                    time=one.moment,
                    value=one.value,
                    context=None if one.context is None else Context.model_construct(**one.context),
                )
                for one in told_events(row)
            ],
            "exclude": [*row.query["exclude"], *request.exclude],
            "placement": row.placement,
        }
    )
