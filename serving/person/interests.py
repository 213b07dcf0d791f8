"""What a person's past says of their interests, by category of the items, with the events that say it.

Nothing is answered from this: it tells a person in words what the models can read from the same events.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from features.dataset import TypeConfig
from features.moments import DAY
from features.schema import Schema
from features.vocabulary import RESERVED
from serving.catalogue import Catalogue
from serving.state.protocol import StoredEvent

HALF_LIFE_DAYS = 30.0
"""Age at which an event says half as much."""
MOST_VALUES = 5
MOST_EVIDENCE = 3
LEAST_SHARE = 0.05
"""What is a smaller share of what was done is no interest."""
_CATEGORIES = ("categorical", "multi_categorical")


class Interest(NamedTuple):
    """One category that a person turns to."""

    attribute: str
    """Column of the item table."""
    value: str
    share: float
    """Of all that the person did, weighted by event type and age, within the attribute."""
    events: int
    """Events that say it."""
    item_ids: tuple[str, ...]
    """The items among them that say most."""


def inferred_interests(
    events: Sequence[StoredEvent], schema: Schema, catalogue: Catalogue, moment: int
) -> list[Interest]:
    """At most a few values of each categorical attribute, the strongest first; none without positive events."""
    weights = [_weight(event, schema.dataset.types, schema.timed, moment) for event in events]
    told = [(event, weight) for event, weight in zip(events, weights, strict=True) if weight > 0]
    if not told:
        return []
    codes = catalogue.codes[schema.items.rows([event.item_id for event, _ in told])]
    found: list[Interest] = []
    start = 0
    for field in schema.item_fields:
        columns = codes[:, start : start + field.width]
        start += field.width
        if field.role in _CATEGORIES:
            values = [[field.describe(code) for code in row if code >= RESERVED] for row in columns.tolist()]
            found += _of_attribute(field.name, told, values)
    return found


def segment(events: Sequence[StoredEvent], schema: Schema, moment: int) -> str:
    """How often a person comes, in words; by the days of the last four weeks on which they did something."""
    if not events:
        return "nobody known: no event is held"
    if not schema.timed:
        return f"{_counted(len(events), 'event')} held; without times nobody can tell how often they come"
    recent = {event.moment // DAY for event in events if moment - 28 * DAY < event.moment}
    first = min(event.moment for event in events)
    if not recent:
        return f"away: last seen {_counted((moment - max(event.moment for event in events)) // DAY, 'day')} ago"
    if moment - first < 7 * DAY:
        return f"newcomer: first seen {_counted((moment - first) // DAY, 'day')} ago"
    kind = "frequent" if len(recent) >= 12 else "regular" if len(recent) >= 4 else "occasional"
    return f"{kind}: active on {_counted(len(recent), 'day')} of the last 28"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _weight(event: StoredEvent, types: Mapping[str, TypeConfig], timed: bool, moment: int) -> float:
    """What an event says: the weight of its type, halved with age; nothing unless it is positive."""
    kind = types.get(event.type)
    if kind is None or kind.sign != "positive":
        return 0.0
    return float(kind.weight) * (0.5 ** (max(moment - event.moment, 0) / (HALF_LIFE_DAYS * DAY)) if timed else 1.0)


def _of_attribute(
    name: str, told: Sequence[tuple[StoredEvent, float]], values: Sequence[Sequence[str]]
) -> Iterator[Interest]:
    """An event whose item has several values is shared among them."""
    by_value: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
    for (event, weight), of_item in zip(told, values, strict=True):
        for value in of_item:
            by_value[value].append((weight / len(of_item), event.item_id))
    total = sum(weight for _, weight in told)
    strongest = sorted(by_value.items(), key=lambda one: (-sum(weight for weight, _ in one[1]), one[0]))
    for value, says in strongest[:MOST_VALUES]:
        share = sum(weight for weight, _ in says) / total
        if share >= LEAST_SHARE:
            items = dict.fromkeys(item for _, item in sorted(says, key=lambda one: -one[0]))
            yield Interest(name, value, share, len(says), tuple(items)[:MOST_EVIDENCE])
