"""What a server's settings can lose of what was acknowledged, and how what was erased leaves its files."""

import logging
from collections.abc import Callable, Mapping
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import redis

from features.errors import StateError
from serving.state.erasures import Scrubbed

if TYPE_CHECKING:
    from redis import Redis

LOOK_SECONDS = 0.05
"""Between two looks at whether a rewrite has ended."""
REWRITE_SECONDS = 600.0
"""Longest wait for one; a gigabyte takes some ten seconds."""
REWRITTEN = "written anew by the server once the rows were gone; whoever has its disk can search them, not this service"
REFUSED = "the server refuses to write its files anew, so that they hold the person until it does so by itself"
_WRITING = ("aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress")

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


def forget_on_disk(client: "Redis") -> Scrubbed:
    """Let the server write its files anew, without what was deleted, and wait until it has.

    A writing that runs already may hold it still, so that ours begins after it. A server that others look after may
    refuse. Raises `StateError` when it fails or takes too long.
    """
    try:
        log = bool(client.info("persistence")["aof_enabled"])
        if log:
            _written_anew(client, client.bgrewriteaof, "aof_last_bgrewrite_status")
        snapshots = _keeps_snapshots(client)
        if snapshots:
            _written_anew(client, client.bgsave, "rdb_last_bgsave_status")
    except redis.ResponseError as error:
        reason = str(error).partition(", with args")[0]
        _LOG.warning("what was erased stays in the files of Redis until they are next rewritten: %s", reason)
        return Scrubbed("not_reached", f"{REFUSED}: {reason}")
    return Scrubbed("rewritten", REWRITTEN) if log or snapshots else Scrubbed("absent", "the server writes no files")


def _keeps_snapshots(client: "Redis") -> bool:
    """Whether the server writes snapshots by itself; one that does not say so is taken to."""
    try:
        return bool(client.config_get("save").get("save"))
    except redis.ResponseError:
        return True


def _written_anew(client: "Redis", begin: Callable[[], Any], status: str) -> None:
    """Begin a writing after the one that runs, and wait for its end."""
    _wait(client)
    while not _begun(begin):
        _wait(client)
    if _wait(client)[status] != "ok":
        raise StateError(
            "the server could not write its files anew", field="state", hint="Look at its log and its free disk."
        )


def _begun(begin: Callable[[], Any]) -> bool:
    """Whether a writing began; not when somebody else's began a moment before."""
    try:
        begin()
    except redis.ResponseError as error:
        if "in progress" in str(error):
            return False
        raise
    return True


def _wait(client: "Redis") -> Mapping[str, Any]:
    """What the server says of its files as soon as it writes none anew."""
    end = monotonic() + REWRITE_SECONDS
    while True:
        found: Mapping[str, Any] = client.info("persistence")
        if not any(found[one] for one in _WRITING):
            return found
        if monotonic() > end:
            raise StateError(
                f"the server is not done with writing its files anew after {REWRITE_SECONDS:.0f} seconds",
                field="state",
                hint="It is tried again.",
            )
        sleep(LOOK_SECONDS)
