"""Groups of people by a protected attribute, as of the moment of a request."""

from collections.abc import Sequence
from typing import Any

from features.dataset import DatasetConfig
from features.encoders import as_id, is_missing
from features.moments import YEAR, to_moment
from training.moments import Moment

UNKNOWN_GROUP = "unknown"


def groups_of(dataset: DatasetConfig, moments: Sequence[Moment]) -> dict[str, list[str]]:
    """The group of each moment's person, by protected attribute."""
    columns = {name: one for name, one in dataset.users.columns.items() if one.protected}
    return {
        name: [group(one.person.attribute(name, one.moment), column.role, one.moment) for one in moments]
        for name, column in columns.items()
    }


def group(value: Any, role: str, moment: int) -> str:
    """The group of a protected attribute's value; ages by decade."""
    if is_missing(value):
        return UNKNOWN_GROUP
    if role == "birth_date":
        decade = int((moment - to_moment(value)) / YEAR // 10 * 10)
        return f"{decade}-{decade + 9} years"
    return as_id(value)
