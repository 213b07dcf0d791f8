"""Who asks, and whether they may: a key or a person's token, held against what an endpoint names in its line.

All of it happens in memory, before a body is read: keys are held by each worker, which looks for changes in the store
several times a second. While the store does not answer, the keys that were last seen go on to count, and each still
ends when it expires: an outage of the store ends neither lists nor the service.
"""

import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from math import ceil
from time import time
from typing import Any, NamedTuple

from features.moments import SECOND
from serving.access.conversation import is_local
from serving.access.keys import PREFIX, found
from serving.access.limits import Limits
from serving.access.scopes import LOCAL, OPEN, SCOPES, Scope
from serving.access.settings import AccessConfig
from serving.access.tokens import Token, TokenError, Tokens
from serving.api.endpoints import Endpoint
from serving.api.problems import HttpError
from serving.state.audit_log import Ids
from serving.state.key_store import KeyStore, StoredKey

LOOK_SECONDS = 0.25
"""Between two looks for new and ended keys."""
_REALM = 'Bearer realm="tailorbird"'
_SEND_IT = "Send the header `Authorization: Bearer KEY`."
_LOG = logging.getLogger("bentoml.tailorbird")


class Caller(NamedTuple):
    """Who asks."""

    actor: str
    """As the audit log calls them; for a key its id."""
    scopes: Sequence[str]
    token: Token | None = None
    """The person's token with which they came."""

    def check_people(self, people: Sequence[Ids]) -> None:
        """Raises HttpError 403 when a token comes with a request about anybody but its own person."""
        if self.token is None:
            return
        own = (self.token.user_id, self.token.anonymous_id)
        for ids in people:
            for field, asked, allowed in zip(("user_id", "anonymous_id"), ids, own, strict=True):
                if asked is not None and asked != allowed:
                    raise HttpError(
                        HTTPStatus.FORBIDDEN,
                        "forbidden",
                        f"the token speaks for one person, and this {field} is not theirs",
                        "Ask about the person for whom the token was made; an API key may ask about anybody.",
                    )


class Guard:
    """Stands before the endpoints of one worker; used from one event loop, while a thread looks for changes."""

    def __init__(
        self,
        store: KeyStore,
        fixed: Sequence[StoredKey] = (),
        tokens: Tokens | None = None,
        settings: AccessConfig | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        """`fixed` keys hold beside those of the store; `clock` gives seconds since the epoch. Raises StateError."""
        self.tokens = tokens or Tokens()
        self._store = store
        self._fixed = fixed
        self._settings = settings or AccessConfig()
        self._clock = clock
        self._key_limits, self._token_limits = Limits(), Limits()
        self._version = -1
        self._keys: dict[str, StoredKey] = {}
        self.look()
        if self._settings.open:
            _LOG.warning("everybody is answered without a key: %s", self._settings.why)

    def look(self) -> None:
        """Take over new and ended keys. Raises StateError."""
        version = self._store.version()
        if version != self._version:
            self._keys = {key.key_id: key for key in (*self._store.keys(), *self._fixed)}
            self._version = version

    def close(self) -> None:
        """Give back the store."""
        self._store.close()

    def enter(self, endpoint: Endpoint, scope: Any) -> Caller:
        """Who sends a request, of which the ASGI scope has come. Raises HttpError 401, 403 or 429."""
        caller = self.caller(scope)
        if caller.token is not None and not endpoint.by_token:
            raise _forbidden("a person's token does not open this endpoint", "Use an API key.", endpoint.scope)
        if endpoint.scope not in caller.scopes:
            what = "token" if caller.token else "key"
            hint = f"Make a {what} with this scope, or use another."
            raise _forbidden(f"the {what} has not the scope `{endpoint.scope}`", hint, endpoint.scope)
        return caller

    def check_metrics(self, scope: Any) -> None:
        """Raises HttpError unless whoever asks for counts has some key, or is this machine itself."""
        if not (self._settings.open_metrics or is_local(scope)):
            self.caller(scope)

    def caller(self, scope: Any) -> Caller:
        """Whoever sends a request, whatever they may do. Raises HttpError 401 or 429."""
        if self._settings.open:
            return Caller(OPEN, SCOPES)
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        if not self._keys:
            return _only_this_machine(scope)
        if len(sent) != 1:
            raise _unauthorized("an API key is needed" if not sent else "there is more than one key", _SEND_IT)
        kind, _, text = sent[0].decode("latin-1").partition(" ")
        if kind.lower() != "bearer":
            raise _unauthorized("this kind of authorization is not known here", _SEND_IT)
        now, text = self._clock(), text.strip()
        return self._by_key(text, now) if text.startswith(f"{PREFIX}_") else self._by_token(text, now)

    def _by_key(self, text: str, now: float) -> Caller:
        key = found(self._keys, text)
        if key is None:
            raise _unauthorized("the key is not valid", _SEND_IT, invalid=True)
        if _ended(key, now):
            raise _unauthorized("the key has expired or was revoked", "Ask the operator for a new one.", invalid=True)
        if key.rate is not None:
            _limited(self._key_limits.wait(key.key_id, key.rate, key.burst or 1), "key")
        return Caller(key.key_id, key.scopes)

    def _by_token(self, text: str, now: float) -> Caller:
        try:
            token = self.tokens.read(text, now)
        except TokenError as error:
            raise _unauthorized(error.message, error.hint or _SEND_IT, invalid=True) from None
        key = self._keys.get(token.key_id)
        if key is None or _ended(key, now) or "person" not in key.scopes:
            raise _unauthorized(
                "the key that stands behind the token is not valid", "Ask for a new token.", invalid=True
            )
        settings, person = self._settings, f"{token.user_id}\0{token.anonymous_id}"
        _limited(self._token_limits.wait(person, settings.token_rate, settings.token_burst), "token")
        return Caller(f"{token.key_id} for a person", token.scopes, token)


def _ended(key: StoredKey, now: float) -> bool:
    return key.expires is not None and key.expires <= now * SECOND


def _only_this_machine(scope: Any) -> Caller:
    if not is_local(scope):
        raise _unauthorized(
            "nobody has a key yet, so only the machine itself is answered",
            "`tailorbird keys create` makes one, in the store that the service was started with.",
        )
    return Caller(LOCAL, SCOPES)


def _unauthorized(message: str, hint: str, *, invalid: bool = False) -> HttpError:
    challenge = f'{_REALM}, error="invalid_token"' if invalid else _REALM
    return HttpError(HTTPStatus.UNAUTHORIZED, "unauthorized", message, hint, headers={"www-authenticate": challenge})


def _forbidden(message: str, hint: str, scope: Scope) -> HttpError:
    challenge = f'{_REALM}, error="insufficient_scope", scope="{scope}"'
    return HttpError(HTTPStatus.FORBIDDEN, "forbidden", message, hint, headers={"www-authenticate": challenge})


def _limited(wait: float, what: str) -> None:
    """Raises HttpError 429 when there is something to wait for."""
    if wait > 0:
        raise HttpError(
            HTTPStatus.TOO_MANY_REQUESTS,
            "rate_limited",
            f"more requests come with this {what} than it is made for",
            "Come again later; the header Retry-After says in how many seconds.",
            headers={"retry-after": str(max(1, ceil(wait)))},
        )
