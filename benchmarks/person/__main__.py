"""`make bench-person`: measure the stores and their crashes; each row is written down when it is done."""

import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import redis

from benchmarks.person.crashes import kill_the_server, kill_the_writer
from benchmarks.person.redis_server import redis_program, running_redis
from benchmarks.person.results import about_now, put, write_page
from benchmarks.person.throughput import fill, measure
from serving.state import open_state
from serving.state.protocol import State

HERE = Path(__file__).resolve().parent
PARTS = ("sqlite", "redis", "crashes")


@click.command()
@click.option("--part", "parts", default=",".join(PARTS), show_default=True, help="What to measure, with commas.")
@click.option("--users", default=1_000_000, show_default=True, help="People in each store.")
@click.option("--events", "each", default=5, show_default=True, help="Events of each, on average.")
@click.option("--seconds", default=5.0, show_default=True, help="Length of each run that stores events.")
@click.option("--reads", default=5_000, show_default=True, help="People whose records are read.")
@click.option("--kills", default=100, show_default=True, help="Of each kind.")
@click.option("--folder", default="var/bench/person", show_default=True, type=click.Path(path_type=Path))
@click.option("--results", default=HERE, type=click.Path(path_type=Path), help="Folder of results.json and RESULTS.md.")
@click.option("--note", default="", help="What else is to be known of the machine while it measured.")
@click.option("--render", is_flag=True, help="Measure nothing: write RESULTS.md from results.json.")
def main(parts: str, folder: Path, results: Path, *, kills: int, note: str, render: bool, **size: Any) -> None:
    """Measure the stores of people: events per second, milliseconds per read, and what a kill -9 takes."""
    if render:
        write_page(results)
        return
    wanted = [one.strip() for one in parts.split(",")]
    if strange := set(wanted) - set(PARTS):
        raise click.ClickException(f"--part: there is no {min(strange)}; there is {', '.join(PARTS)}")
    for part in wanted:
        place = _fresh(folder / part)
        try:
            match part:
                case "sqlite":
                    with closing(open_state(f"sqlite:///{place.resolve()}/state.db")) as state:
                        _measured("sqlite", state, results, note, fill_it=True, **size)
                case "redis":
                    _redis(place.resolve(), results, note, **size)
                case _:
                    _crashes(place.resolve(), results, kills, note)
        finally:
            shutil.rmtree(place)


def _redis(folder: Path, results: Path, note: str, **size: Any) -> None:
    """Fill and measure with a sync each second, then measure with one for each write."""
    everysec: Sequence[str] = ("--appendonly", "yes", "--appendfsync", "everysec")
    with running_redis(_program(), folder, *everysec) as url, closing(open_state(url)) as state:
        events = _measured("redis_everysec", state, results, note, fill_it=True, **size)
        with redis.Redis.from_url(url) as client:
            client.config_set("appendfsync", "always")
        _measured("redis_always", state, results, note, fill_it=False, **size, known=events)


def _measured(
    name: str,
    state: State,
    results: Path,
    note: str,
    *,
    users: int,
    each: int,
    seconds: float,
    reads: int,
    fill_it: bool,
    known: int = 0,
) -> int:
    """Measure a store and write it down; the events that were loaded."""
    about = about_now(note)
    click.echo(f"{name}: {'filling' if fill_it else 'measuring'} ...")
    filled = fill(state, users, each) if fill_it else {"events": known}
    found = measure(state, users, seconds, reads, lambda what: click.echo(f"{name}: {what} ..."), name)
    row = {"users": users, **filled, **found, "about": about}
    put(results, "stores", name, row)
    click.echo(f"{name}: { ({key: one for key, one in row.items() if key != 'about'}) }")
    return int(filled["events"])


def _crashes(folder: Path, results: Path, kills: int, note: str) -> None:
    about = about_now(note)
    found = kill_the_writer(f"sqlite:///{folder}/state.db", kills)
    put(results, "crashes", "a process that writes to a SQLite file", {**found._asdict(), "about": about})
    click.echo(found)
    about = about_now(note)
    found = kill_the_server(_program(), folder, kills)
    put(results, "crashes", "a Redis server, `appendfsync always`", {**found._asdict(), "about": about})
    click.echo(found)


def _program() -> str:
    program = redis_program()
    if program is None:
        raise click.ClickException("no redis-server is installed")
    return program


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main()
