"""What the people of imported tables allow: their own answers, and an assumption for those who are silent.

Both are statements, so that `features.consent.decide` answers for imported people as it does for live ones.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.arrays import BoolArray
from features.consent import OPT_IN, decide
from features.statements import Statement


@dataclass(frozen=True)
class ImportedConsent:
    """The statements of consent of everybody in the tables."""

    assumed: tuple[Statement, ...]
    """Of everybody, before all that they said."""
    declared: Mapping[str, tuple[Statement, ...]]
    """What the table says, by user id."""

    def of(self, user_id: str) -> tuple[Statement, ...]:
        """All statements of one person."""
        return (*self.assumed, *self.declared.get(user_id, ()))

    def allowing(self, users: npt.NDArray[Any], purposes: Collection[str], moment: int) -> BoolArray:
        """bool [U]: whether each user allows one of the purposes at a moment."""

        def allows(statements: Sequence[Statement]) -> bool:
            return any(decide(purpose, statements, OPT_IN, moment).allowed for purpose in purposes)

        silent = allows(self.assumed)
        answers = {user: allows(self.of(user)) for user in self.declared}
        return np.fromiter((answers.get(user, silent) for user in users), dtype=np.bool_, count=len(users))
