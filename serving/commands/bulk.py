"""`tailorbird recommend`."""

from pathlib import Path
from typing import Any

import click


@click.command("recommend")
@click.option("--bundle", required=True, type=click.Path(path_type=Path), help="Path of a bundle.")
@click.option("--config", type=click.Path(path_type=Path), help="Take people and events from a config's tables.")
@click.option("--state", help="Take people and events from the state at this URL.")
@click.option("--users", type=click.Path(path_type=Path), help="File whose user_id column says for whom.")
@click.option("--history", type=click.Path(path_type=Path), help="Table of events in place of the config's.")
@click.option("--at", help="Moment of the requests (RFC 3339, or a sequence number).")
@click.option("--k", default=10, show_default=True, help="Items per person.")
@click.option("--filter", "where", help="What every item must fulfil, such as 'price < 20' (docs/filters.md).")
@click.option("--processes", type=click.IntRange(1), help="How many to spread the work over; one for each core.")
@click.option("--consent", type=click.Path(path_type=Path), help="With --state: file with a `serving.consent` section.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Parquet file to write.")
def recommend_(bundle: Path, output: Path, **chosen: Any) -> None:
    """Write lists for many people: user_id, item_id, rank, score."""
    from serving.bulk.batch import recommend_to_file

    rows = recommend_to_file(bundle, output, **chosen)
    click.echo(f"{rows} rows in {output}")
