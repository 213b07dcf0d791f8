"""What only the SQLite store promises: bytes on disk, several processes, and files that are not its own."""

import sqlite3
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from features.errors import StateError
from serving.state import open_state
from serving.state.protocol import StoredEvent
from serving.state.sqlite import SqliteState
from serving.state.sqlite_schema import VERSION
from serving.state.unused_bytes import search

ANOTHER_PROCESS = """
import sys
from serving.state import open_state
from serving.state.protocol import StoredEvent
state = open_state(sys.argv[1])
for line in sys.stdin:
    name, item = line.split()
    if name == "append":
        print(*state.append([StoredEvent(item, item, "view", 1, "ann")]), flush=True)
    else:
        print(*state.person("ann").events.item_ids, flush=True)
"""


def event(number: int, **given: object) -> StoredEvent:
    return StoredEvent(f"event-{number}", f"i{number}", "view", number, "ann")._replace(**given)  # type: ignore[arg-type]


def another_process(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ANOTHER_PROCESS, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def ask(process: subprocess.Popen[str], line: str) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_processes_see_each_others_commits_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    processes = [another_process(url) for _ in range(2)]  # both make the new file
    try:
        items = []
        for number in range(10):
            items.append(f"i{number}")
            assert ask(processes[number % 2], f"append i{number}") == "stored"
            assert ask(processes[1 - number % 2], "person x").split() == items
    finally:
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(10) == 0
            assert process.stdout is not None
            process.stdout.close()


def test_an_erased_person_is_in_no_byte_of_the_files(tmp_path: Path) -> None:
    state = open_state(f"sqlite:///{tmp_path}/state.db")
    state.load(
        event(number, user_id=f"person-{number % 5}-id", event_id=f"{number % 5}-event-{number}")
        for number in range(5000)
    )
    assert bytes_with(tmp_path, b"person-3-id")
    receipt = state.erase("person-3-id", moment=9_999)
    state.finish(receipt.receipt_id, {})
    state.scrub(["person-3-id"])
    assert not bytes_with(tmp_path, b"person-3-id")
    assert not bytes_with(tmp_path, b"3-event-8")
    assert bytes_with(tmp_path, b"person-2-id")
    state.close()


def test_copies_that_moving_rows_left_are_found_and_overwritten(tmp_path: Path) -> None:
    """Rows of random order move between pages; what SQLite leaves behind then, `secure_delete` does not reach."""
    random, state = Random(2), open_state(f"sqlite:///{tmp_path}/state.db")
    events = [
        event(number, user_id=f"u{number % 9}", event_id=f"{random.randrange(10**9)}-of-{number % 9}-")
        for number in range(9_000)
    ]
    for start in range(0, len(events), 300):
        state.load(events[start : start + 300])
    for user in range(6):
        state.finish(state.erase(f"u{user}", moment=9_999).receipt_id, {})
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    gone = [f"-of-{user}-" for user in range(6)]
    left = sum((tmp_path / "state.db").read_bytes().count(one.encode()) for one in gone)
    assert left > 0
    assert state.remnants(gone) == {"state.db": left}
    state.scrub(gone)
    assert state.remnants(gone) == {}
    assert not any(bytes_with(tmp_path, one.encode()) for one in gone)
    assert state.remnants(["-of-7-"]) == {}
    assert len(state.person("u7", newest=2_000).events) == 1_000
    state.close()


def test_the_log_is_searched_and_a_reader_holds_up_the_scrubbing(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db", patience=0.05)
    state.append([event(1, user_id="person-1")])
    reader = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM ids").fetchall()
    receipt = state.erase("person-1", moment=9)
    with pytest.raises(StateError, match="write-ahead log could not be emptied"):
        state.scrub(["person-1"])
    reader.execute("COMMIT")
    reader.close()
    state.finish(receipt.receipt_id, {})
    state.scrub(["person-1"])
    assert not bytes_with(tmp_path, b"person-1")
    state.close()


@pytest.mark.parametrize("size", [512, 4096, 65_536])
def test_unused_bytes_are_told_from_used_ones(tmp_path: Path, size: int) -> None:
    """Without `secure_delete` what was deleted stays: in gaps, in free blocks, and on free pages."""
    path = tmp_path / "some.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA secure_delete=OFF")
    connection.execute(f"PRAGMA page_size={size}")
    connection.execute("CREATE TABLE names (name TEXT PRIMARY KEY)")
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO names VALUES (?)", [(f"gone-{one:05d}-żółw",) for one in range(500)])
    connection.executemany("INSERT INTO names VALUES (?)", [(f"kept-{one:05d}",) for one in range(500)])
    connection.execute("DELETE FROM names WHERE name LIKE 'gone-%'")
    connection.execute("COMMIT")
    connection.close()
    content = path.read_bytes()
    assert content.count(b"kept-") - search(path, ["kept-"]).get("some.db", 0) == 2 * 500  # of the table and its index
    assert search(path, ["e-0"]) == {}, "what is shorter than four characters stands anywhere"
    assert search(path, ["-żółw"]) == {"some.db": content.count("-żółw".encode())}
    assert content.count("-żółw".encode()) > 100


def bytes_with(folder: Path, needle: bytes) -> bool:
    return any(needle in path.read_bytes() for path in folder.iterdir())


def test_nothing_is_lost_but_by_a_store_in_memory(tmp_path: Path) -> None:
    states = [open_state(url) for url in (f"sqlite:///{tmp_path}/state.db", "sqlite://:memory:")]
    assert [state.may_lose() for state in states] == [None, "everything: the store is in memory"]
    for state in states:
        state.close()


def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    open_state(f"sqlite:///{tmp_path}/deep/state.db").close()
    assert (tmp_path / "deep" / "state.db").stat().st_mode & 0o077 == 0


def test_a_file_that_is_no_store_is_told(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StateError, match="did not answer: file is not a database"):
        SqliteState(tmp_path / "state.db")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(StateError, match="did not answer"):
        SqliteState(tmp_path / "taken" / "state.db")


def test_a_store_of_another_version_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StateError, match=f"version 99; this program reads version {VERSION}"):
        SqliteState(tmp_path / "state.db")


def test_a_lock_that_is_never_given_back_is_told_and_reading_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    state = SqliteState(path, patience=0.05)
    state.append([event(1)])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StateError, match="database is locked"):
        state.append([event(2)])
    assert list(state.person("ann").events.item_ids) == ["i1"]
    other.execute("ROLLBACK")
    other.close()
    assert state.append([event(2)]) == ["stored"]
    state.close()


def test_a_closed_store_says_that_it_does_not_answer(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    state.check()
    state.close()
    with pytest.raises(StateError, match="did not answer"):
        state.check()


def test_a_full_disk_is_told_and_nothing_is_taken_in_part(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "state.db")
    state.append([event(1)])
    with state._connections.writing() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages}")
    many = [event(number) for number in range(2, 3000)]
    with pytest.raises(StateError, match=r"database or disk is full.*its free space"):
        state.append(many)
    assert state.person("ann").events.item_ids == ("i1",), "what is there goes on to answer"
    with state._connections.writing() as connection:
        connection.execute(f"PRAGMA max_page_count={2**30}")
    assert len(state.append(many)) == len(many)
    assert len(state.known([one.event_id for one in many])) == len(many)
    state.close()
