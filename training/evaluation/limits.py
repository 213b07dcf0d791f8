"""The `fairness` section: limits to what lists may do to groups of people and to the breadth of what is shown."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import Field

from features.dataset import DatasetConfig
from features.errors import ConfigError
from features.strict import StrictConfig
from training.evaluation.group_gaps import widest
from training.evaluation.metrics import Interval


class FairnessConfig(StrictConfig):
    """What a training measures of fairness and breadth, and the limits that its report holds it to; null: none."""

    least_users: int = Field(default=30, ge=2)
    """A smaller group is told of, but held to no limit."""
    counterfactual_moments: int = Field(default=200, ge=0)
    """Moments at which a protected attribute is exchanged, for each such attribute; 0 leaves the check out."""
    category: str | None = None
    """Attribute of items whose values count as categories; the first categorical one, if not given."""
    max_accuracy_gap: float | None = Field(default=0.2, gt=0)
    """How far the NDCG of a group may lie below that of all others, as a share of everybody's."""
    max_calibration_factor: float | None = Field(default=1.5, gt=1)
    """How many times too many or too few wanted events may be foretold of a group."""
    max_exposure_factor: float | None = Field(default=None, gt=1)
    """How many times more or fewer looks than takes a protected group of items may have."""
    max_popularity_bias: float | None = Field(default=None, gt=0)
    """Popularity of what is shown over that of what is taken."""
    min_coverage: float | None = Field(default=None, gt=0, le=1)
    """Share of all items that must stand in some list."""
    min_categories: float | None = Field(default=None, gt=0)
    """Distinct categories that a list must have on average."""
    max_likeness: float | None = Field(default=None, gt=0, le=1)
    """Mean cosine between the items of one list."""
    max_overlap: float | None = Field(default=None, gt=0, le=1)
    """Share of a list that the list of another person may hold too, on average."""
    min_flipped_overlap: float | None = Field(default=None, gt=0, le=1)
    """Share of a list that must stay when a protected attribute is exchanged."""


class Breach(NamedTuple):
    """A figure beyond its limit."""

    limit: str
    """Its key under `fairness`."""
    of: str
    """What it was measured of: a group, an attribute, all lists."""
    value: float
    allowed: float
    sure: bool
    """Whether the whole interval lies beyond the limit."""


def require_measurable(fairness: FairnessConfig, dataset: DatasetConfig) -> None:
    """Raises ConfigError for a limit that was set although the data set has nothing that it is measured of."""
    people = any(one.protected for one in dataset.users.columns.values())
    items = any(one.protected for one in dataset.items.columns.values())
    _require_category(fairness, dataset)
    lacking = {
        "max_accuracy_gap": None if people else "no attribute of users is `protected`",
        "max_calibration_factor": None if people else "no attribute of users is `protected`",
        "min_flipped_overlap": None if people else "no attribute of users is `protected`",
        "max_exposure_factor": None if items else "no attribute of items is `protected`",
        "min_categories": None if category_of(fairness, dataset) else "no attribute of items is categorical",
    }
    for limit, lack in lacking.items():
        if lack and limit in fairness.model_fields_set and getattr(fairness, limit) is not None:
            raise ConfigError(
                f"{lack}, so that this limit has nothing that it could be measured of",
                field=f"fairness.{limit}",
                hint="Mark a column under `dataset`, or take the limit out.",
            )


def _require_category(fairness: FairnessConfig, dataset: DatasetConfig) -> None:
    there = [name for name, one in dataset.items.columns.items() if one.role == "categorical"]
    if fairness.category is not None and fairness.category not in there:
        raise ConfigError(
            f"items have no categorical attribute {fairness.category!r}",
            field="fairness.category",
            hint=f"There are: {', '.join(there) or 'none'}.",
        )


def category_of(fairness: FairnessConfig, dataset: DatasetConfig) -> str | None:
    """The attribute of items by which breadth counts; None where there is none."""
    categorical = (name for name, one in dataset.items.columns.items() if one.role == "categorical")
    return fairness.category or next(categorical, None)


def breaches_of(figures: dict[str, Any], limits: FairnessConfig) -> list[Breach]:
    """Every figure that lies beyond its limit, in the order of the limits."""
    return [breach for breach in (*_of_groups(figures, limits), *_of_lists(figures, limits)) if breach]


def _of_groups(figures: dict[str, Any], limits: FairnessConfig) -> Iterator[Breach | None]:
    for attribute, groups in figures["groups"].items():
        if found := widest(groups, "gap", limits.least_users):
            yield _above("max_accuracy_gap", f"{attribute}: {found[0]}", found[1], limits.max_accuracy_gap)
        for name, one in groups.items():
            if one["users"] >= limits.least_users:
                of, factor = f"{attribute}: {name}", limits.max_calibration_factor
                yield _within("max_calibration_factor", of, Interval(**one["observed_over_expected"]), factor)
    for attribute, values in figures["exposure"].items():
        for name, one in values.items():
            of, factor = f"{attribute}: {name}", limits.max_exposure_factor
            yield _within("max_exposure_factor", of, Interval(**one["looks_over_taken"]), factor)
    for attribute, ways in figures["counterfactual"].items():
        overlap = Interval(**ways["flipped"]["overlap"])
        yield _below("min_flipped_overlap", attribute, overlap, limits.min_flipped_overlap)


def _of_lists(figures: dict[str, Any], limits: FairnessConfig) -> Iterator[Breach | None]:
    bias, breadth = Interval(**figures["popularity"]["shown_over_taken"]), figures["breadth"]
    yield _above("max_popularity_bias", "all lists", bias, limits.max_popularity_bias)
    yield _below("min_coverage", "all lists", Interval(**breadth["coverage"]), limits.min_coverage)
    if "categories" in breadth:
        yield _below("min_categories", "a list", Interval(**breadth["categories"]), limits.min_categories)
    yield _above("max_likeness", "a list", Interval(**breadth["likeness_within"]), limits.max_likeness)
    yield _above("max_overlap", "two lists", Interval(**breadth["overlap_between_users"]), limits.max_overlap)


def _above(limit: str, of: str, found: Interval, allowed: float | None) -> Breach | None:
    if allowed is None or not found.mean > allowed:
        return None
    return Breach(limit, of, found.mean, allowed, found.low > allowed)


def _below(limit: str, of: str, found: Interval, allowed: float | None) -> Breach | None:
    if allowed is None or not found.mean < allowed:
        return None
    return Breach(limit, of, found.mean, allowed, found.high < allowed)


def _within(limit: str, of: str, found: Interval, factor: float | None) -> Breach | None:
    """A ratio that should be 1, and may be off by a factor either way."""
    if factor is None:
        return None
    return _above(limit, of, found, factor) or _below(limit, of, found, 1 / factor)
