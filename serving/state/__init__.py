"""The store of what is known of people: one protocol, one file per backend, opened by its URL."""

from pathlib import Path

from features.errors import ConfigError
from serving.state.protocol import State
from serving.state.sqlite import SqliteState

DEFAULT_URL = "sqlite:///var/state.db"
MEMORY = ":memory:"


def open_state(url: str = DEFAULT_URL) -> State:
    """Open the store that a URL names, making it when it is new.

    `sqlite:///var/state.db` is a file relative to the working directory, `sqlite:////var/lib/state.db` an
    absolute one, `sqlite://:memory:` a store that lasts as long as the process.
    Raises `ConfigError` for another kind of URL and `StateError` when the store does not open.
    """
    scheme, _, rest = url.partition("://")
    place = rest if rest == MEMORY else rest.removeprefix("/")
    if scheme != "sqlite" or not place or (rest != place) == (place == MEMORY):
        raise ConfigError(
            f"{url!r} names no store",
            field="state",
            hint="Write sqlite:///relative/path.db, sqlite:////absolute/path.db or sqlite://:memory:",
        )
    return SqliteState(None if place == MEMORY else Path(place))
