"""Connections that all landed on one worker spread over the workers; those of a worker that is gone are not counted."""

import os
import random
import time
from pathlib import Path

from serving.http.balance import ACTIVE_SECONDS, LEAST, LOOK_SECONDS, SLACK, Balance

WORKERS, CLIENTS = 3, 60


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def settled(folder: Path, clients: int, rounds: int = 200) -> list[int]:
    """Clients per worker, all of which began at the first; who is sent away comes back anywhere."""
    clock, draw = Clock(), random.Random(1)
    workers = [Balance(folder / str(number), WORKERS, clock) for number in range(WORKERS)]
    place = dict.fromkeys(range(clients), 0)
    for _ in range(rounds):
        clock.now += LOOK_SECONDS / 5
        for client, worker in place.items():
            if workers[worker].close_after((client, worker)):
                place[client] = draw.randrange(WORKERS)
    return [list(place.values()).count(number) for number in range(WORKERS)]


def test_no_worker_keeps_many_more_than_its_share(tmp_path: Path) -> None:
    counts = settled(tmp_path / "shared", CLIENTS)
    assert sum(counts) == CLIENTS
    assert max(counts) <= SLACK * CLIENTS / WORKERS + 2


def test_few_connections_stay_where_they_are(tmp_path: Path) -> None:
    assert settled(tmp_path / "shared", LEAST) == [LEAST, 0, 0]


def test_a_worker_that_is_gone_or_unreadable_counts_nothing(tmp_path: Path) -> None:
    clock = Clock()
    (tmp_path / "gone").write_text("1000")
    long_ago = time.time() - 2 * ACTIVE_SECONDS
    os.utime(tmp_path / "gone", (long_ago, long_ago))
    (tmp_path / "half written").write_text("")
    mine = Balance(tmp_path / "mine", 2, clock)
    sent = [mine.close_after(client) for client in range(40)]
    clock.now += LOOK_SECONDS
    sent += [mine.close_after(client) for client in range(40)]
    assert sum(sent) == 40 - int(SLACK * 20), "what is above its share of forty, with some slack"


def test_it_leaves_nothing_behind(tmp_path: Path) -> None:
    clock = Clock()
    mine = Balance(tmp_path / "shared" / "mine", 2, clock)
    mine.end()
    clock.now += LOOK_SECONDS
    mine.close_after("somebody")
    assert (tmp_path / "shared" / "mine").read_text() == "1"
    mine.end()
    assert not (tmp_path / "shared").exists()


def test_a_folder_that_cannot_be_written_to_ends_no_answer(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    clock = Clock()
    mine = Balance(tmp_path / "a file" / "mine", 2, clock)
    for client in range(40):
        clock.now += LOOK_SECONDS
        assert not mine.close_after(client)
    mine.end()
