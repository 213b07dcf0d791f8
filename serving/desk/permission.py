"""What of a person a request may read and store, by their consent: asked anew each time, so that a withdrawal acts on
the next request of any worker.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, TypeAlias

from features.consent import ConsentRules, Purpose, decide, describable, storable
from features.moments import SECOND
from features.person import Person, impersonal
from features.preferences import NONE, preferences_of
from features.statements import Statement
from serving.state.protocol import Admit, State

NotPersonal: TypeAlias = Literal["denied", "unknown", "state"]
CLOCK_SKEW = 600 * SECOND
"""Another machine's clock may run this far ahead: an answer that it took counts here at once, in ms."""


class Permitted(NamedTuple):
    """What may be known of a person."""

    person: Person
    """Where lists must not be personal, a stranger's record with what they hid."""
    not_personal: NotPersonal | None
    """Why they must not be."""
    measured: bool = False
    """Whether what is shown to them may be counted."""


def permitted(
    statements: Sequence[Statement],
    rules: ConsentRules,
    now: int,
    demographics: Collection[str],
    read: Callable[[], Person],
) -> Permitted:
    """The record of a person as an answer may know it; `read` is called only if they allow personal lists.

    What they hid binds every answer: it is an order of theirs and tells nothing that a list would be made from.

    The attributes named in `demographics` are there only if they share them. The moment is the present, whatever
    moment the answer is for.
    """
    declared = preferences_of(statements, now + CLOCK_SKEW, now)
    measured = measuring(rules, now)(statements)
    personal = decide(Purpose.PERSONALIZE, statements, rules, now + CLOCK_SKEW)
    if not personal.allowed:
        stranger = impersonal(Person(preferences=declared))
        return Permitted(stranger, "denied" if personal.state == "denied" else "unknown", measured)
    shared = decide(Purpose.SHARE_DEMOGRAPHICS, statements, rules, now + CLOCK_SKEW).allowed
    person = read() if shared else read().without_attributes(demographics)
    return Permitted(person if declared is NONE else replace(person, preferences=declared), None, measured)


def permitted_past(
    state: State,
    user_id: str | None,
    anonymous_id: str | None,
    rules: ConsentRules,
    now: int,
    demographics: Collection[str],
    read: Callable[[], Person],
) -> Permitted:
    """The same of what a state holds. Raises StateError."""
    nobody = user_id is None and anonymous_id is None
    statements = [] if nobody else state.statements(user_id, anonymous_id)
    return permitted(statements, rules, now, demographics, read)


def measuring(rules: ConsentRules, now: int) -> Admit:
    """Whether what a person was served may be logged, to be asked in the transaction that logs it."""

    def admit(statements: Sequence[Statement]) -> bool:
        return decide(Purpose.MEASURE, statements, rules, now + CLOCK_SKEW).allowed

    return admit


def admitting(rules: ConsentRules, now: int) -> Admit:
    """Whether a state may store what a person did or is, to be asked in the transaction that stores it."""

    def admit(statements: Sequence[Statement]) -> bool:
        return storable(statements, rules, now + CLOCK_SKEW)

    return admit


def describing(rules: ConsentRules, now: int, *, demographic: bool) -> Admit:
    """Whether a state may store an attribute of a person, to be asked in the transaction that stores it."""

    def admit(statements: Sequence[Statement]) -> bool:
        return describable(statements, rules, now + CLOCK_SKEW, demographic=demographic)

    return admit
