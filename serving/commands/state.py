"""`tailorbird state`."""

from pathlib import Path

import click

from serving.commands.options import CONFIG, STATE


@click.group()
def state() -> None:
    """What is known of each person."""


@state.command("load")
@CONFIG
@STATE
def load_state(config: Path, state: str) -> None:
    """Fill the state from a config's tables; a second time doubles nothing."""
    from features.config import read_config
    from features.tables import load_tables
    from serving.state import load_tables_into_state, open_state, without_password

    file = read_config(config)
    store = open_state(state)
    stored = load_tables_into_state(store, load_tables(file.dataset, file.folder)).stored
    click.echo(f"{stored} new events in {without_password(state)}")


@state.command("rebuild")
@STATE
def rebuild_state(state: str) -> None:
    """Make again what follows from the log of events; stop whatever writes first."""
    from contextlib import closing

    from serving.state import open_upkeep

    with closing(open_upkeep(state)) as upkeep:
        for table, rows in upkeep.rebuild().items():
            click.echo(f"{table}: {rows} rows made again")


@state.command("copy")
@click.option("--from", "source", required=True, help="URL of the state that is copied; stop whatever writes to it.")
@click.option("--to", "target", required=True, help="URL of a new state, or of a copy that was broken off.")
def copy_state(source: str, target: str) -> None:
    """Take everything to another store, whatever its kind, and read it again there."""
    from tqdm import tqdm

    from serving.state import open_upkeep
    from serving.state.upkeep import copy_store

    with tqdm(desc="copying", unit=" rows", disable=None, leave=False) as bar:

        def advance(rows: int) -> None:
            bar.update(rows)

        counts = copy_store(open_upkeep(source), open_upkeep(target), advance)
    click.echo(", ".join(f"{rows} {table}" for table, rows in sorted(counts.items()) if rows) or "nothing was held")


@state.command("expire")
@CONFIG
@STATE
def expire_state_(config: Path, state: str) -> None:
    """Remove what is older than `serving.retention` of the config allows."""
    from serving.person.administration import expire_state

    for kind, count in expire_state(state, config).items():
        click.echo(f"{count} {kind}")
