"""Events that come with a request, laid into a person's record for this one answer; nothing is stored."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from features.person import Events, Person, Taken
from serving.state.protocol import StoredEvent


def with_events(person: Person, events: Sequence[StoredEvent]) -> Person:
    """The person after these events too; exposures must not be among them."""
    if not events:
        return person
    return replace(person, events=_merged(person.events, events), taken=_extended(person.taken, events))


def _merged(past: Events, new: Sequence[StoredEvent]) -> Events:
    """Both in the order of time; at equal moments the new ones come last."""
    moments = np.concatenate([past.moments, np.array([event.moment for event in new], dtype=np.int64)])
    order = np.argsort(moments, kind="stable").tolist()
    item_ids = [*past.item_ids, *(event.item_id for event in new)]
    types = [*past.types, *(event.type for event in new)]
    values = np.append(past.values, np.array([event.value for event in new], dtype=np.float32))
    contexts = [*(past.contexts or [{}] * len(past)), *(event.context or {} for event in new)]
    return Events(
        item_ids=[item_ids[index] for index in order],
        types=[types[index] for index in order],
        moments=moments[order],
        values=values[order].astype(np.float32),
        contexts=[contexts[index] for index in order] if any(contexts) else None,
    )


def _extended(taken: Taken | None, new: Sequence[StoredEvent]) -> Taken | None:
    if taken is None:
        return None
    return Taken(
        [*taken.item_ids, *(event.item_id for event in new)],
        [*taken.types, *(event.type for event in new)],
        np.append(taken.moments, np.array([event.moment for event in new], dtype=np.int64)),
    )
