"""API keys behind one protocol: what is kept of each, and a number by which a reader knows that one came or ended.

Of a key's text only a SHA-256 digest is kept. A slow hash would guard words that people choose, which can be guessed;
a key is 256 random bits, which nobody guesses at any speed, and a slow hash would be paid at every request.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from serving.state.audit_log import Deed


class StoredKey(NamedTuple):
    """One API key, without its text."""

    key_id: str
    """Names the key in lists, in the audit log, and in its own text; no secret."""
    name: str
    """Who or what it was made for."""
    scopes: tuple[str, ...]
    digest: bytes
    """SHA-256 of the key's text."""
    made: int
    """When, in ms since the epoch."""
    expires: int | None = None
    """From when it is refused, in ms since the epoch; None for never."""
    rate: float | None = None
    """Requests per second that each worker answers; None for no limit."""
    burst: int | None = None
    """Requests that may come at once, where there is a rate."""


class KeyStore(Protocol):
    """A store of keys, in which an ended key stays.

    Every method is atomic, may be called from any thread, and raises `StateError` when the store does not answer.
    """

    def add(self, key: StoredKey, deed: Deed) -> None:
        """Store a new key and note the deed in one transaction."""

    def expire(self, key_id: str, moment: int, deed: Deed) -> bool:
        """Let a key end at a moment, unless it ends earlier, and note the deed; False when there is no such key."""

    def keys(self) -> Sequence[StoredKey]:
        """All keys that were ever made, in their order."""

    def version(self) -> int:
        """Grows with every change, 0 in an empty store; cheap enough to be asked several times a second."""

    def close(self) -> None:
        """Give back files and connections."""
