"""kill -9 while events come in: no acknowledged event is lost, none is there twice, no batch is torn.

`make bench-person` does the same a hundred times.
"""

from pathlib import Path

from benchmarks.person.crashes import Found, kill_the_server, kill_the_writer

KILLS = 10


def unharmed(found: Found) -> bool:
    return (found.kills, found.lost, found.twice, found.torn) == (KILLS, 0, 0, 0)


def test_a_writer_of_the_file_may_be_killed_at_any_time(tmp_path: Path) -> None:
    found = kill_the_writer(f"sqlite:///{tmp_path}/state.db", KILLS)
    assert unharmed(found), found
    assert found.acknowledged >= 3 * KILLS


def test_a_redis_that_syncs_each_write_may_be_killed_at_any_time(redis_program: str, tmp_path: Path) -> None:
    found = kill_the_server(redis_program, tmp_path, KILLS)
    assert unharmed(found), found
    assert found.acknowledged >= 3 * KILLS


def test_what_a_server_without_files_loses_is_found(redis_program: str, tmp_path: Path) -> None:
    found = kill_the_server(redis_program, tmp_path, 1, settings=())
    assert found.lost == found.acknowledged > 0
