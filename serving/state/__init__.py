"""The store of what is known of people, of item changes and of who asked: protocols, a file per backend, a URL."""

from pathlib import Path

from features.errors import ConfigError
from serving.state.audit_log import AuditLog
from serving.state.item_log import ItemLog
from serving.state.key_store import KeyStore
from serving.state.protocol import State
from serving.state.sqlite import SqliteState
from serving.state.sqlite_item_log import SqliteItemLog
from serving.state.sqlite_key_store import SqliteKeyStore
from serving.state.tables import load_tables_into_state

__all__ = [
    "DEFAULT_URL",
    "AuditLog",
    "ItemLog",
    "KeyStore",
    "State",
    "absolute_url",
    "in_memory",
    "load_tables_into_state",
    "open_item_log",
    "open_key_store",
    "open_state",
]

DEFAULT_URL = "sqlite:///var/state.db"
MEMORY = ":memory:"


def open_state(url: str = DEFAULT_URL, patience: float = 10.0, read_patience: float | None = None) -> State:
    """Open the store that a URL names, making it when it is new.

    `sqlite:///var/state.db` is a file relative to the working directory, `sqlite:////var/lib/state.db` an
    absolute one, `sqlite://:memory:` a store that lasts as long as the process.
    A write waits up to `patience` seconds for another process's, a read for `read_patience`, by default as long.
    Raises `ConfigError` for another kind of URL and `StateError` when the store does not open.
    """
    return SqliteState(_path(url), patience, read_patience)


def open_item_log(url: str = DEFAULT_URL, patience: float = 10.0) -> ItemLog:
    """Open the log of item changes in the store that a URL names; URLs and errors are those of `open_state`.

    A store in memory keeps it apart from what another opening of the same URL sees.
    """
    return SqliteItemLog(_path(url), patience)


def open_key_store(url: str = DEFAULT_URL, patience: float = 10.0) -> KeyStore:
    """Open the API keys in the store that a URL names; as `open_item_log`."""
    return SqliteKeyStore(_path(url), patience)


def absolute_url(url: str) -> str:
    """The same store, named from any working directory. Raises `ConfigError` for a URL that names none."""
    path = _path(url)
    return url if path is None else f"sqlite:///{path.resolve()}"


def in_memory(url: str) -> bool:
    """Whether a store is one process's own. Raises `ConfigError` for a URL that names none."""
    return _path(url) is None


def _path(url: str) -> Path | None:
    """The file that a URL names; None for the store in memory."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and rest == MEMORY:
        return None
    if scheme != "sqlite" or not rest.startswith("/") or rest[1:] in ("", MEMORY):
        raise ConfigError(
            f"{url!r} names no store",
            field="state",
            hint="Write sqlite:///relative/path.db, sqlite:////absolute/path.db or sqlite://:memory:",
        )
    return Path(rest[1:])
