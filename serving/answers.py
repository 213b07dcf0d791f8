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


@dataclass(frozen=True)
class Reason:
    """Why an item was picked."""

    code: str
    """Name of the kind of reason: the source that brought it."""
    item_id: str | None = None
    """The item of the person's own past that speaks most for the pick, if there is one."""
    title: str | None = None
    """That item's name."""
    weight: float = 0.0
    """How much it speaks for the pick, in the source's own measure."""


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
