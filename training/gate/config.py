"""The `gate` section: the thresholds of the rules that a candidate must pass to go live."""

from pydantic import Field

from features.dataset import DatasetConfig
from features.errors import ConfigError
from features.strict import StrictConfig


class GateConfig(StrictConfig):
    """What a candidate may be worse in than the live bundle, on the same newest slice; null takes a rule out."""

    least_moments: int = Field(default=200, ge=1)
    """Moments of the newest slice below which nothing is judged, nor trained: it waits for more events."""
    max_accuracy_loss: float | None = Field(default=0.1, ge=0)
    """Share of the live NDCG that the candidate may surely not lose: held against the low end of the interval."""
    min_gain_over_plain: float | None = Field(default=0.0)
    """NDCG by which the candidate must beat what is merely popular or trending, at the low end of the interval."""
    min_coverage_ratio: float | None = Field(default=0.8, gt=0)
    """Distinct items in all lists, over those of the live bundle."""
    max_popularity_ratio: float | None = Field(default=1.25, gt=0)
    """Popularity of what is shown over what is taken, over that of the live bundle."""
    max_calibration_factor: float | None = Field(default=1.5, gt=1)
    """How many times too many or too few wanted events may be foretold."""
    max_group_gap_rise: float | None = Field(default=0.1, ge=0)
    """How much more than with the live bundle a protected group may stay behind the others, as a share of the NDCG."""
    least_group_users: int = Field(default=30, ge=2)
    """A smaller group is not held against the rule above."""
    max_overlap_rise: float | None = Field(default=0.1, ge=0)
    """How much more of a list another person's list may hold than with the live bundle: lists must not collapse."""
    min_new_items_ratio: float | None = Field(default=0.5, ge=0)
    """Share of places that go to new items, over that of the live bundle."""
    new_item_days: float = Field(default=14.0, gt=0)
    """An item is new for so long after its first event."""
    max_latency_ratio: float | None = Field(default=1.5, gt=0)
    """Median time of an answer, over that of the live bundle, asked in turn on this machine."""
    max_size_ratio: float | None = Field(default=2.0, gt=0)
    """Bytes of the bundle, over those of the live one."""
    max_psi: float | None = Field(default=0.25, gt=0)
    """Population stability index of any input, before the newest slice and in it, beyond what as many other people from
    before would bring."""
    parity: bool = True
    """Whether golden answers must come out again."""


def require_askable(gate: GateConfig, dataset: DatasetConfig) -> None:
    """Raises ConfigError for a threshold that was set although the data set has nothing that it is measured of."""
    people = any(one.protected for one in dataset.users.columns.values())
    lacks = {
        "max_group_gap_rise": None if people else "no attribute of users is `protected`",
        "min_new_items_ratio": None if dataset.timed else "events have no time, so that no item is new",
    }
    for name, lack in lacks.items():
        if lack and name in gate.model_fields_set and getattr(gate, name) is not None:
            raise ConfigError(
                f"{lack}: this threshold has no figure that it could be held against",
                field=f"gate.{name}",
                hint="Mark a column under `dataset`, or take the threshold out.",
            )
