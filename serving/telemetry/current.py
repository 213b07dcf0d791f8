"""What is worked on right now, for lines of the log: the request of this thread or task, and the bundle."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

_REQUEST: ContextVar["Work | None"] = ContextVar("tailorbird_request", default=None)
_bundle: list[str] = []


class Work(NamedTuple):
    """One request that is being answered."""

    request_id: str
    """The one that its answer carries; made here, so that it tells nothing of whoever asks."""
    trace_id: str | None = None
    """32 hexadecimal digits of the trace that is recorded, if one is."""
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
