"""A schema that grew: everything keeps the code that it had, and what is new stands behind it.

So that weights which were fitted on the smaller schema still mean what they meant.
"""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from features.encoders import MAX_CATEGORIES, Field, as_id, is_missing, split
from features.events import AttributeTable, EventTable
from features.schema import Schema, values_of


def grown_schema(before: Schema, events: EventTable, users: AttributeTable, items: AttributeTable) -> Schema:
    """`before` with the items and categories that came since; buckets, edges and widths stay.

    New items stand in the order of `fit_schema`: those that occur, sorted by id, then the others of the table.
    """
    occurring = sorted(set(events.items[np.unique(events.item_codes)]))
    return replace(
        before,
        items=before.items.extended(occurring).extended(items.ids),
        item_fields=tuple(grown_field(one, values_of(items, one.name)) for one in before.item_fields),
        user_fields=tuple(grown_field(one, values_of(users, one.name)) for one in before.user_fields),
        changing_user_fields=tuple(grown_field(one, values_of(users, one.name)) for one in before.changing_user_fields),
        context_fields=tuple(grown_field(one, list(events.contexts[one.name])) for one in before.context_fields),
    )


def grown_field(field: Field, values: list[Any]) -> Field:
    """The field with categories that it does not know behind those that it knows, the most frequent first."""
    present = [value for value in values if not is_missing(value)]
    match field.role:
        case "categorical":
            parts = [as_id(value) for value in present]
        case "multi_categorical":
            parts = [part for value in present for part in split(value, field.separator)]
        case _:
            return field
    counts = Counter(part for part in parts if part not in field.vocabulary)
    room = max(0, MAX_CATEGORIES + 2 - len(field.vocabulary))
    new = [part for part, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))][:room]
    vocabulary = field.vocabulary.extended(new)
    return replace(field, vocabulary=vocabulary, size=len(vocabulary))
