"""`tailorbird prepare`, which needs nothing that trains: it also runs where a Spark driver does."""

from pathlib import Path

import click


@click.command("prepare")
@click.option("--config", required=True, type=click.Path(path_type=Path), help="Configuration file (YAML).")
@click.option("--no-check", is_flag=True, help="The tables were checked before: read, order and write only.")
def prepare_command(config: Path, no_check: bool) -> None:
    """Write the events as checked, ordered shards, by the engine that `tables.engine` names, for training to read."""
    from features.config import read_config
    from features.shards.preparing import prepare, prepared_folder
    from features.shards.settings import TablesConfig

    file = read_config(config)
    tables = TablesConfig.parse(file.content.get("tables", {}), "tables")
    prepared = prepare(file.dataset, file.folder, tables, check=not no_check)
    events, users = (sum(getattr(part, name) for part in prepared.parts) for name in ("events", "users"))
    click.echo(f"{events:,} events of {users:,} users in {len(prepared.parts)} parts")
    click.echo(prepared_folder(file.folder, tables))
