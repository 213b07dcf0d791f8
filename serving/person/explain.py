"""/v1/explain: where one item stands for one person, and what would have to differ."""

from typing import Literal

from serving.answers import Obstacle, Query, SourcePlace, Standing, Stop
from serving.api.replies import ReasonReply, Reply, Stamped, reason_reply
from serving.api.requests import Id, ListOptions
from serving.desk.desk import Desk
from serving.desk.watching import watch_degraded
from serving.reasons.sentences import obstacle_sentence, shown_sentence
from serving.reasons.wording import Words


class ExplainRequest(ListOptions):
    """Why is this item in this person's list, or why is it not?"""

    item_id: Id
    """The item."""


class ObstacleReply(Reply, frozen=True, kw_only=True):
    """One thing that keeps an item out of the list: it would have to differ."""

    stop: Stop
    """`unknown`, `unavailable`, `deleted`, `excluded` by the request, `hidden` by the person, `taken` lately, `filter`,
    `not_found` by any source, or `ranked_low`."""
    sentence: str
    """The same in words."""
    since: str | None = None
    """From when on."""
    until: str | None = None
    """When it ends; left out when it never does, or nobody knows."""
    event_type: str | None = None
    """Of the person's event that is the cause."""
    event_time: str | None = None
    """When that happened."""
    condition: str | None = None
    """Of the filter, which the item does not fulfil."""
    needed: float | None = None
    """The score that the last item of the list has."""


class SourcePlaceReply(Reply, frozen=True, kw_only=True):
    """Where a candidate source has an item."""

    source: str
    place: int | None = None
    """In its list of all that may be shown; left out when it is not among the first `looked`."""
    brings: int
    """How many items it brings."""
    looked: int
    """Up to which place the item was sought."""


class ExplainReply(Stamped, frozen=True, kw_only=True):
    """Where one item stands for one person."""

    item_id: str
    title: str | None = None
    shown: bool
    """Whether it is among the first `k` of the list that /v1/recommend gives to the same question."""
    k: int
    place: int | None = None
    """In the order of all candidates; of an item that no source brought, the place that it would have."""
    score: float | None = None
    """By which it has that place."""
    sentence: str
    """In words: that it is shown, or what stops it first."""
    obstacles: list[ObstacleReply]
    """All that keeps it out, in the order of the way from the catalogue to the list; none when it is shown."""
    sources: list[SourcePlaceReply] | None = None
    """Of an item that may be shown."""
    reasons: list[ReasonReply] | None = None
    """Of an item that a source brought: what speaks for it."""
    language: str
    """Of the sentences."""
    language_missing: str | None = None
    """What was asked for in its place, when there are no sentences in it."""
    degraded: list[Literal["state"]] | None = None
    """What the answer had to do without: what is stored of the person, because the store does not answer."""
    not_personal: Literal["denied", "unknown", "state"] | None = None
    """When nothing of the person was read but their consent, as in /v1/recommend."""


def explain(desk: Desk, request: ExplainRequest, request_id: str) -> ExplainReply:
    """Asked exactly as /v1/recommend would be, and told for one item."""
    desk = desk.for_person(request)
    person, moment, without, not_personal, *_ = desk.asking(request)
    query = Query(k=request.k, exclude=request.exclude, filter=desk.filter(request.filter))
    watch_degraded(without, desk.bundle)
    standing = desk.pipeline.explain(person, request.item_id, query, moment)
    words = desk.words(request.spoken)
    obstacles = [_obstacle(standing, one, words) for one in standing.obstacles]
    return ExplainReply(
        request_id=request_id,
        bundle=desk.bundle,
        item_id=standing.item_id,
        title=standing.title,
        shown=not obstacles,
        k=standing.k,
        place=standing.place,
        score=standing.score,
        sentence=obstacles[0].sentence if obstacles else shown_sentence(standing, words),
        obstacles=obstacles,
        sources=[_place(one) for one in standing.sources] or None,
        reasons=[reason_reply(one, words) for one in standing.reasons] or None,
        language=words.language.name,
        language_missing=words.missing,
        degraded=list(without) or None,
        not_personal=not_personal,
    )


def _obstacle(standing: Standing, one: Obstacle, words: Words) -> ObstacleReply:
    return ObstacleReply(
        stop=one.stop,
        sentence=obstacle_sentence(standing, one, words),
        since=None if one.since is None else words.when(one.since),
        until=None if one.until is None else words.when(one.until),
        event_type=one.event_type,
        event_time=None if one.event_moment is None else words.when(one.event_moment),
        condition=one.condition,
        needed=one.needed,
    )


def _place(one: SourcePlace) -> SourcePlaceReply:
    return SourcePlaceReply(source=one.source, place=one.place, brings=one.brings, looked=one.looked)
