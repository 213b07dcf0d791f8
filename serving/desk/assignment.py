"""Who is answered by a canary: a keyed hash of the person, so that every worker and replica says the same, for good.

With the same key a larger share takes everybody whom a smaller one took. Another key takes others: a new canary gets a
new one, so that it is never the same people on whom everything is tried out.

A person is their user id. A visitor is their anonymous id until they are linked to a user, and from then on that user,
whichever id a request brings: at a login somebody may come into the canary's share, or leave it, once.
"""

from hashlib import blake2b
from secrets import token_hex
from typing import NamedTuple

KEY_BYTES = 16
_RANGE = 2**64


class Split(NamedTuple):
    """A share of all people, chosen by a key."""

    share: float
    """From 0, nobody, to 1, everybody who has an id."""
    key: str
    """Hexadecimal."""

    def takes(self, user_id: str | None, anonymous_id: str | None) -> bool:
        """Whether a person belongs to the share; who has no id never does."""
        if user_id is not None:
            return self._place("user", user_id) < self.share
        return anonymous_id is not None and self._place("visitor", anonymous_id) < self.share

    def _place(self, kind: str, outside_id: str) -> float:
        """Where somebody stands between 0 and 1, evenly spread."""
        digest = blake2b(f"{kind} {outside_id}".encode(), digest_size=8, key=bytes.fromhex(self.key)).digest()
        return int.from_bytes(digest, "big") / _RANGE


def new_key() -> str:
    """A key that nobody guesses: who knows it can choose an id that falls into a share."""
    return token_hex(KEY_BYTES)
