"""What a person declared, as item rows: what is hidden, what belongs to an interest. R item rows, K candidates.

A category is a filter's condition, so that its bitmap is the one that filters keep: with a million items, 125 KB.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from features.arrays import BoolArray, FloatArray, IntArray
from features.person import Events, Person
from features.preferences import Category, Preferences
from features.schema import Schema
from serving.bundle import Bundle
from serving.filters import Filter
from serving.filters.expressions import Membership
from serving.filters.operands import ItemAttribute, Text
from serving.retrieval.bitmap import Bitmap, contains
from serving.retrieval.eligibility import Eligible

SPOKEN = 10
"""An interest weighs as much as so many events: after as many, a candidate of it gains half of the distance between the
best and the worst candidate's score, before the first all of it. A disliked category loses all of it, always."""
PINNED = "pinned"
"""What stands for a source where an item is of a pinned interest."""
BLOCK = 5
"""Of so many places in a row, one belongs to a pinned interest."""

CATEGORICAL = ("categorical", "multi_categorical")


def knows(bundle: Bundle, category: Category) -> bool:
    """Whether any item of the bundle is of a category."""
    return names_categories(bundle, category.attribute) and bool(rows_of(bundle, category).any())


def names_categories(bundle: Bundle, attribute: str) -> bool:
    """Whether the data set has such an attribute of items, whose values are categories."""
    column = bundle.schema.dataset.items.columns.get(attribute)
    return column is not None and column.role in CATEGORICAL


def rows_of(bundle: Bundle, category: Category) -> Bitmap:
    """The items of a category that the data set has; shared, so read-only."""
    condition = Membership(ItemAttribute(category.attribute), (Text(category.value),))
    chosen = Filter(condition, bundle.schema.dataset)
    return bundle.filterable.passing(chosen, bundle.schema, Person(), 0)


def without_hidden(bundle: Bundle, preferences: Preferences, eligible: Eligible) -> Eligible:
    """Of the rows that may be shown, those that the person did not hide."""
    if preferences.hidden_items:
        eligible = eligible.but(bundle.schema.items.rows(preferences.hidden_items))
    for one in preferences.hidden:
        if names_categories(bundle, one.attribute):
            eligible = eligible.among(~rows_of(bundle, one))
    return eligible


def hidden(bundle: Bundle, preferences: Preferences, rows: IntArray) -> BoolArray:
    """bool [K]: which rows the person hid."""
    items = np.isin(rows, bundle.schema.items.rows(preferences.hidden_items))
    return items | of_any(bundle, preferences.hidden, rows)


def of_any(bundle: Bundle, categories: Collection[Category], rows: IntArray) -> BoolArray:
    """bool [K]: which rows are of any of the categories."""
    found = np.zeros(len(rows), dtype=bool)
    for one in categories:
        if names_categories(bundle, one.attribute):
            found |= contains(rows_of(bundle, one), rows)
    return found


def lift(bundle: Bundle, preferences: Preferences, events: int, rows: IntArray, scores: FloatArray) -> FloatArray:
    """Scores float64 [K] of candidates after what the person wants more and less of, who has done so many things."""
    if len(rows) == 0 or not (preferences.interests or preferences.disliked):
        return scores
    span = float(scores.max() - scores.min())
    more, less = of_any(bundle, preferences.interests, rows), of_any(bundle, preferences.disliked, rows)
    moved: FloatArray = scores + span * (SPOKEN / (SPOKEN + events) * more - less)
    return moved


def pinned_masks(bundle: Bundle, preferences: Preferences, rows: IntArray) -> tuple[BoolArray, ...]:
    """bool [K] for each pinned interest that has any of the rows: which they are."""
    masks = (of_any(bundle, [one], rows) for one in preferences.pinned)
    return tuple(mask for mask in masks if mask.any())


def with_pinned(order: IntArray, pinned: Sequence[BoolArray], k: int) -> IntArray:
    """The order int64 [K] in which each `BLOCK` of the first `k` places holds a candidate of a pinned interest.

    The interests, each a mask bool [K] of candidates, take turns. Where a block has none of its interest, the best
    candidate of it that stands further down takes the block's last place; all others keep their order.
    """
    if not pinned:
        return order
    found = order.tolist()
    for turn, start in enumerate(range(0, max(k - BLOCK + 1, 1), BLOCK)):
        mask, stop = pinned[turn % len(pinned)], min(start + BLOCK, k)
        if not any(mask[one] for one in found[start:stop]):
            below = next((place for place in range(stop, len(found)) if mask[found[place]]), None)
            if below is not None:
                found.insert(stop - 1, found.pop(below))
    return np.array(found, dtype=np.int64)


def with_liked(schema: Schema, person: Person, moment: int) -> Person:
    """The person after an event of the weightiest wanted type with each liked item, from when it was liked.

    What was taken stays as it is, so that a liked item may be shown. Where events have but an order, likes come last.
    """
    liked = [(item, since) for item, since in person.preferences.liked_items if since <= moment or not schema.timed]
    if not liked:
        return person
    kinds = schema.dataset.types
    kind = max((name for name in kinds if kinds[name].sign == "positive"), key=lambda name: kinds[name].weight)
    past = person.events
    moments = np.array([since if schema.timed else moment for _, since in liked], dtype=np.int64)
    both = np.concatenate([past.moments, moments])
    order = np.argsort(both, kind="stable").tolist()
    item_ids, types = [*past.item_ids, *(item for item, _ in liked)], [*past.types, *[kind] * len(liked)]
    contexts = None if past.contexts is None else [*past.contexts, *[{}] * len(liked)]
    events = Events(
        [item_ids[one] for one in order],
        [types[one] for one in order],
        both[order],
        np.concatenate([past.values, np.full(len(liked), np.nan, dtype=np.float32)])[order],
        None if contexts is None else [contexts[one] for one in order],
    )
    counted = frozenset(item for item, _ in liked).difference(past.item_ids)
    told = replace(person.preferences, liked_items=(), counted=counted)
    return replace(person, events=events, taken=person.taken_until(moment), preferences=told)
