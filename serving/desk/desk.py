"""The service's answers without HTTP: a checked request in, a reply out.

The desk joins the store, the clock and the pipeline. It keeps nothing between two requests, so that every
worker answers from what any of them has stored.
"""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from time import time
from typing import Literal, NamedTuple

from features.consent import OPT_IN, ConsentRules
from features.errors import StateError
from features.moments import DAY, SECOND
from features.person import RECENT_EVENTS, Person
from serving.access.tokens import Tokens
from serving.answers import Answer, Query
from serving.api.replies import EventReply, EventsReply, ListReply, list_reply
from serving.api.requests import (
    EventsRequest,
    PersonalRequest,
    PersonRequest,
    RankRequest,
    RecommendRequest,
    SimilarRequest,
)
from serving.budget import NEVER, Deadline, UsualTimes
from serving.desk.beside import ALONE, Beside
from serving.desk.breaker import Breaker
from serving.desk.inline import with_events
from serving.desk.input_watch import InputWatch
from serving.desk.intake import Intake, event_reply
from serving.desk.permission import NotPersonal, Permitted, admitting, measuring, permitted_past
from serving.desk.watching import watch_events, watch_list
from serving.events.effect_watch import EffectWatch
from serving.events.pages import Page, page_of
from serving.events.refused import refused
from serving.events.served import Served, served_row
from serving.filters import Filter, FilterReader
from serving.person.retraining import Retraining
from serving.person.settings import FOR_EVER, RetentionConfig
from serving.pipeline import Pipeline
from serving.reasons.wording import Languages, Words
from serving.shadow.comparing import Listed, Question
from serving.state.audit_log import Deed
from serving.state.item_log import ItemLog
from serving.state.protocol import State, StoredEvent


def wall_clock() -> int:
    """Milliseconds since the epoch."""
    return int(time() * SECOND)


class Asking(NamedTuple):
    """Who asks for a list, as far as the answer may know them."""

    person: Person
    moment: int
    without: tuple[Literal["state"], ...]
    """What the answer must do without."""
    not_personal: NotPersonal | None
    """Why nothing is known of the person."""
    told: Sequence[StoredEvent]
    """The events of the request that count."""
    now: int
    """When they asked: what had been declared by then binds the answer."""
    measured: bool
    """Whether the answer may be counted by what it was made from."""


class Desk:
    """Answers from one pipeline and one store; safe to call from several threads."""

    def __init__(
        self,
        pipeline: Pipeline,
        state: State,
        item_log: ItemLog,
        newest: int = RECENT_EVENTS,
        clock: Callable[[], int] = wall_clock,
        tokens: Tokens | None = None,
        languages: Sequence[str] = ("en", "pl"),
        consent: ConsentRules = OPT_IN,
        retention: RetentionConfig = FOR_EVER,
        log_served: bool = True,
        attribution: int = DAY,
        retraining: Retraining | None = None,
    ) -> None:
        """`newest` events of a person are read; `clock` gives the present moment; `tokens` signs for persons.

        Reasons are told in `languages`. Raises ConfigError for a language without sentences. `consent` says what it
        means that a person never answered, `retention` how long what is kept, `retraining` when models are made anew.
        What is done up to `attribution` ms after a list counts as its effect.
        """
        self.consent = consent
        self.retention = retention
        self.retraining = retraining
        self.served = Served(state.served_log, lambda: measuring(consent, clock())) if log_served else None
        self.inputs = InputWatch()
        timed = pipeline.bundle.schema.timed
        self.effects = EffectWatch(state.served_log, attribution if timed else None) if log_served else None
        self.tokens = tokens or Tokens()
        self._languages = Languages(languages)
        self.item_log = item_log
        self.clock = clock
        self.deed: Deed | None = None
        self.beside = ALONE
        self._state = state
        self._newest = newest
        self._breaker = Breaker()
        self._usual = UsualTimes()
        self._take(pipeline)

    def over(self, pipeline: Pipeline) -> "Desk":
        """The same desk over another pipeline: it goes on with what it learned of its store and its times."""
        other = copy(self)
        other._take(pipeline)
        return other

    def beside_others(self, beside: Beside) -> "Desk":
        """The same desk with these bundles beside its own."""
        other = copy(self)
        other.beside = beside
        return other

    def for_person(self, request: PersonRequest) -> "Desk":
        """The desk that answers a person: the canary's for its share of people, for all others this one.

        While the store does not answer, a visitor counts as not linked to anybody.
        """
        canary = self.beside.canary
        if canary is None:
            return self
        user_id = request.user_id
        if user_id is None and request.anonymous_id is not None:
            user_id = self._user_of(request.anonymous_id)
        if user_id is not None:
            user_id = self._state.written([user_id])[-1]  # as the store names a user, whoever named them
        return canary.desk if canary.split.takes(user_id, request.anonymous_id) else self

    def _user_of(self, anonymous_id: str) -> str | None:
        try:
            return self._breaker.call(lambda: self._state.user_of(anonymous_id))
        except StateError:
            return None

    def _continuing(self, page: Page) -> "Desk":
        """The desk whose bundle made the page before, while it answers; else that of the person."""
        canary = self.beside.canary
        if page.bundle == self.bundle:
            return self
        if canary is not None and page.bundle == canary.desk.bundle:
            return canary.desk
        return self.for_person(page.request)

    def noting(self, deed: Deed) -> "Desk":
        """The same desk for one call, which notes the deed with the first thing that it changes in the store."""
        other = copy(self)
        other.deed, other._state = deed, self._state.audited(deed)
        return other

    def note(self, deed: Deed) -> None:
        """Note a deed that changed nothing. Raises StateError."""
        self._state.audit_log.note(deed)

    def _take(self, pipeline: Pipeline) -> None:
        self.schema = schema = pipeline.bundle.schema
        self.pipeline = pipeline
        self._intake = Intake(schema.dataset)
        self._filters = FilterReader(schema.dataset)
        self.demographics = schema.dataset.users.demographics
        self._exposures = schema.dataset.exposures

    @property
    def state(self) -> State:
        """The store of people."""
        return self._state

    @property
    def bundle(self) -> str:
        """The short name of the bundle that answers."""
        return self.pipeline.bundle.name

    def recommend(self, request: RecommendRequest, request_id: str, until: float = NEVER) -> ListReply:
        """The items that this person should see; the log of what was served has them, from which `after` continues."""
        page = page_of(request, self.served)
        return self._continuing(page)._page(page, request_id, until)

    def _page(self, page: Page, request_id: str, until: float) -> ListReply:
        asked = page.request
        asking = self.asking(asked)
        answer = page.cut(self.pipeline.recommend(asking.person, self._query(asked, page.depth, until), asking.moment))
        self._log(asked, request_id, asking, answer, page.given)
        if self.beside.shadow is not None:
            self._offer(page, asking, answer)
        if not page.given:
            self._watch_inputs(asking)
        former = None if page.bundle in (None, self.bundle) else page.bundle
        return self._listed(asked, request_id, asking, answer, former)

    def lists(self, requests: Sequence[RecommendRequest], request_id: str) -> list[ListReply]:
        """What `recommend` answers these, which differ only in who asks; by this desk's bundle, and none is logged.

        Whose it is says `for_person`. Stage by stage over all of them, which costs less than one after the other.
        """
        asking = [self.asking(one) for one in requests]
        query = self._query(requests[0], requests[0].k, NEVER)
        answers = self.pipeline.recommend_all([(one.person, one.moment) for one in asking], query)
        each = zip(requests, asking, answers, strict=True)
        return [self._listed(request, request_id, whose, answer) for request, whose, answer in each]

    def _query(self, request: RecommendRequest, k: int, until: float) -> Query:
        return Query(
            k=k,
            exclude=request.exclude,
            filter=self.filter(request.filter),
            explain=request.explain,
            budget=Deadline(until, self._usual),
        )

    def _listed(
        self, request: RecommendRequest, request_id: str, asking: Asking, answer: Answer, former: str | None = None
    ) -> ListReply:
        """Count an answer, learn from it, and put it into words."""
        watch_list("recommend", self.pipeline.bundle, answer, asking.without)
        self._learn(answer, explained=request.explain and not answer.degraded)
        words = self.words(request.spoken) if request.explain else None
        return self._reply(asking, answer, request_id, words, former)

    def _watch_inputs(self, asking: Asking) -> None:
        if asking.measured:
            self.inputs.add(self.pipeline.bundle, asking.person, asking.moment)

    def _offer(self, page: Page, asking: Asking, answer: Answer) -> None:
        """Let the shadow answer the same; not a page that goes on from live's, nor what live had to do without."""
        if page.given or asking.without or answer.degraded or self.beside.shadow is None:
            return
        asked = page.request
        question = Question(asking.person, asking.moment, page.depth, asked.exclude, asked.filter)
        took = sum(answer.timings.values()) - answer.timings.get("explain", 0.0)
        self.beside.shadow.offer(self.bundle, question, Listed({one.item_id: one.score for one in answer.items}, took))

    def rank(self, request: RankRequest, request_id: str, until: float = NEVER) -> ListReply:
        """The given items in this person's order."""
        return self.for_person(request)._rank(request, request_id, until)

    def _rank(self, request: RankRequest, request_id: str, until: float) -> ListReply:
        asking = self.asking(request)
        budget = Deadline(until, self._usual)
        query = Query(filter=self.filter(request.filter), explain=request.explain, budget=budget)
        answer = self.pipeline.rank(asking.person, request.item_ids, query, asking.moment)
        self._log(request, request_id, asking, answer)
        self._watch_inputs(asking)
        watch_list("rank", self.pipeline.bundle, answer, asking.without)
        words = self.words(request.spoken) if request.explain else None
        return self._reply(asking, answer, request_id, words)

    def _reply(
        self, asking: Asking, answer: Answer, request_id: str, words: Words | None, former: str | None = None
    ) -> ListReply:
        return list_reply(
            answer,
            request_id,
            self.bundle,
            words=words,
            without=asking.without,
            not_personal=asking.not_personal,
            former_bundle=former,
        )

    def _log(
        self, request: PersonalRequest, request_id: str, asking: Asking, answer: Answer, given: Sequence[str] = ()
    ) -> None:
        """Take note of an answer, for the log of what was served."""
        if self.served is None:
            return
        row = served_row(
            request,
            answer,
            asking.told,
            given,
            asking.without,
            request_id=request_id,
            moment=asking.now,
            answered_for=asking.moment,
            bundle=self.bundle,
            seen=asking.person.seen,
        )
        self.served.add(row)

    def similar(self, request: SimilarRequest, request_id: str) -> ListReply:
        """The items that go with the given ones."""
        query = Query(k=request.k, exclude=request.exclude, filter=self.filter(request.filter))
        answer = self.pipeline.similar(request.item_ids, request.kind, query, self.clock())
        watch_list("similar", self.pipeline.bundle, answer)
        return list_reply(answer, request_id, self.bundle)

    def events(self, request: EventsRequest, request_id: str) -> EventsReply:
        """Store each event that is right, of people who agreed; the very next answer of any worker knows them."""
        now = self.clock()
        checked = [self._intake.posted(content, now) for content in request.events]
        events = [one for one in checked if isinstance(one, StoredEvent)]
        outcomes = iter(self._state.append(events, admitting(self.consent, now)))
        results = [event_reply(one, next(outcomes)) if isinstance(one, StoredEvent) else one for one in checked]
        statuses = [result.status for result in results]
        self._watch_effects(checked, statuses)
        pairs = zip(request.events, checked, strict=True)
        letters = [refused(content, one, now) for content, one in pairs if isinstance(one, EventReply)]
        if letters:
            self._state.dead_letters.keep(letters, admitting(self.consent, now))
        watch_events(statuses, events, now)
        return EventsReply(
            request_id=request_id,
            bundle=self.bundle,
            stored=statuses.count("stored"),
            duplicate=statuses.count("duplicate"),
            rejected=statuses.count("rejected"),
            not_stored=statuses.count("not_stored"),
            results=results,
        )

    def _watch_effects(self, checked: Sequence[StoredEvent | EventReply], statuses: Sequence[str]) -> None:
        if self.effects is None:
            return
        kinds, pairs = self.schema.dataset.types, zip(checked, statuses, strict=True)
        stored = [one for one, status in pairs if status == "stored" and isinstance(one, StoredEvent)]
        self.effects.add([(one, kinds[one.type].sign) for one in stored])

    def words(self, asked: str | None) -> Words:
        """How reasons are told to whoever asked for a language, or for none."""
        return self._languages.words(asked, timed=self.schema.timed)

    def check(self) -> None:
        """Raises `StateError` when the store does not answer."""
        self._state.check()

    def close(self) -> None:
        """Write what waits to be logged, and give back the store."""
        try:
            if self.served:
                self.served.flush()
        finally:
            self.item_log.close()
            self._state.close()

    def filter(self, text: str | None) -> Filter | None:
        """Raises RequestError that says where the text is no filter."""
        return None if text is None else self._filters.read(text)

    def asking(self, request: PersonalRequest) -> Asking:
        """The person as of this request, its moment, and what the answer must do without.

        Who does not allow personal lists is a stranger here, whatever the request says they did; so is everybody
        while the store does not answer, because nobody knows then who withdrew. The moment is `context.time`; without
        it the present, or the person's newest event if that is later: a clock that runs ahead must not hide what was
        just done.
        """
        now = self.clock()
        context = self._intake.context(request.context)
        inline = [self._intake.event(event, now, f"events.{place}.") for place, event in enumerate(request.events)]
        without: tuple[Literal["state"], ...] = ()
        try:
            past, known = self._breaker.call(lambda: self._permitted(request, inline, now))
        except StateError:
            past, known, without = Permitted(Person(), "state"), set[str](), ("state",)
        told = () if past.not_personal else inline
        new = [one for one in told if one.event_id not in known and one.type not in self._exposures]
        person = replace(with_events(past.person, new), context=context)
        newest = max([now, *person.events.moments[-1:].tolist()])
        moment = newest if request.context.time is None else request.context.time
        nobody = request.user_id is None and request.anonymous_id is None
        measured = not without and (nobody or past.measured)
        return Asking(person, moment, without, past.not_personal, new, now, measured)

    def _permitted(self, request: PersonRequest, inline: Sequence[StoredEvent], now: int) -> tuple[Permitted, set[str]]:
        """What may be known of the person, and which of the inline events are stored already."""
        past = permitted_past(
            self._state,
            request.user_id,
            request.anonymous_id,
            self.consent,
            now,
            self.demographics,
            lambda: self._read(request, self._newest),
        )
        return past, set() if past.not_personal else self._known(inline)

    def _read(self, request: PersonRequest, newest: int) -> Person:
        return self._state.person(request.user_id, request.anonymous_id, newest=newest, without=self._exposures)

    def _known(self, inline: Sequence[StoredEvent]) -> set[str]:
        """The ids of inline events that are stored already."""
        ids = [event.event_id for event in inline if event.event_id]
        return self._state.known(ids) if ids else set()

    def _learn(self, answer: Answer, *, explained: bool) -> None:
        """How long the stages take that a late answer leaves out."""
        if "ranker" not in answer.degraded and "rank" in answer.timings:
            self._usual.learn("ranker", answer.timings["rank"])
        if explained and "explain" in answer.timings:
            self._usual.learn("explanations", answer.timings["explain"])
