"""The id of an event that came without one: a hash of what it says, so that loading twice doubles nothing."""

from hashlib import blake2b


def event_id(user: str, item: str, kind: str, moment: int, ordinal: int) -> str:
    """32 hex digits from user, item, type, order, and the number (from 0) among events equal in all of these.

    Lengths stand before the texts, so that no two different events share what is hashed.
    """
    content = f"{len(user)}:{user}{len(item)}:{item}{len(kind)}:{kind}{moment}:{ordinal}"
    return blake2b(content.encode(), digest_size=16).hexdigest()
