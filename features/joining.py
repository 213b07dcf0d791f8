"""Two people who turn out to be one: what they must be taken to have declared."""

from collections.abc import Sequence

from features.consent import stricter
from features.preferences import kept_at_merge
from features.statements import Statement


def settled(user: Sequence[Statement], visitor: Sequence[Statement]) -> list[Statement]:
    """What is declared with a merge: the stricter answers of consent, and the preferences that must stay."""
    return [*stricter(user, visitor), *kept_at_merge(user, visitor)]


def joined(user: Sequence[Statement], visitor: Sequence[Statement]) -> list[Statement]:
    """The statements of a user and a visitor as one, oldest first, with what is settled in force."""
    return sorted([*user, *visitor, *settled(user, visitor)], key=lambda one: one.moment)
