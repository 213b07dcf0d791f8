"""The store of what is known of people, of item changes and of who asked: protocols, a file per backend, a URL."""

from features.pseudonyms import Pseudonyms, pseudonyms_of_environment
from serving.state.audit_log import AuditLog
from serving.state.event_log import EventLog
from serving.state.item_log import ItemLog
from serving.state.key_store import KeyStore
from serving.state.places import SqlitePlace, place_of, without_password
from serving.state.protocol import State
from serving.state.pseudonymous import with_pseudonyms
from serving.state.redis.event_log import RedisEventLog
from serving.state.redis.item_log import RedisItemLog
from serving.state.redis.key_store import RedisKeyStore
from serving.state.redis.state import RedisState
from serving.state.redis.upkeep import RedisUpkeep
from serving.state.sqlite import SqliteState
from serving.state.sqlite_event_log import SqliteEventLog
from serving.state.sqlite_item_log import SqliteItemLog
from serving.state.sqlite_key_store import SqliteKeyStore
from serving.state.sqlite_upkeep import SqliteUpkeep
from serving.state.tables import load_tables_into_state
from serving.state.upkeep import Upkeep

__all__ = [
    "DEFAULT_URL",
    "AuditLog",
    "EventLog",
    "ItemLog",
    "KeyStore",
    "State",
    "Upkeep",
    "absolute_url",
    "in_memory",
    "load_tables_into_state",
    "open_as_kept",
    "open_event_log",
    "open_item_log",
    "open_key_store",
    "open_state",
    "open_upkeep",
    "without_password",
]

DEFAULT_URL = "sqlite:///var/state.db"


def open_state(
    url: str = DEFAULT_URL,
    patience: float = 10.0,
    read_patience: float | None = None,
    pseudonyms: Pseudonyms | None = None,
) -> State:
    """Open the store that a URL names, making it when it is new.

    `sqlite:///var/state.db` is a file relative to the working directory, `sqlite:////var/lib/state.db` an
    absolute one, `sqlite://:memory:` a store that lasts as long as the process, `redis://localhost:6379/0` a database
    of a Redis or Valkey server, `rediss://` the same over TLS, `unix:///run/redis.sock` one on this machine.
    A write waits up to `patience` seconds for the store, a read for `read_patience`, by default as long. People are
    kept under `pseudonyms`, by default those of the environment's key, and without one under their ids.
    Raises `ConfigError` for another kind of URL and for another key than the store's, and `StateError` when the store
    does not open.
    """
    key = pseudonyms or pseudonyms_of_environment()
    state = open_as_kept(url, patience, read_patience)
    try:
        return with_pseudonyms(state, key)
    except BaseException:
        state.close()
        raise


def open_as_kept(url: str = DEFAULT_URL, patience: float = 10.0, read_patience: float | None = None) -> State:
    """The same without a key: for what asks for nobody by an id of theirs. Pseudonyms are ids here."""
    place = place_of(url)
    if isinstance(place, SqlitePlace):
        return SqliteState(place.path, patience, read_patience)
    return RedisState(place, patience, read_patience)


def open_item_log(url: str = DEFAULT_URL, patience: float = 10.0) -> ItemLog:
    """Open the log of item changes in the store that a URL names; URLs and errors are those of `open_state`.

    A store in memory keeps it apart from what another opening of the same URL sees.
    """
    place = place_of(url)
    return SqliteItemLog(place.path, patience) if isinstance(place, SqlitePlace) else RedisItemLog(place, patience)


def open_event_log(url: str = DEFAULT_URL, patience: float = 10.0) -> EventLog:
    """Open the log of events in the store that a URL names; URLs and errors are those of `open_state`.

    A store in memory keeps it apart from what another opening of the same URL sees.
    """
    place = place_of(url)
    return SqliteEventLog(place.path, patience) if isinstance(place, SqlitePlace) else RedisEventLog(place, patience)


def open_upkeep(url: str = DEFAULT_URL, patience: float = 10.0) -> Upkeep:
    """Open the store that a URL names for its upkeep; URLs and errors are those of `open_state`."""
    place = place_of(url)
    return SqliteUpkeep(place.path, patience) if isinstance(place, SqlitePlace) else RedisUpkeep(place, patience)


def open_key_store(url: str = DEFAULT_URL, patience: float = 10.0) -> KeyStore:
    """Open the API keys in the store that a URL names; as `open_item_log`."""
    place = place_of(url)
    return SqliteKeyStore(place.path, patience) if isinstance(place, SqlitePlace) else RedisKeyStore(place, patience)


def absolute_url(url: str) -> str:
    """The same store, named from any working directory. Raises `ConfigError` for a URL that names none."""
    place = place_of(url)
    return f"sqlite:///{place.path.resolve()}" if isinstance(place, SqlitePlace) and place.path else url


def in_memory(url: str) -> bool:
    """Whether a store is one process's own. Raises `ConfigError` for a URL that names none."""
    return place_of(url) == SqlitePlace(None)
