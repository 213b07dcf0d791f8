"""What a frontend asks: the mix of requests, prepared before a run so that the generator only sends bytes."""

import json
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.serving.crowd import Crowd

MIX = {"recommend": 0.90, "similar": 0.05, "events": 0.05}
K = 20


class Call(NamedTuple):
    """One request."""

    kind: str
    path: str
    body: Any


def mixed(count: int, crowd: Crowd, item_ids: Sequence[str], seed: int, **more: Any) -> list[Call]:
    """So many requests of the mix, each of another person; `more` goes into every recommend."""
    draw = np.random.default_rng(seed)
    kinds = draw.choice(list(MIX), count, p=list(MIX.values())).tolist()
    items = draw.integers(0, len(item_ids), count).tolist()
    return [
        call(kind, user, item_ids[item], **more)
        for kind, user, item in zip(kinds, crowd.take(count), items, strict=True)
    ]


def call(kind: str, user: str, item: str, **more: Any) -> Call:
    """One request of a kind, for a user or about an item."""
    match kind:
        case "recommend":
            return Call(kind, "/v1/recommend", {"user_id": user, "k": K, **more})
        case "similar":
            return Call(kind, "/v1/similar", {"item_ids": [item], "k": K})
        case "events":
            event = {"event_id": secrets.token_hex(12), "user_id": user, "item_id": item, "type": "view"}
            return Call(kind, "/v1/events", {"events": [event]})
        case _:
            raise ValueError(f"{kind!r} is no kind of request; the kinds are {', '.join(MIX)}")


def recommends(users: Iterable[str], **more: Any) -> list[Call]:
    """One list for each user."""
    return [call("recommend", user, "", **more) for user in users]


def empty(count: int) -> list[Call]:
    """Requests to the floor's endpoint."""
    return [Call("empty", "/empty", {})] * count


def write_calls(calls: Sequence[Call], path: Path) -> None:
    """One JSON text a line, for the generator."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(one) + "\n" for one in calls)


def read_calls(path: Path) -> list[Call]:
    """What `write_calls` wrote."""
    with path.open(encoding="utf-8") as file:
        return [Call(*json.loads(line)) for line in file]
