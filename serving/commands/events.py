"""`tailorbird events`, `tailorbird effect` and `tailorbird export-log`."""

from pathlib import Path

import click

from serving.commands.options import CONFIG, FOLDER, STATE


@click.command("export-log")
@CONFIG
@STATE
@click.option("-o", "--output", default="var/log", show_default=True, type=click.Path(path_type=Path), help=FOLDER)
@click.option("--since", help="Leave out for good what is dated before (RFC 3339).")
def export_log_(config: Path, state: str, output: Path, since: str | None) -> None:
    """Add what was served, shown and done since the last time to a folder of Parquet files, from which to train."""
    from serving.events.commands import export_logs

    added = export_logs(config, state, output, since)
    click.echo(f"{added.served} served, {added.shown} shown and {added.acted} acted new in {output}")
    click.echo(output / "dataset.yaml")


@click.command("effect")
@CONFIG
@STATE
@click.option("--since", help="Only answers given from then on (RFC 3339).")
def effect_(config: Path, state: str, since: str | None) -> None:
    """Say what share of the items that people saw they then acted on, by bundle and placement, with an interval."""
    from serving.events.commands import effect_lines

    for line in effect_lines(config, state, since):
        click.echo(line)


@click.group()
def events() -> None:
    """Events that were refused."""


@events.command("rejected")
@STATE
@click.option("--show-ids", is_flag=True, help="Print what was sent, ids included.")
def events_rejected(state: str, show_ids: bool) -> None:
    """List the refused events that the store keeps."""
    from serving.events.commands import rejected_lines

    for line in rejected_lines(state, show_ids):
        click.echo(line)


@events.command("replay")
@CONFIG
@STATE
def events_replay(config: Path, state: str) -> None:
    """Try refused events again, after the configuration has changed; a second time nothing is doubled."""
    from serving.events.commands import replay_rejected

    found = replay_rejected(config, state)
    click.echo(
        f"{found.stored} stored, {found.duplicates} were stored before, {found.given_up} given up, {found.left} left"
    )
