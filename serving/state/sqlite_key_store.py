"""API keys in the SQLite store's own file, each change in one transaction with its line of the audit log."""

from pathlib import Path

from serving.state.audit_log import Deed
from serving.state.key_store import StoredKey
from serving.state.sqlite_audit_log import NotingConnections
from serving.state.sqlite_connections import Connections
from serving.state.sqlite_schema import create_tables

_ADD = """
INSERT INTO access_keys (version, key_id, name, scopes, digest, made, expires, rate, burst)
SELECT ifnull(max(version), 0) + 1, ?, ?, ?, ?, ?, ?, ?, ? FROM access_keys
"""
_EXPIRE = """
UPDATE access_keys SET expires = min(ifnull(expires, ?1), ?1), version = (SELECT max(version) + 1 FROM access_keys)
WHERE key_id = ?2
"""
_ALL = "SELECT key_id, name, scopes, digest, made, expires, rate, burst FROM access_keys ORDER BY number"


class SqliteKeyStore:
    """A `KeyStore` in one file, or in memory when there is no path."""

    def __init__(self, path: Path | None, patience: float = 10.0) -> None:
        """Open or make the store; `patience` is the longest wait for another process's write, in seconds."""
        self._connections = Connections(path, patience)
        with self._connections.alone() as connection:
            create_tables(connection)

    def add(self, key: StoredKey, deed: Deed) -> None:
        key_id, name, scopes, *rest = key
        with NotingConnections(self._connections, deed).writing() as connection:
            connection.execute(_ADD, (key_id, name, " ".join(scopes), *rest))

    def expire(self, key_id: str, moment: int, deed: Deed) -> bool:
        with NotingConnections(self._connections, deed).writing() as connection:
            return connection.execute(_EXPIRE, (moment, key_id)).rowcount > 0

    def keys(self) -> list[StoredKey]:
        with self._connections.reading() as connection:
            rows = connection.execute(_ALL).fetchall()
        return [StoredKey(key_id, name, tuple(scopes.split()), *rest) for key_id, name, scopes, *rest in rows]

    def version(self) -> int:
        with self._connections.reading() as connection:
            return int(connection.execute("SELECT ifnull(max(version), 0) FROM access_keys").fetchone()[0])

    def close(self) -> None:
        self._connections.close()
