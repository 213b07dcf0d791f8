"""The log of item changes in the Redis store: its newest change by item, and the items in the order of numbers."""

import json
from collections.abc import Sequence
from uuid import uuid4

from serving.state.item_log import ItemChange, ItemEdit
from serving.state.places import RedisPlace
from serving.state.redis.connections import Connections
from serving.state.redis.rows import packed


class RedisItemLog:
    """An `ItemLog` in one database of a Redis or Valkey server."""

    def __init__(self, place: RedisPlace, patience: float = 10.0) -> None:
        """Open or make the log; `patience` is the longest wait for the server, in seconds."""
        self._connections = Connections(place, patience)
        self._identity = str(self._connections.write("identify_items", uuid4().hex))

    @property
    def identity(self) -> str:
        return self._identity

    def change(self, edits: Sequence[ItemEdit], moment: int) -> list[int]:
        rows = [part for edit in edits for part in (edit.item_id, packed((edit.attributes, moment)))]
        return [int(number) for number in self._connections.write("change_items", *rows)] if rows else []

    def after(self, number: int, limit: int) -> list[ItemChange]:
        return [_change(*each) for each in self._connections.read("items_after", number, limit)]

    def newest(self) -> int:
        return int(self._connections.ask(lambda client: client.get("tb:items:number")) or 0)

    def close(self) -> None:
        self._connections.close()


def _change(item_id: str, number: str, row: str) -> ItemChange:
    attributes, moment = json.loads(row)
    return ItemChange(int(number), item_id, "delete" if attributes is None else "upsert", attributes, moment)
