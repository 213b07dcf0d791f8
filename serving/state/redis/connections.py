"""The connections of one process to one server: calls of scripts, within the time that whoever asks has."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.retry import Retry

from features.errors import StateError
from serving.state.places import RedisPlace
from serving.state.redis.tables import LOGGED, OWNED, PERSONAL

T = TypeVar("T")
PASSWORD = "TAILORBIRD_STATE_PASSWORD"
"""The environment variable that holds the password, if the URL has none."""
VERSION = 1
"""Of the form of the store."""


class Calls(Protocol):
    """What a store needs of its connections."""

    def write(self, script: str, *arguments: Any) -> Any:
        """What a script returns that may change something."""

    def read(self, script: str, *arguments: Any) -> Any:
        """What a script returns that changes nothing."""

    def ask(self, question: Callable[["redis.Redis"], T]) -> T:
        """What one plain command returns."""

    def ask_patiently(self, question: Callable[["redis.Redis"], T]) -> T:
        """The same of commands that may take as long as a write."""

    def close(self) -> None:
        """Give back the connections."""


class Connections:
    """Calls to one database; safe from any thread. Nothing that is read is kept."""

    def __init__(self, place: RedisPlace, patience: float, read_patience: float | None = None) -> None:
        """`patience` and `read_patience` are the longest waits for an answer to a write and to a read, in seconds.

        Raises `StateError` unless a store of our form, or an empty one, answers.
        """
        self._place = place
        self._closed = False
        self.writer = _client(place, patience)
        self.reader = self.writer if read_patience is None else _client(place, read_patience)
        (version,) = self.write("open", VERSION)
        if int(version) != VERSION:
            raise StateError(
                f"the store has the form of version {version}; this program reads version {VERSION}",
                field="state",
                hint="Use the program that wrote it, or another database.",
            )

    def write(self, script: str, *arguments: Any) -> Any:
        """What a script returns that may change something; it runs whole or, at an error before it, not at all."""
        return self._run(self.writer, script, arguments)

    def write_noting(self, script: str, arguments: Sequence[Any], entries: Sequence[Any]) -> Any:
        """The same together with entries of the audit log, as `audited.lua` takes them and says."""
        return self._run(self.writer, script, arguments, entries)

    def read(self, script: str, *arguments: Any) -> Any:
        """What a script returns that changes nothing but how long something is kept."""
        return self._run(self.reader, script, arguments)

    def ask(self, question: Callable[["redis.Redis"], T]) -> T:
        """What one plain command returns, which reads."""
        with self._told():
            return question(self.reader)

    def ask_patiently(self, question: Callable[["redis.Redis"], T]) -> T:
        """What plain commands return, each of which may take as long as a write."""
        with self._told():
            return question(self.writer)

    def close(self) -> None:
        """Give back the connections; nothing is answered from then on."""
        self._closed = True
        self.writer.close()
        self.reader.close()

    def _run(
        self, client: "redis.Redis", script: str, arguments: Sequence[Any], entries: Sequence[Any] | None = None
    ) -> Any:
        source = _source(script) if entries is None else _noting_source(script)
        lasting = (self._place.keep_seconds, self._place.repeat_seconds)
        # One argument: the client packs each by itself, which took longer than the script.
        packed = msgspec.msgpack.encode([str(one) for one in (*lasting, *arguments)])
        with self._told():
            return Script(client, source)(keys=entries or (), args=(packed,))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the library's errors into ours, without the arguments that a server repeats."""
        if self._closed:
            raise StateError("the store did not answer: it was closed", field="state")
        try:
            yield
        except redis.RedisError as error:
            reason = str(error).partition(", with args")[0]
            raise StateError(
                f"the store did not answer: {reason}",
                field="state",
                hint="Look at whether the server runs, whom it lets in, and its free memory.",
            ) from error


def _client(place: RedisPlace, patience: float) -> "redis.Redis":
    given = {} if urlsplit(place.url).password else {"password": os.environ.get(PASSWORD)}
    return redis.Redis.from_url(
        place.url,
        **given,
        decode_responses=True,
        protocol=2,
        socket_timeout=patience,
        socket_connect_timeout=patience,
        retry=Retry(NoBackoff(), 0),  # a write whose answer was lost may have happened: whoever asked decides
    )


@cache
def _source(script: str) -> str:
    """A script behind the functions that all share, which know the tables from here."""
    return _tables() + _file("common") + _file(script)


@cache
def _noting_source(script: str) -> str:
    """A script as a function, whose result is noted."""
    return f"{_tables()}{_file('common')}local function main()\n{_file(script)}end\n{_file('audited')}"


def _file(script: str) -> str:
    return files("serving.state.redis").joinpath("lua", f"{script}.lua").read_text("utf-8")


def _tables() -> str:
    """The lists of tables as Lua has them."""
    each = {"OWNED": OWNED, "PERSONAL": PERSONAL, "LOGGED": LOGGED}
    return "".join(f"local {name} = {{{str(list(tables))[1:-1]}}}\n" for name, tables in each.items())
