"""The logs of a store that knows people by pseudonyms: ids are replaced on the way in, and asked ones put back."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from features.pseudonyms import Pseudonyms
from serving.state.audit_log import ENTRIES_AT_ONCE, AuditLog, Deed, Entry
from serving.state.dead_letters import DeadLetter, DeadLetters, Refused
from serving.state.protocol import Admit, everyone
from serving.state.served_log import LogExport, LoggedAnswer, ServedLog, ServedRow


def exchanged(content: Any, instead: Mapping[str, str]) -> Any:
    """Plain data with texts exchanged, wherever they stand as values."""
    if isinstance(content, str):
        return instead.get(content, content)
    if isinstance(content, list | tuple):
        return [exchanged(one, instead) for one in content]
    if isinstance(content, Mapping):
        return {name: exchanged(value, instead) for name, value in content.items()}
    return content


def named_by_pseudonym(deed: Deed, pseudonyms: Pseudonyms) -> Deed:
    """The deed itself, whose people stand in it by their pseudonyms from now on."""
    deed.people = [(pseudonyms.of_any(user), pseudonyms.of_any(visitor)) for user, visitor in deed.people]
    return deed


class PseudonymousAuditLog:
    """An `AuditLog` whose people are asked for by their own ids."""

    def __init__(self, log: AuditLog, pseudonyms: Pseudonyms) -> None:
        self._log = log
        self._pseudonyms = pseudonyms

    def note(self, deed: Deed) -> None:
        self._log.note(named_by_pseudonym(deed, self._pseudonyms))

    def after(self, number: int, limit: int = ENTRIES_AT_ONCE) -> list[Entry]:
        return self._log.after(number, limit)

    def keys(self, user_id: str | None, anonymous_id: str | None = None) -> list[bytes]:
        return self._log.keys(self._pseudonyms.of_any(user_id), self._pseudonyms.of_any(anonymous_id))


class PseudonymousDeadLetters:
    """`DeadLetters` in which a person's own id stands nowhere, also where a sender wrote it into another field."""

    def __init__(self, letters: DeadLetters, pseudonyms: Pseudonyms) -> None:
        self._letters = letters
        self._pseudonyms = pseudonyms

    def keep(self, letters: Sequence[Refused], admit: Admit = everyone) -> int:
        return self._letters.keep([self._of(one) for one in letters], admit)

    def after(self, number: int, limit: int) -> list[DeadLetter]:
        return self._letters.after(number, limit)

    def drop(self, numbers: Collection[int]) -> int:
        return self._letters.drop(numbers)

    def _of(self, letter: Refused) -> Refused:
        instead = {one: self._pseudonyms.of(one) for one in (letter.user_id, letter.anonymous_id) if one is not None}
        return letter._replace(
            content=exchanged(letter.content, instead),
            user_id=self._pseudonyms.of_any(letter.user_id),
            anonymous_id=self._pseudonyms.of_any(letter.anonymous_id),
        )


class PseudonymousServedLog:
    """A `ServedLog` whose answers are found by the ids of those who got them."""

    def __init__(self, log: ServedLog, pseudonyms: Pseudonyms) -> None:
        self._log = log
        self._pseudonyms = pseudonyms

    def add(self, rows: Sequence[ServedRow], admit: Admit = everyone) -> int:
        of_any = self._pseudonyms.of_any
        hidden = [row._replace(user_id=of_any(row.user_id), anonymous_id=of_any(row.anonymous_id)) for row in rows]
        return self._log.add(hidden, admit)

    def find(self, request_id: str, user_id: str | None, anonymous_id: str | None = None) -> ServedRow | None:
        of_any = self._pseudonyms.of_any
        row = self._log.find(request_id, of_any(user_id), of_any(anonymous_id))
        if row is None:
            return None
        asked = {self._pseudonyms.of(one): one for one in (user_id, anonymous_id) if one is not None}
        return row._replace(user_id=exchanged(row.user_id, asked), anonymous_id=exchanged(row.anonymous_id, asked))

    def after(self, number: int, limit: int) -> list[LoggedAnswer]:
        return self._log.after(number, limit)

    def newest(self) -> int:
        return self._log.newest()

    def note_export(self, export: LogExport) -> None:
        self._log.note_export(export)

    def exports(self) -> list[LogExport]:
        return self._log.exports()
