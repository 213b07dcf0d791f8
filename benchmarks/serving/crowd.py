"""Whom a run asks about: users in a random order, nobody twice."""

import numpy as np

from benchmarks.accuracy.measured import BenchmarkError


def user_id(number: int) -> str:
    """The outside id of a user."""
    return f"u{number:07d}"


class Crowd:
    """Users in a random order, each given out once: no answer of a run can come from an earlier one."""

    def __init__(self, users: int, seed: int = 0) -> None:
        self._order = np.random.default_rng(seed).permutation(users)
        self._given = 0

    @property
    def left(self) -> int:
        """Users not yet asked."""
        return len(self._order) - self._given

    def take(self, count: int) -> list[str]:
        """The next users. Raises BenchmarkError when there are not so many left."""
        if count > self.left:
            raise BenchmarkError(
                f"{count:,} more users are needed, and {self.left:,} of {len(self._order):,} were "
                "not asked yet: give more with --users, or measure fewer parts at once"
            )
        taken = self._order[self._given : self._given + count]
        self._given += count
        return [user_id(number) for number in taken.tolist()]

    def again(self) -> None:
        """Begin anew, for a service that was started anew and remembers nobody."""
        self._given = 0
