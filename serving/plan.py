"""Which stages one answer has time for. Explanations go first, then the ranker; what is gone stays gone."""

from serving.answers import Budget, Stage


class Plan:
    """Asked as each stage comes; `degraded` names what was dropped."""

    def __init__(self, budget: Budget | None, *, explain: bool) -> None:
        self._budget = budget
        self._explain = explain
        self._ranked = True
        self.degraded: tuple[Stage, ...] = ()

    def ranks(self) -> bool:
        """Whether the ranker runs."""
        self._ranked = self._budget is None or self._budget.allows("ranker")
        if not self._ranked:
            self.degraded = ("explanations", "ranker") if self._explain else ("ranker",)
        return self._ranked

    def explains(self) -> bool:
        """Whether items come with reasons; ask after `ranks`."""
        if not (self._explain and self._ranked):
            return False
        if self._budget is None or self._budget.allows("explanations"):
            return True
        self.degraded = ("explanations",)
        return False
