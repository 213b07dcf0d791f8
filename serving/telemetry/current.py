"""What is worked on right now, for lines of the log: the request of this thread or task, and the bundle."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, Protocol

_REQUEST: ContextVar["Work | None"] = ContextVar("tailorbird_request", default=None)
_bundle: list[str] = []


class Trace(Protocol):
    """A record of one request."""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""

    def listed(self, bundle: str, timings: Mapping[str, float]) -> None:
        """A list is just made by a bundle: milliseconds of its stages, one after the other."""


class Work(NamedTuple):
    """One request that is being answered."""

    request_id: str
    """The one that its answer carries; made here, so that it tells nothing of whoever asks."""
    trace: Trace | None = None
    """Where it is recorded, if it is."""
    bundle: str | None = None
    """The bundle that answers, where it is not the one that answers everybody."""


@contextmanager
def concerning(work: Work) -> Iterator[None]:
    """Until the end of the block this thread or task works on that request."""
    token = _REQUEST.set(work)
    try:
        yield
    finally:
        _REQUEST.reset(token)


def current() -> Work | None:
    """The request that this thread or task works on; None beside all requests."""
    return _REQUEST.get()


def name_bundle(name: str) -> None:
    """Remember which bundle answers in this process from now on."""
    _bundle[:] = [name]


def bundle_name() -> str | None:
    """The bundle that answers in this process; None before there is one."""
    return next(iter(_bundle), None)
