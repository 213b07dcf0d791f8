"""What a server's settings can lose of what was acknowledged, and how what was erased leaves its files."""

import logging
from collections.abc import Mapping
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import redis

if TYPE_CHECKING:
    from redis import Redis

LOOK_SECONDS = 0.02
"""Between two looks at whether a rewrite has ended."""

_LOG = logging.getLogger("bentoml.tailorbird")
_UNKNOWN = "the server does not say what it can lose (it refuses CONFIG GET): look at appendonly and appendfsync"
_OF_FSYNC = {
    "everysec": "up to about two seconds of acknowledged writes at a power loss or crash (appendfsync everysec)",
    "no": "what the system has not yet written at a power loss, often 30 seconds (appendfsync no)",
}


def may_lose(client: "Redis") -> str | None:
    """What a crash or a power loss can take, and whether somebody may be evicted for lack of memory; None: nothing."""
    try:
        setting: Mapping[Any, Any] = client.config_get("appendonly", "appendfsync", "maxmemory-policy", "save")
    except redis.ResponseError:
        return _UNKNOWN
    if setting["appendonly"] == "yes":
        lost = [_OF_FSYNC[setting["appendfsync"]]] if setting["appendfsync"] in _OF_FSYNC else []
    elif setting["save"]:
        lost = ["all writes since the last snapshot (appendonly no)"]
    else:
        lost = ["everything, at every restart (appendonly no, no snapshots)"]
    if (policy := setting["maxmemory-policy"]) != "noeviction":
        lost.append(f"people, when memory is short (maxmemory-policy {policy})")
    return "; ".join(lost) or None


def forget_on_disk(client: "Redis", patience: float) -> None:
    """Let the server write its files anew, without what was deleted; it goes on with that in the background.

    A rewrite that runs already may hold it still, so that ours begins after it, if that takes at most `patience`
    seconds. A server that others look after may refuse, and rewrites in its own time; both are told in the log.
    """
    end = monotonic() + patience
    try:
        while client.info("persistence")["aof_rewrite_in_progress"] and monotonic() < end:
            sleep(LOOK_SECONDS)
        if client.info("persistence")["aof_enabled"]:
            client.bgrewriteaof()
        if client.config_get("save").get("save"):
            client.bgsave(schedule=True)
    except redis.ResponseError as error:
        _LOG.warning("what was erased stays in the files of Redis until they are next rewritten: %s", error)
