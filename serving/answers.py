"""What the pipeline answers with: plain records that know nothing of HTTP."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from serving.filters import Filter

MAX_K = 500
"""Most items that one answer may hold."""
Stage: TypeAlias = Literal["explanations", "ranker"]
"""What an answer can do without when time is short, in the order in which it goes: without the ranker there are no
explanations either."""


class Budget(Protocol):
    """The time that an answer may still take, kept by whoever has a clock."""

    def allows(self, stage: Stage) -> bool:
        """Whether there is time for a stage."""


@dataclass(frozen=True)
class Query:
    """What is asked, beside who and when."""

    k: int = 20
    """Number of items wanted."""
    exclude: Collection[str] = ()
    """Item ids that must not come back, such as those already on the page."""
    filter: Filter | None = None
    """What every item of the answer must fulfil."""
    explain: bool = False
    """Whether each item comes with its reasons."""
    budget: Budget | None = None
    """None: the answer may take as long as it takes."""


Code: TypeAlias = Literal[
    "again",
    "transitions",
    "nearest",
    "history",
    "attribute",
    "context",
    "liked",
    "interest",
    "pinned",
    "popular",
    "trending",
    "new",
    "general",
]
"""Kinds of reasons. Of the past: the item itself, one that it often follows, one that it is like, or another. liked,
interest, pinned: what the person declared. general: nothing speaks for the item by itself."""


@dataclass(frozen=True)
class Reason:
    """Why an item stands where it stands: one thing without which its score would be lower."""

    code: Code
    weight: float = 0.0
    """How much lower the item's score would be without it, by the model itself."""
    places: int = 0
    """How many places further down the item would stand."""
    item_id: str | None = None
    """The item of the person's own past, or one that they like."""
    title: str | None = None
    """That item's name."""
    times: int | None = None
    """How many of the person's events with that item were read."""
    last: int | None = None
    """Moment of the newest of them."""
    name: str | None = None
    """Of the attribute, of the person or of the item, or of the context column."""
    value: str | None = None
    """What is known there."""
    moment: int | None = None
    """Of a value that is a date or a time."""
    protected: bool | None = None
    """True for a protected attribute, such as gender or age."""
    place: int | None = None
    """The item's place among all items, by what the code names."""
    count: int | None = None
    """How often it was chosen, by all people."""
    days: int | None = None
    """Since its first event."""


@dataclass(frozen=True)
class RankedItem:
    """One item of an answer."""

    item_id: str
    score: float
    """Expected value of showing it: the sum over heads of weight times probability, minus for negative types."""
    probabilities: dict[str, float]
    """Calibrated probability of each event type."""
    sources: tuple[str, ...]
    """The sources that brought it, the one that ranks it best first."""
    title: str | None = None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class Shortfall:
    """Why there are fewer items than wanted."""

    wanted: int
    given: int
    cause: str


PlanName: TypeAlias = Literal["exact", "probed"]


@dataclass(frozen=True)
class Filtering:
    """What a filter did."""

    selectivity: float
    """Share of all items that pass it."""
    plan: PlanName
    """How those that may be shown are searched: `exact`, or `probed`: in the nearest cells of the index."""
    cells: int
    """Number of these cells; 0 when exact."""


@dataclass(frozen=True)
class Answer:
    """Items in order, best first."""

    items: tuple[RankedItem, ...]
    shortfall: Shortfall | None = None
    timings: dict[str, float] = field(default_factory=dict)
    """Milliseconds by stage."""
    filtering: Filtering | None = None
    """When there was a filter."""
    unknown: tuple[str, ...] = ()
    """Ids of a given list that the bundle does not know; they stand in no order."""
    degraded: tuple[Stage, ...] = ()
    """What was left out because time was short."""


Stop: TypeAlias = Literal[
    "shown", "unknown", "unavailable", "deleted", "excluded", "hidden", "taken", "filter", "not_found", "ranked_low"
]
"""Where an item's way into the list ended, in the order of the way: it must be known, available and not deleted, not
excluded by the request or hidden by the person, not taken lately, pass the filter, be brought by a source, and be among
the first k."""


@dataclass(frozen=True)
class Obstacle:
    """One thing that keeps an item out of the list, and so one that would have to differ."""

    stop: Stop
    since: int | None = None
    """From which moment on."""
    until: int | None = None
    """First moment at which it is no longer so; None: for good, or not known."""
    event_type: str | None = None
    """Of the person's event that is the cause."""
    event_moment: int | None = None
    """Of that event."""
    condition: str | None = None
    """Of the filter, which the item does not fulfil."""
    needed: float | None = None
    """Score that is needed for the list."""


@dataclass(frozen=True)
class SourcePlace:
    """Where a source has an item."""

    source: str
    place: int | None
    """In its list of all that may be shown, from 1; None when it does not have the item among the first `looked`."""
    brings: int
    """How many it brings."""
    looked: int
    """How many were looked at."""


@dataclass(frozen=True)
class Standing:
    """Where one item stands for one person."""

    item_id: str
    k: int
    """Length of the list that it is about."""
    obstacles: tuple[Obstacle, ...] = ()
    """All that keeps the item out, in the order of the way; none when it is shown."""
    title: str | None = None
    place: int | None = None
    """Its place in the order of all candidates, from 1; of one that no source brought, the place it would have."""
    score: float | None = None
    """By which it has this place."""
    sources: tuple[SourcePlace, ...] = ()
    """Of an item that may be shown."""
    reasons: tuple[Reason, ...] = ()
    """Of an item that a source brought."""
