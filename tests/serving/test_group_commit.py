"""Writes that come together share a transaction; what fails is nobody else's."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features.errors import StateError
from serving.state.protocol import StoredEvent
from serving.state.sqlite import SqliteState
from serving.state.sqlite_connections import Connections
from serving.state.sqlite_group import GroupCommit


class Counting(Connections):
    """Counts the transactions; the first waits until it is let go."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, patience=5)
        self.count = 0
        self.go = threading.Event()
        with self.alone() as connection:
            connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")

    def writing(self):  # type: ignore[no-untyped-def]
        self.count += 1
        if self.count == 1:
            assert self.go.wait(10)
        return super().writing()


@pytest.fixture
def connections(tmp_path: Path) -> Iterator[Counting]:
    opened = Counting(tmp_path / "state.db")
    yield opened
    opened.close()


@pytest.fixture
def group(connections: Counting) -> Iterator[GroupCommit]:
    opened = GroupCommit(connections)
    yield opened
    opened.close()


def put(number: int) -> Callable[[sqlite3.Connection], int]:
    def work(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO numbers VALUES (?)", (number,))
        if number < 0:
            raise ValueError("a negative number")
        return number

    return work


def stored(connections: Counting) -> list[int]:
    with connections.reading() as connection:
        return [number for (number,) in connection.execute("SELECT number FROM numbers ORDER BY number")]


def together(group: GroupCommit, connections: Counting, numbers: list[int]) -> list[int | str]:
    """What each write gets, the first of which is held up until the others wait."""

    def one(number: int) -> int | str:
        try:
            return group.run(put(number))
        except (ValueError, StateError) as error:
            return str(error)

    with ThreadPoolExecutor(len(numbers)) as pool:
        answers = [pool.submit(one, number) for number in numbers[:1]]
        while connections.count == 0:
            pass
        answers += [pool.submit(one, number) for number in numbers[1:]]
        while group._waiting.qsize() < len(numbers) - 1:
            pass
        connections.go.set()
        return [answer.result(10) for answer in answers]


def test_all_who_wait_share_the_next_transaction(group: GroupCommit, connections: Counting) -> None:
    assert together(group, connections, [*range(9)]) == [*range(9)]
    assert connections.count == 2
    assert stored(connections) == [*range(9)]


def test_what_one_raises_is_its_own(group: GroupCommit, connections: Counting) -> None:
    assert together(group, connections, [1, 2, -3, 4]) == [1, 2, "a negative number", 4]
    assert stored(connections) == [1, 2, 4]


def test_an_error_of_the_store_is_everybodys_of_the_group(group: GroupCommit, connections: Counting) -> None:
    one, *others = together(group, connections, [1, 2, 1, 4])
    assert one == 1
    assert all("did not answer: UNIQUE" in str(other) for other in others)
    assert stored(connections) == [1]
    assert group.run(put(5)) == 5


def test_what_waits_is_written_before_the_end(group: GroupCommit, connections: Counting) -> None:
    connections.go.set()
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(group.run, put(number)) for number in range(4)]
        assert sorted(answer.result(10) for answer in answers) == [0, 1, 2, 3]
    group.close()
    assert stored(connections) == [0, 1, 2, 3]


def test_nobody_waits_for_ever_for_a_closed_store(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    state.append([StoredEvent("e1", "i1", "view", 1, "ann")])
    state.close()
    with pytest.raises(StateError, match="did not answer"):
        state.append([StoredEvent("e2", "i1", "view", 1, "ann")])
