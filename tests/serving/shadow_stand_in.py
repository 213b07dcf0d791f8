"""What another process does in place of a shadow bundle; a file of its own, so that the process loads nothing else."""

import time
from collections.abc import Callable
from typing import NamedTuple

from features.errors import RequestError
from serving.shadow.comparing import Listed, Question

WRONG, FAULT, END = 1, 2, 3
"""Numbers of items for which it cannot answer, each in another way."""
PRIVATE = "somebody's id"


class Answers(NamedTuple):
    """Answers the same list to every question, as slowly as it is told."""

    seconds: float = 0.0

    def __call__(self) -> Callable[[Question | None], Listed | str]:
        return self._answer

    def _answer(self, asked: Question | None) -> Listed | str:
        if asked is None:
            return "shadow"
        time.sleep(self.seconds)
        match asked.k:
            case 1:
                raise RequestError("no such column", field="filter")
            case 2:
                raise KeyError(PRIVATE)
            case 3:
                raise SystemExit(3)
        return Listed({"b": 0.7, "c": 0.1}, 4.0)
