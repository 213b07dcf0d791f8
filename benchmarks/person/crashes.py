"""kill -9 while events are stored: what was acknowledged is there, once, and every batch whole or not at all."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import redis

from benchmarks.person.ingesting import BATCH, DEAD, batch_events
from benchmarks.person.redis_server import DURABLE, running_redis
from features.errors import StateError
from serving.state import open_state
from serving.state.protocol import State

ROOT = Path(__file__).parents[2]
SHORTEST, LONGEST = 0.005, 0.06
"""Seconds from the first acknowledgement to the kill."""
WRITERS = 4


class Found(NamedTuple):
    """What came of some kills."""

    kills: int
    acknowledged: int
    """Events of which the store said that it has them."""
    lost: int
    """Of these, events that it had not."""
    twice: int
    """Event ids that it had more than once."""
    torn: int
    """Batches of which it had a part."""


def kill_the_writer(url: str, kills: int, seed: int = 0) -> Found:
    """Kill the process that writes to a SQLite file, again and again, and look at what is left each time."""
    draw, acknowledged = random.Random(seed), list[str]()
    command = [sys.executable, "-m", "benchmarks.person.ingesting", url]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    lost = 0
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        for run in range(kills):
            names = _killed_run(process, run, draw.uniform(SHORTEST, LONGEST))
            with closing(open_state(url)) as state:
                lost += _lost(state, names)
            acknowledged += names
        assert process.stdin
        process.stdin.close()
    with closing(open_state(url)) as state:
        return _found(state, kills, acknowledged, lost)


def kill_the_server(program: str, folder: Path, kills: int, settings: Sequence[str] = DURABLE, seed: int = 0) -> Found:
    """Kill a Redis server, which by default syncs each write, again and again, while threads write to it."""
    draw, acknowledged = random.Random(seed), list[str]()
    lost = 0
    for run in range(kills):
        with running_redis(program, folder, *settings) as url, closing(open_state(url)) as state:
            names = _until_killed(state, url, run, draw.uniform(SHORTEST, LONGEST))
        with running_redis(program, folder, *settings) as url, closing(open_state(url)) as state:
            lost += _lost(state, names)
            acknowledged += names
            if run == kills - 1:
                return _found(state, kills, acknowledged, lost)
    raise ValueError("at least one kill is needed")


def _killed_run(process: "subprocess.Popen[str]", run: int, seconds: float) -> list[str]:
    """The batches that a child acknowledged until it was killed."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{run}\n")
    process.stdin.flush()
    child = int(process.stdout.readline())
    names = [process.stdout.readline().strip()]
    timer = threading.Timer(seconds, os.kill, (child, signal.SIGKILL))
    timer.start()
    while (line := process.stdout.readline().strip()) != DEAD:
        names.append(line)
    timer.join()
    return names


def _until_killed(state: State, url: str, run: int, seconds: float) -> list[str]:
    """The batches that were acknowledged by a server until it was killed."""
    names: list[str] = []

    def write(writer: int) -> None:
        number = 0
        while True:
            name = f"{run}-{writer}-{number}"
            try:
                state.append(batch_events(name))
            except StateError:
                return
            names.append(name)
            number += 1

    with redis.Redis.from_url(url) as client:
        server = int(client.info("server")["process_id"])
    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    while not names:
        time.sleep(0.001)
    time.sleep(seconds)
    os.kill(server, signal.SIGKILL)
    for thread in threads:
        thread.join()
    return names


def _lost(state: State, names: list[str]) -> int:
    ids = [event.event_id for name in names for event in batch_events(name)]
    return len(ids) - len(state.known(ids))


def _found(state: State, kills: int, acknowledged: list[str], lost: int) -> Found:
    """Looks through everybody's history, not only at the marks by which a repeated event is known."""
    held = Counter(one["event_id"] for user in state.user_ids() for one in state.export(user)["events"])
    batches = Counter(event_id.partition("/")[0] for event_id in held)
    missing = sum(event.event_id not in held for name in acknowledged for event in batch_events(name))
    return Found(
        kills=kills,
        acknowledged=BATCH * len(acknowledged),
        lost=max(lost, missing),
        twice=sum(count > 1 for count in held.values()),
        torn=sum(count != BATCH for count in batches.values()),
    )
