"""A person's own token, which a company's backend hands to the frontend of one person: a JSON Web Token, HS256.

RFC 7519 with the one algorithm HMAC-SHA256, so that any JWT library can make or read one. Written here because a
library would bring algorithms that must then be forbidden: nothing in a token chooses how it is checked, and nothing of
it is read before its signature was found right.
"""

import base64
import binascii
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from features.errors import ConfigError, TailorbirdError
from serving.access.scopes import OF_TOKENS, SCOPES, Scope

LEAST_CHARACTERS = 32
"""Of a secret: as many as its signature has bytes (RFC 7518, section 3.2)."""
MOST_CHARACTERS = 4_096
"""Of a token; more is not looked at."""
MOST_SECONDS = 3_600
"""A token lives so long at most, whoever signed it."""
CLOCK_SKEW = 60
"""Seconds that the clock of whoever signed may run ahead."""
_HEADER = {"alg": "HS256", "typ": "JWT"}


class Token(NamedTuple):
    """What a token says."""

    user_id: str | None
    anonymous_id: str | None
    """The one person for whom it speaks, by one id or both."""
    key_id: str
    """The API key that asked for it, with which it ends."""
    scopes: tuple[Scope, ...]
    issued: int
    """Seconds since the epoch."""
    expires: int
    """Seconds since the epoch."""


class TokenError(TailorbirdError):
    """A text that is no token, or one that no longer is."""

    code = "unauthorized"


class Tokens:
    """Signs and reads tokens with shared secrets."""

    def __init__(self, secrets: Sequence[str] = (), seconds: int = 900) -> None:
        """A token lives `seconds` when its maker does not say.

        The first secret signs and each is accepted, so that a new one can come before an old one goes; without a secret
        there are no tokens. Raises ConfigError for a secret that is too short.
        """
        for place, secret in enumerate(secrets):
            if len(secret) < LEAST_CHARACTERS:
                raise ConfigError(
                    f"the secret at place {place + 1} has {len(secret)} characters; "
                    f"it needs {LEAST_CHARACTERS}, or tokens could be guessed",
                    field="TAILORBIRD_TOKEN_SECRET",
                    hint="Make one: openssl rand -hex 32",
                )
        self.seconds = seconds
        self._secrets = [secret.encode() for secret in secrets]

    @property
    def possible(self) -> bool:
        """Whether there is a secret."""
        return bool(self._secrets)

    def sign(self, token: Token) -> str:
        """The token's text; there must be a secret."""
        content = {
            "iss": token.key_id,
            "sub": token.user_id,
            "anonymous_id": token.anonymous_id,
            "scope": " ".join(token.scopes),
            "iat": token.issued,
            "exp": token.expires,
        }
        said = {name: value for name, value in content.items() if value is not None}
        signed = f"{_part(_HEADER)}.{_part(said)}"
        return f"{signed}.{_text(_signature(self._secrets[0], signed))}"

    def read(self, text: str, now: float) -> Token:
        """What a token says, `now` in seconds since the epoch. Raises TokenError when it is not valid."""
        signed, _, signature = text.rpartition(".")
        if len(text) > MOST_CHARACTERS or signed.count(".") != 1 or not self._is_ours(signed, signature):
            raise TokenError("the token is not valid")
        header, content = map(_content, signed.split("."))
        if header.get("alg") != "HS256" or "crit" in header:
            raise TokenError("the token is not valid", hint="Sign it with HS256.")
        token = _token(content)
        if token.expires <= now:
            raise TokenError("the token has expired", hint="Ask for a new one.")
        if token.issued > now + CLOCK_SKEW or token.expires - token.issued > MOST_SECONDS:
            raise TokenError(f"the token lives longer than {MOST_SECONDS} seconds from now")
        return token

    def _is_ours(self, signed: str, signature: str) -> bool:
        given = _bytes(signature)
        return any(hmac.compare_digest(_signature(secret, signed), given) for secret in self._secrets)


def tokens_from(environment: Mapping[str, str], seconds: int = 900) -> Tokens:
    """Tokens of so many seconds with the secrets of TAILORBIRD_TOKEN_SECRET, or of a file.

    TAILORBIRD_TOKEN_SECRET_FILE names it. Several secrets are separated by commas or lines. Raises ConfigError when the
    file cannot be read or a secret is too short.
    """
    text, path = environment.get("TAILORBIRD_TOKEN_SECRET", ""), environment.get("TAILORBIRD_TOKEN_SECRET_FILE")
    if not text and path:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"the secret cannot be read: {type(error).__name__}", field="TAILORBIRD_TOKEN_SECRET_FILE"
            ) from None
    return Tokens(text.replace(",", "\n").split(), seconds)


def _token(content: dict[str, Any]) -> Token:
    """The claims that we know, each of its own type. Raises TokenError otherwise."""
    user_id, anonymous_id = content.get("sub"), content.get("anonymous_id")
    key_id, scope = content.get("iss"), content.get("scope")
    issued, expires = content.get("iat"), content.get("exp")
    if not (_is_id(user_id) and _is_id(anonymous_id) and (user_id or anonymous_id)):
        raise TokenError("the token names no person", hint="Give `sub`, the user id, or `anonymous_id`, as text.")
    if not isinstance(key_id, str) or not isinstance(scope, str):
        raise TokenError("the token lacks `iss`, the id of a key, or `scope`")
    if type(issued) is not int or type(expires) is not int:
        raise TokenError("the token lacks `iat` or `exp`, as whole seconds since the epoch")
    return Token(user_id, anonymous_id, key_id, token_scopes(scope.split()), issued, expires)


def token_scopes(scopes: Iterable[str]) -> tuple[Scope, ...]:
    """Those of the scopes that a token may have."""
    asked = set(scopes)
    return tuple(scope for scope in SCOPES if scope in asked & OF_TOKENS)


def _is_id(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value != "")


def _signature(secret: bytes, signed: str) -> bytes:
    return hmac.digest(secret, signed.encode(), "sha256")


def _part(content: dict[str, Any]) -> str:
    return _text(json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode())


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """Nothing for what is no base64."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _content(text: str) -> dict[str, Any]:
    try:
        content = orjson.loads(_bytes(text))
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        raise TokenError("the token is not valid")
    return content
