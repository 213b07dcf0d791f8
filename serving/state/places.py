"""What a URL says of a store: where it lies, and for one in Redis how long it keeps what it knows of somebody."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit

from features.errors import MASK, ConfigError
from features.moments import DAY, SECOND

MEMORY = ":memory:"
KEEP_DAYS = 730
"""Days after the last write about somebody until a store in Redis forgets them, unless its URL says `keep_days`."""
REPEAT_DAYS = 30
"""Days for which a store in Redis knows an event id again, unless its URL says `repeat_days`."""
_SECONDS_A_DAY = DAY // SECOND
_PASSED_ON = ("db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
"""What else may stand behind the question mark, and means what the client of Redis means by it."""


@dataclass(frozen=True)
class SqlitePlace:
    """One file, or a store in memory when there is no path."""

    path: Path | None


@dataclass(frozen=True)
class RedisPlace:
    """A database of a Redis or Valkey server."""

    url: str = field(repr=False)
    """As its client reads it; a password may stand in it."""
    keep_seconds: int = KEEP_DAYS * _SECONDS_A_DAY
    """How long a person's record outlives its last write."""
    repeat_seconds: int = REPEAT_DAYS * _SECONDS_A_DAY
    """How long an event id is known again."""


Place: TypeAlias = SqlitePlace | RedisPlace


def place_of(url: str) -> Place:
    """What a URL names. Raises `ConfigError` for one that names no store."""
    scheme, _, rest = url.partition("://")
    if scheme in ("redis", "rediss", "unix") and rest:
        return _redis_place(url)
    if scheme == "sqlite" and rest == MEMORY:
        return SqlitePlace(None)
    if scheme == "sqlite" and rest.startswith("/") and rest[1:] not in ("", MEMORY):
        return SqlitePlace(Path(rest[1:]))
    raise _no_store(
        url,
        "Write sqlite:///relative/path.db, sqlite:////absolute/path.db, sqlite://:memory:, redis://HOST:PORT/DB, "
        "rediss:// for TLS, or unix:///path/of/socket.",
    )


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    return re.sub(r"//[^/@]*@", f"//{MASK}@", url)


def _redis_place(url: str) -> RedisPlace:
    parts = urlsplit(url)
    asked = dict(parse_qsl(parts.query, keep_blank_values=True))
    days = {"keep_days": KEEP_DAYS, "repeat_days": REPEAT_DAYS}
    if strange := asked.keys() - days.keys() - set(_PASSED_ON):
        raise _no_store(url, f"There is no {min(strange)}; there is {', '.join([*days, *_PASSED_ON])}.")
    if not re.fullmatch(r"\d*", parts.path.strip("/")) and parts.scheme != "unix":
        raise _no_store(url, "What follows the port is the number of a database, such as redis://localhost:6379/0.")
    for name in days.keys() & asked.keys():
        if not re.fullmatch(r"[1-9]\d{0,5}", asked[name]):
            raise _no_store(url, f"{name} is a number of days, 1 or more.")
    rest = urlencode({name: value for name, value in asked.items() if name in _PASSED_ON})
    keep, repeat = (int(asked.get(name, usual)) * _SECONDS_A_DAY for name, usual in days.items())
    return RedisPlace(url.partition("?")[0] + (f"?{rest}" if rest else ""), keep, repeat)


def _no_store(url: str, hint: str) -> ConfigError:
    return ConfigError(f"{without_password(url)!r} names no store", field="state", hint=hint)
