"""API keys: how one is made, what is kept of it, and whether a text that somebody sends is one of those that are kept.

A text is `tb_ID_SECRET`. The id finds the key, the digest of the whole text is compared in constant time. See
`serving/state/key_store.py` for why the digest is a fast one.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from features.errors import ConfigError
from serving.access.scopes import SCOPES, Scope
from serving.state.key_store import StoredKey

PREFIX = "tb"
"""By which a leaked key is recognised in a log or a repository."""
_TEXT = re.compile(r"tb_([0-9a-f]{12})_[A-Za-z0-9_-]{43}", re.ASCII)
_FROM_ENVIRONMENT = re.compile(r"([0-9a-f]{12}):([a-z+]+):([0-9a-f]{64})", re.ASCII)


class NewKey(NamedTuple):
    """A key of which the text is still known."""

    text: str
    """What is sent; nobody can read it from the store."""
    stored: StoredKey


def new_key(
    scopes: Iterable[str],
    made: int,
    *,
    name: str = "",
    expires: int | None = None,
    rate: float | None = None,
    burst: int | None = None,
) -> NewKey:
    """A key of 256 random bits. Raises ConfigError for a scope that does not exist, or none."""
    key_id = secrets.token_hex(6)
    text = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
    stored = StoredKey(key_id, name, checked_scopes(scopes), digest_of(text), made, expires, rate, burst)
    return NewKey(text, stored)


def digest_of(text: str) -> bytes:
    """What is kept of a key's text: SHA-256, 32 bytes."""
    return hashlib.sha256(text.encode()).digest()


def checked_scopes(scopes: Iterable[str]) -> tuple[Scope, ...]:
    """The scopes in their usual order, each once. Raises ConfigError for one that does not exist, or none."""
    asked = set(scopes)
    if not asked or not asked <= set(SCOPES):
        odd = ", ".join(sorted(asked - set(SCOPES)))
        raise ConfigError(
            f"there is no scope {odd}" if odd else "a key needs at least one scope",
            field="scopes",
            hint=f"The scopes are: {', '.join(SCOPES)}.",
        )
    return tuple(scope for scope in SCOPES if scope in asked)


def found(keys: dict[str, StoredKey], text: str) -> StoredKey | None:
    """The key whose text this is. Which ids exist is no secret; how much of a secret is right takes no time to tell."""
    shape = _TEXT.fullmatch(text)
    key = keys.get(shape[1]) if shape else None
    return key if key is not None and hmac.compare_digest(key.digest, digest_of(text)) else None


def environment_line(key: StoredKey) -> str:
    """The key as `TAILORBIRD_KEYS` takes it."""
    return f"{key.key_id}:{'+'.join(key.scopes)}:{key.digest.hex()}"


def keys_from_environment(text: str) -> Sequence[StoredKey]:
    """The keys of `TAILORBIRD_KEYS`: `ID:SCOPE+SCOPE:DIGEST`, separated by commas. Raises ConfigError."""
    keys = []
    for place, part in enumerate(filter(None, (one.strip() for one in text.split(",")))):
        shape = _FROM_ENVIRONMENT.fullmatch(part)
        if shape is None:
            raise ConfigError(
                f"the key at place {place + 1} has not the form ID:SCOPE+SCOPE:DIGEST",
                field="TAILORBIRD_KEYS",
                hint="`tailorbird keys create --no-store` prints a key and the text that belongs here.",
            )
        key_id, scopes, digest = shape.groups()
        named = checked_scopes(scopes.split("+"))
        keys.append(StoredKey(key_id, "environment", named, bytes.fromhex(digest), made=0))
    return keys
