"""The simulated shop of the benchmark: items with attributes around common tastes, and what happened to them.

Nothing is learned here, yet everything has the shape of what training meets: items lie in groups, a few are in
everybody's history and most in few, some have no event at all, some are not available. I items, G groups.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.arrays import IntArray
from features.dataset import DatasetConfig
from features.events import AttributeTable, EventTable, Tables
from features.moments import DAY, SECOND

NEWEST = 1_780_272_000_000
"""2026-06-01T00:00:00Z, the moment of the newest event."""
YEARS = 2
CATEGORIES = 30
ITEMS_A_CREATOR = 50
ITEMS_A_GROUP = 500
COUNTRIES = ("de", "fr", "it", "pl", "se", "uk")
WITHOUT_EVENTS = 0.1
EVENTS_AN_ITEM = 3
POPULARITY_POWER = 0.8
NOT_AVAILABLE = 0.02
FIRST_WORDS = ("Bright", "Early", "Green", "Local", "Modern", "Northern", "Old", "Quiet", "Swift", "Winter")

SHOP = DatasetConfig.parse(
    {
        "consent": {"assume": "granted", "basis": "simulated people"},
        "order": {"time": "time"},
        "events": {"type": "type"},
        "types": {
            "view": {"weight": 1, "repeat": "always"},
            "cart": {"weight": 2, "repeat": "always"},
            "purchase": {"weight": 3, "repeat": {"after_days": 30}},
        },
        "users": {"columns": {"country": {"role": "categorical", "static": True}}},
        "items": {
            "title": "title",
            "columns": {
                "category": {"role": "categorical", "static": True},
                "creator": {"role": "categorical", "static": True},
                "price": {"role": "numeric", "static": True},
                "released": {"role": "time", "static": True},
                "imported": {"role": "categorical", "static": True},
            },
            "available": {"from": "available_from", "to": "available_to"},
        },
    }
)


@dataclass(frozen=True)
class Shop:
    """The items and the log of one size."""

    tables: Tables
    groups: IntArray
    """int64 [I]: the group of each item, in the order of the item table."""
    popularity: npt.NDArray[np.float64]
    """float64 [I]: chance of being the next that somebody takes; 0 for an item without events."""

    @property
    def item_ids(self) -> np.ndarray:
        """object [I], sorted."""
        return self.tables.items.ids


def shop_of(items: int, seed: int = 0) -> Shop:
    """The shop behind a bundle."""
    return make_shop(items, groups_of(items), seed)


def groups_of(items: int) -> int:
    """G: 2,000 groups for a million items."""
    return max(8, items // ITEMS_A_GROUP)


def make_shop(items: int, groups: int, seed: int) -> Shop:
    """A shop of so many items in so many groups; the same for the same arguments."""
    draw = np.random.default_rng(seed)
    group = draw.integers(0, groups, items)
    popularity = _popularity(items, draw)
    tables = Tables(
        events=_events(item_ids(items), popularity, draw),
        users=AttributeTable(_objects(list(COUNTRIES)), {"country": _objects(list(COUNTRIES))}, {}),
        items=_items(group, draw),
        fingerprint=f"simulated: {items} items, {groups} groups, seed {seed}",
    )
    return Shop(tables, group, popularity)


def item_ids(items: int) -> np.ndarray:
    """object [I]: outside ids, sorted."""
    return _objects([f"i{number:07d}" for number in range(items)])


def _popularity(items: int, draw: np.random.Generator) -> npt.NDArray[np.float64]:
    """A long tail, with a share at its end that nobody took yet."""
    weights = draw.permutation((1.0 + np.arange(items)) ** -POPULARITY_POWER)
    weights[draw.random(items) < WITHOUT_EVENTS] = 0.0
    shares: npt.NDArray[np.float64] = weights / weights.sum()
    return shares


def _items(group: IntArray, draw: np.random.Generator) -> AttributeTable:
    """Category and creator go with the group; price, release and origin do not."""
    items = len(group)
    creators = max(1, items // ITEMS_A_CREATOR)
    creator = (group * 7919 + draw.integers(0, max(1, creators // 100), items)) % creators
    category = np.where(draw.random(items) < 0.9, group % CATEGORIES, draw.integers(0, CATEGORIES, items))
    released = (NEWEST // SECOND) - draw.integers(0, int(YEARS * 365 * DAY / SECOND), items)
    price = np.round(np.exp(draw.normal(3.0, 1.0, items)), 2)
    opens, closes = np.full(items, np.iinfo(np.int64).min), np.full(items, np.iinfo(np.int64).max)
    gone = draw.random(items) < NOT_AVAILABLE
    closes[gone] = NEWEST - DAY
    words = draw.integers(0, len(FIRST_WORDS), items).tolist()
    return AttributeTable(
        ids=item_ids(items),
        columns={
            "category": _objects([f"category-{one:02d}" for one in category.tolist()]),
            "creator": _objects([f"creator-{one:05d}" for one in creator.tolist()]),
            "price": _objects(price.tolist()),
            "released": _objects(released.tolist()),
            "imported": _objects(["yes" if one else "no" for one in (draw.random(items) < 0.3).tolist()]),
        },
        changes={},
        titles=_objects([f"{FIRST_WORDS[word]} Thing {number:,}" for number, word in enumerate(words)]),
        available_from=opens,
        available_to=closes,
    )


def _events(ids: np.ndarray, popularity: npt.NDArray[np.float64], draw: np.random.Generator) -> EventTable:
    """A log of the shop as one nobody's history: statistics are counted from it, and nothing else."""
    taken = np.flatnonzero(popularity)
    drawn = draw.choice(len(popularity), EVENTS_AN_ITEM * len(popularity), p=popularity)
    codes = np.concatenate([taken, drawn]).astype(np.int64)
    moments = np.sort(NEWEST - draw.integers(0, int(YEARS * 365 * DAY), len(codes)))
    moments[-1] = NEWEST
    return EventTable(
        users=_objects(["nobody"]),
        items=ids,
        types=tuple(SHOP.types),
        user_codes=np.zeros(len(codes), dtype=np.int64),
        item_codes=draw.permutation(codes),
        type_codes=draw.choice(3, len(codes), p=(0.8, 0.15, 0.05)),
        moments=moments,
        values=np.full(len(codes), np.nan, dtype=np.float32),
        event_ids=np.empty(len(codes), dtype=object),
        contexts={},
    )


def _objects(values: list[object] | list[str] | list[float] | list[int]) -> np.ndarray:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
