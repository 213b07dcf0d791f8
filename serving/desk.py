"""The service's answers without HTTP: a checked request in, a reply out.

The desk joins the store, the clock and the pipeline. It keeps nothing between two requests, so that every
worker answers from what any of them has stored.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from time import time

from features.moments import SECOND, to_text
from features.person import RECENT_EVENTS, Person
from serving.answers import Query
from serving.inline import with_events
from serving.intake import Intake
from serving.pipeline import Pipeline
from serving.replies import EventReply, EventsReply, ListReply, PastEvent, ProfileReply, list_reply
from serving.requests import (
    EventsRequest,
    ListRequest,
    ProfileRequest,
    RankRequest,
    RecommendRequest,
    SimilarRequest,
)
from serving.state.item_log import ItemLog
from serving.state.protocol import State, StoredEvent


def wall_clock() -> int:
    """Milliseconds since the epoch."""
    return int(time() * SECOND)


class Desk:
    """Answers from one pipeline and one store; safe to call from several threads."""

    def __init__(
        self,
        pipeline: Pipeline,
        state: State,
        item_log: ItemLog,
        newest: int = RECENT_EVENTS,
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        """`newest` events of a person are read; `clock` gives the present moment."""
        self.schema = schema = pipeline.bundle.schema
        self.item_log = item_log
        self.clock = clock
        self._pipeline = pipeline
        self._state = state
        self._newest = newest
        self._intake = Intake(schema)
        self._exposures = [name for name, kind in schema.dataset.types.items() if kind.sign == "exposure"]

    @property
    def bundle(self) -> str:
        """The short name of the bundle that answers."""
        return self._pipeline.bundle.name

    def recommend(self, request: RecommendRequest, request_id: str) -> ListReply:
        """The items that this person should see."""
        person, moment = self._asking(request)
        query = Query(k=request.k, exclude=request.exclude, explain=request.explain)
        answer = self._pipeline.recommend(person, query, moment)
        return list_reply(answer, request_id, self.bundle, explain=request.explain)

    def rank(self, request: RankRequest, request_id: str) -> ListReply:
        """The given items in this person's order."""
        person, moment = self._asking(request)
        answer = self._pipeline.rank(person, request.item_ids, moment, explain=request.explain)
        return list_reply(answer, request_id, self.bundle, explain=request.explain)

    def similar(self, request: SimilarRequest, request_id: str) -> ListReply:
        """The items that go with the given ones."""
        answer = self._pipeline.similar(request.item_ids, request.k, request.kind, self.clock(), request.exclude)
        return list_reply(answer, request_id, self.bundle, explain=False)

    def events(self, request: EventsRequest, request_id: str) -> EventsReply:
        """Store each event that is right; the very next answer of any worker knows them."""
        now = self.clock()
        checked = [self._intake.posted(content, now) for content in request.events]
        outcomes = iter(self._state.append([one for one in checked if isinstance(one, StoredEvent)]))
        results = [
            EventReply(event_id=one.event_id, status=next(outcomes)) if isinstance(one, StoredEvent) else one
            for one in checked
        ]
        statuses = [result.status for result in results]
        return EventsReply(
            request_id=request_id,
            bundle=self.bundle,
            stored=statuses.count("stored"),
            duplicate=statuses.count("duplicate"),
            rejected=statuses.count("rejected"),
            results=results,
        )

    def profile(self, request: ProfileRequest, request_id: str) -> ProfileReply:
        """What is known of this person, newest first."""
        person = self._state.person(
            request.user_id, request.anonymous_id, newest=request.newest, without=self._exposures
        )
        return ProfileReply(
            request_id=request_id,
            bundle=self.bundle,
            user_id=request.user_id,
            anonymous_id=request.anonymous_id,
            events=self._past(person)[::-1],
            items_taken=len(set(person.taken.item_ids)) if person.taken else 0,
        )

    def check(self) -> None:
        """Raises `StateError` when the store does not answer."""
        self._state.check()

    def close(self) -> None:
        """Give back the store."""
        self.item_log.close()
        self._state.close()

    def _asking(self, request: ListRequest) -> tuple[Person, int]:
        """The person as of this request, and its moment.

        The moment is `context.time`; without it the present, or the person's newest event if that is later:
        a clock that runs ahead must not hide what was just done.
        """
        now = self.clock()
        context = self._intake.context(request.context)
        inline = [self._intake.event(event, now, f"events.{place}.") for place, event in enumerate(request.events)]
        known = self._state.known([event.event_id for event in inline]) if inline else set()
        stored = self._state.person(request.user_id, request.anonymous_id, newest=self._newest, without=self._exposures)
        new = [one for one in inline if one.event_id not in known and one.type not in self._exposures]
        person = replace(with_events(stored, new), context=context)
        if request.context.time is not None:
            return person, request.context.time
        return person, max([now, *person.events.moments[-1:].tolist()])

    def _past(self, person: Person) -> list[PastEvent]:
        schema, catalogue = self._pipeline.bundle.schema, self._pipeline.bundle.catalogue
        events = person.events
        columns = zip(
            events.item_ids,
            schema.items.rows(events.item_ids).tolist(),
            events.types,
            events.moments.tolist(),
            events.values.tolist(),
            strict=True,
        )
        return [
            PastEvent(
                item_id=item_id,
                title=catalogue.title(row),
                type=kind,
                time=to_text(moment) if schema.timed else None,
                value=None if math.isnan(value) else float(f"{value:.7g}"),  # what a float32 really holds
            )
            for item_id, row, kind, moment, value in columns
        ]
