"""API keys in the Redis store: a hash of all keys, each change one script with its line of the audit log."""

import json

from features.errors import StateError
from serving.state.audit_log import Deed
from serving.state.key_store import StoredKey
from serving.state.places import RedisPlace
from serving.state.redis.audit_log import REFUSED, NotingConnections
from serving.state.redis.connections import Connections
from serving.state.redis.rows import packed


class RedisKeyStore:
    """A `KeyStore` in one database of a Redis or Valkey server."""

    def __init__(self, place: RedisPlace, patience: float = 10.0) -> None:
        """Open or make the store; `patience` is the longest wait for the server, in seconds."""
        self._connections = Connections(place, patience)

    def add(self, key: StoredKey, deed: Deed) -> None:
        key_id, name, scopes, digest, *rest = key
        row = packed((name, " ".join(scopes), digest.hex(), *rest))
        if NotingConnections(self._connections, deed).write("add_key", key_id, row) == REFUSED:
            raise StateError("there is a key of this id already", field="state", hint="Make another one.")

    def expire(self, key_id: str, moment: int, deed: Deed) -> bool:
        return bool(NotingConnections(self._connections, deed).write("expire_key", key_id, moment))

    def keys(self) -> list[StoredKey]:
        found = [(int(number), key_id, json.loads(text)) for key_id, number, text in self._connections.read("keys")]
        return [_key(key_id, *row) for _, key_id, row in sorted(found)]

    def version(self) -> int:
        return int(self._connections.ask(lambda client: client.get("tb:keys:version")) or 0)

    def close(self) -> None:
        self._connections.close()


def _key(
    key_id: str,
    name: str,
    scopes: str,
    digest: str,
    made: int,
    expires: int | None,
    rate: float | None,
    burst: int | None,
) -> StoredKey:
    return StoredKey(key_id, name, tuple(scopes.split()), bytes.fromhex(digest), made, expires, rate, burst)
