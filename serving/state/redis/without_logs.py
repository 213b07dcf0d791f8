"""What the store in Redis does not keep yet: refused events, and what was served."""

# ruff: noqa: ARG002 (what keeps nothing reads nothing)

from collections.abc import Collection, Sequence

from serving.state.dead_letters import DeadLetter, Refused
from serving.state.protocol import Admit, everyone
from serving.state.served_log import LogExport, LoggedAnswer, ServedRow


class WithoutDeadLetters:
    """`DeadLetters` that keep none: a refused event is gone once it is answered."""

    def keep(self, letters: Sequence[Refused], admit: Admit = everyone) -> int:
        return 0

    def after(self, number: int, limit: int) -> list[DeadLetter]:
        return []

    def drop(self, numbers: Collection[int]) -> int:
        return 0


class WithoutServedLog:
    """A `ServedLog` that keeps nothing: no list can be continued by `after`."""

    def add(self, rows: Sequence[ServedRow], admit: Admit = everyone) -> int:
        return 0

    def find(self, request_id: str, user_id: str | None, anonymous_id: str | None = None) -> ServedRow | None:
        return None

    def after(self, number: int, limit: int) -> list[LoggedAnswer]:
        return []

    def newest(self) -> int:
        return 0

    def note_export(self, export: LogExport) -> None:
        """Keep no note: the folder's own manifest tells of the copy."""

    def exports(self) -> list[LogExport]:
        return []
