"""How far two lists for the same question are from each other.

overlap@k is the share of the longer list that stands in both, whatever its places; the score shift is the mean, over
the items in both, of the shadow's score minus the live one's. Scores are expected values of showing an item, which two
bundles may weigh differently: a shift without a change of overlap is one of calibration.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from features.person import Person


class Question(NamedTuple):
    """What the live bundle was asked, as it was allowed to know the person."""

    person: Person
    moment: int
    k: int
    exclude: Collection[str]
    filter: str | None


class Listed(NamedTuple):
    """One list, and what it took."""

    scores: Mapping[str, float]
    """Of each item, in the list's order."""
    milliseconds: float
    """In the pipeline."""


class Difference(NamedTuple):
    """One question, answered twice."""

    overlap: float
    """From 0 to 1; 1 for two empty lists."""
    score_shift: float | None
    """None where no item stands in both."""
    live_ms: float
    shadow_ms: float


def difference(live: Listed, shadow: Listed) -> Difference:
    """What sets a shadow's list apart from the live one."""
    both = live.scores.keys() & shadow.scores.keys()
    longer = max(len(live.scores), len(shadow.scores))
    shifts = [shadow.scores[item] - live.scores[item] for item in both]
    return Difference(
        overlap=len(both) / longer if longer else 1.0,
        score_shift=sum(shifts) / len(shifts) if shifts else None,
        live_ms=live.milliseconds,
        shadow_ms=shadow.milliseconds,
    )
