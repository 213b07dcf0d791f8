"""The log of events in the Redis store: a stream that says whose each number is; the event lies with its person.

So an erasure leaves nothing of anybody in the stream, and what was exported may be trimmed from it.
"""

import json

from serving.state.event_log import LoggedEvent
from serving.state.places import RedisPlace
from serving.state.protocol import StoredEvent
from serving.state.redis.connections import Connections


class RedisEventLog:
    """An `EventLog` in one database of a Redis or Valkey server."""

    def __init__(self, place: RedisPlace, patience: float = 10.0) -> None:
        """Open or make the store; `patience` is the longest wait for the server, in seconds."""
        self._connections = Connections(place, patience)

    def after(self, number: int, limit: int) -> list[LoggedEvent]:
        return [_logged(*each) for each in self._connections.read("log_after", number, limit)]

    def newest(self) -> int:
        return self._count("tb:number")

    def exported(self) -> int:
        return self._count("tb:exported")

    def mark_exported(self, number: int) -> None:
        self._connections.write("mark_exported", number)

    def close(self) -> None:
        self._connections.close()

    def _count(self, key: str) -> int:
        return int(self._connections.ask(lambda client: client.get(key)) or 0)


def _logged(number: str, row: str, anonymous: str, outside_id: str) -> LoggedEvent:
    event_id, item_id, kind, moment, value, context, request_id, details = json.loads(row)
    user_id, anonymous_id = (outside_id, None) if anonymous == "0" else (None, outside_id)
    return LoggedEvent(
        int(number),
        StoredEvent(event_id, item_id, kind, moment, user_id, anonymous_id, value, context, request_id, details),
    )
