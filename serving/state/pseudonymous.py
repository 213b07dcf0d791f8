"""A store that knows people by pseudonyms alone: the one place where ids are replaced, in front of any backend.

Whoever asks by an id gets it back; what is listed for everybody (`user_ids`, the logs, exports) stands under
pseudonyms, which are taken as ids too. The store keeps a fingerprint of the key, so that nobody opens it with another.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from features.errors import ConfigError
from features.person import RECENT_EVENTS, Person
from features.pseudonyms import VARIABLE, Pseudonyms
from features.statements import Statement
from features.tombstones import Tombstones
from serving.state.audit_log import Deed
from serving.state.erasures import PSEUDONYMS, Erasure, Receipt, Scrubbed
from serving.state.facts import Expiring, KeptFrom
from serving.state.protocol import (
    Admit,
    Loaded,
    Outcome,
    State,
    StoredEvent,
    UserAttributes,
    UserStatement,
    everyone,
)
from serving.state.pseudonymous_logs import (
    PseudonymousAuditLog,
    PseudonymousDeadLetters,
    PseudonymousServedLog,
    exchanged,
    named_by_pseudonym,
)


def with_pseudonyms(state: State, pseudonyms: Pseudonyms | None) -> State:
    """The store as whoever has this key, or none, may use it. Raises ConfigError when it is kept with another."""
    found = state.setting(PSEUDONYMS)
    if pseudonyms is None:
        if found is not None:
            raise ConfigError(
                "this store knows people by pseudonyms, and no key for them was given: everybody would be a stranger",
                field="serving.pseudonyms",
                hint=f"Name its key under `serving.pseudonyms`, or by {VARIABLE} or {VARIABLE}_FILE.",
            )
        return state
    if found is None and (state.newest_event() is not None or next(state.user_ids(), None) is not None):
        raise ConfigError(
            "this store holds people under their own ids, which no key replaces afterwards",
            field="serving.pseudonyms",
            hint="Start with a new store and fill it: tailorbird state load.",
        )
    if state.settle(PSEUDONYMS, pseudonyms.fingerprint) != pseudonyms.fingerprint:
        raise ConfigError(
            "this store was begun with another key of its pseudonyms: everybody would be a stranger",
            field="serving.pseudonyms",
            hint="Give the first key again. A key cannot be changed: begin a new store with a new one.",
        )
    return PseudonymousState(state, pseudonyms)


class PseudonymousState:
    """A `State` in front of another, which never learns an id."""

    def __init__(self, state: State, pseudonyms: Pseudonyms) -> None:
        self._state = state
        self._pseudonyms = pseudonyms
        self._of = pseudonyms.of_any

    def audited(self, deed: Deed) -> "PseudonymousState":
        inner = self._state.audited(named_by_pseudonym(deed, self._pseudonyms))
        return PseudonymousState(inner, self._pseudonyms)

    @property
    def audit_log(self) -> PseudonymousAuditLog:
        return PseudonymousAuditLog(self._state.audit_log, self._pseudonyms)

    @property
    def dead_letters(self) -> PseudonymousDeadLetters:
        return PseudonymousDeadLetters(self._state.dead_letters, self._pseudonyms)

    @property
    def served_log(self) -> PseudonymousServedLog:
        return PseudonymousServedLog(self._state.served_log, self._pseudonyms)

    def append(self, events: Sequence[StoredEvent], admit: Admit = everyone) -> list[Outcome]:
        return self._state.append([self._hidden(one) for one in events], admit)

    def person(
        self,
        user_id: str | None,
        anonymous_id: str | None = None,
        *,
        newest: int = RECENT_EVENTS,
        without: Collection[str] = (),
    ) -> Person:
        return self._state.person(self._of(user_id), self._of(anonymous_id), newest=newest, without=without)

    def user_of(self, anonymous_id: str) -> str | None:
        return self._state.user_of(self._pseudonyms.of(anonymous_id))

    def known(self, event_ids: Collection[str]) -> set[str]:
        return self._state.known(event_ids)

    def set_attributes(self, attributes: Iterable[UserAttributes], admit: Admit = everyone) -> int:
        hidden = (one._replace(user_id=self._pseudonyms.of(one.user_id)) for one in attributes)
        return self._state.set_attributes(hidden, admit)

    def declare(self, user_id: str | None, anonymous_id: str | None, statements: Sequence[Statement]) -> int:
        return self._state.declare(self._of(user_id), self._of(anonymous_id), statements)

    def statements(self, user_id: str | None, anonymous_id: str | None = None) -> list[Statement]:
        return self._state.statements(self._of(user_id), self._of(anonymous_id))

    def load_statements(self, statements: Iterable[UserStatement], batch: int = 50_000) -> int:
        hidden = (one._replace(user_id=self._pseudonyms.of(one.user_id)) for one in statements)
        return self._state.load_statements(hidden, batch)

    def link(self, anonymous_id: str, user_id: str) -> bool:
        return self._state.link(self._pseudonyms.of(anonymous_id), self._pseudonyms.of(user_id))

    def export(self, user_id: str | None, anonymous_id: str | None = None) -> dict[str, Any]:
        held = self._state.export(self._of(user_id), self._of(anonymous_id))
        asked = self._asked(user_id, anonymous_id)
        return {kind: exchanged(content, asked) for kind, content in held.items()}

    def load(self, events: Iterable[StoredEvent], batch: int = 50_000, admit: Admit = everyone) -> Loaded:
        return self._state.load((self._hidden(one) for one in events), batch, admit)

    def user_ids(self) -> Iterator[str]:
        return self._state.user_ids()

    def newest_event(self) -> int | None:
        return self._state.newest_event()

    def written(self, ids: Sequence[str]) -> list[str]:
        return list(dict.fromkeys([*ids, *map(self._pseudonyms.of, ids)]))

    def check(self) -> None:
        self._state.check()

    def may_lose(self) -> str | None:
        return self._state.may_lose()

    def close(self) -> None:
        self._state.close()

    def erase(self, user_id: str | None, anonymous_id: str | None = None, *, moment: int) -> Erasure:
        """As the protocol says; the ids that were asked for are looked for beside their pseudonyms."""
        erasure = self._state.erase(self._of(user_id), self._of(anonymous_id), moment=moment)
        users = [one for one in (user_id,) if one is not None]
        visitors = [one for one in (anonymous_id,) if one is not None]
        return erasure._replace(
            user_ids=list(dict.fromkeys([*users, *erasure.user_ids])),
            anonymous_ids=list(dict.fromkeys([*visitors, *erasure.anonymous_ids])),
        )

    def unfinished(self) -> list[Erasure]:
        return self._state.unfinished()

    def finish(self, receipt_id: str, report: Mapping[str, Any]) -> None:
        self._state.finish(receipt_id, report)

    def receipts(self, user_id: str | None, anonymous_id: str | None = None) -> list[Receipt]:
        return self._state.receipts(self._of(user_id), self._of(anonymous_id))

    def tombstones(self) -> Tombstones:
        return self._state.tombstones()

    def scrub(self, ids: Sequence[str]) -> Scrubbed:
        return self._state.scrub(self.written(ids))

    def remnants(self, ids: Sequence[str]) -> dict[str, int] | None:
        return self._state.remnants(self.written(ids))

    def setting(self, name: str) -> str | None:
        return self._state.setting(name)

    def settle(self, name: str, value: str) -> str:
        return self._state.settle(name, value)

    def history(self, user_id: str | None, anonymous_id: str | None = None, *, newest: int) -> list[StoredEvent]:
        asked = self._asked(user_id, anonymous_id)
        return [
            one._replace(user_id=exchanged(one.user_id, asked), anonymous_id=exchanged(one.anonymous_id, asked))
            for one in self._state.history(self._of(user_id), self._of(anonymous_id), newest=newest)
        ]

    def remove_event(self, user_id: str | None, anonymous_id: str | None, event_id: str, *, moment: int) -> bool:
        return self._state.remove_event(self._of(user_id), self._of(anonymous_id), event_id, moment=moment)

    def forget_events(
        self, user_id: str | None, anonymous_id: str | None, keep: Collection[str], *, moment: int
    ) -> int:
        return self._state.forget_events(self._of(user_id), self._of(anonymous_id), keep, moment=moment)

    def remove_attributes(self, user_id: str, names: Collection[str]) -> int:
        return self._state.remove_attributes(self._pseudonyms.of(user_id), names)

    def expire(self, kind: Expiring, before: int, limit: int, types: Collection[str] = ()) -> int:
        return self._state.expire(kind, before, limit, types)

    def expire_unneeded(self, before: int, kept_from: KeptFrom, place: int, people: int) -> tuple[int, int | None]:
        return self._state.expire_unneeded(before, kept_from, place, people)

    def _hidden(self, event: StoredEvent) -> StoredEvent:
        return event._replace(user_id=self._of(event.user_id), anonymous_id=self._of(event.anonymous_id))

    def _asked(self, user_id: str | None, anonymous_id: str | None) -> dict[str, str]:
        """The ids of a question by their pseudonyms."""
        return {self._pseudonyms.of(one): one for one in (user_id, anonymous_id) if one is not None}
