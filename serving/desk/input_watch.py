"""What Prometheus is told of the inputs of answers: how often each had which code, beside what it was in training.

A worker counts by bin, because counts can be added up over workers and replicas and over any span of time; the index of
drift, which cannot, is Prometheus's to work out (deploy/prometheus/drift.yml). A request only leaves its person here;
a thread beside the requests encodes some of them, so that the cost has a bound whatever the traffic.
"""

from collections import deque
from collections.abc import Iterable
from weakref import ref

from features.inputs import input_codes
from features.person import Person
from serving.bundle import Bundle
from serving.metrics import INPUT_REFERENCE, INPUTS

LOOK_SECONDS = 0.25
"""Between two looks at what was answered."""
MOST_AT_ONCE = 5
"""Answers that one look counts, the newest: 20 a second and worker, for about 5 ms of a processor."""


class InputWatch:
    """Counts the inputs of one worker's answers; safe to call from several threads."""

    def __init__(self) -> None:
        self._answered: deque[tuple[ref[Bundle], Person, int]] = deque(maxlen=MOST_AT_ONCE)

    def add(self, bundle: Bundle, person: Person, moment: int) -> None:
        """Take note of an answer to somebody who may be counted."""
        self._answered.append((ref(bundle), person, moment))

    def look(self) -> None:
        """Count what was answered since the last look, or the newest of it, by bundles that are still there."""
        for _ in range(len(self._answered)):
            known, person, moment = self._answered.popleft()
            bundle = known()
            if bundle is None:
                continue
            codes = input_codes(bundle.schema, person, moment, bundle.settings.max_events)
            for name, code in codes.items():
                if (before := bundle.inputs.get(name)) is not None:
                    INPUTS.labels(name, str(before.bin_of(code)), bundle.name).inc()


def tell_references(bundles: Iterable[Bundle]) -> None:
    """Say what the inputs were in training; a bin that no answer falls into counts from then on, as 0."""
    for bundle in bundles:
        for name, before in bundle.inputs.items():
            for place, share in enumerate(before.shares):
                INPUTS.labels(name, str(place), bundle.name)
                INPUT_REFERENCE.labels(name, str(place), bundle.name).set(share)
