"""`make bench-accuracy`: measure rows, one at a time, and write them down when each is done."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.accuracy import own
from benchmarks.accuracy.datasets import DATASETS, ROOT
from benchmarks.accuracy.measured import BenchmarkError
from benchmarks.accuracy.own import Plan, own_row
from benchmarks.accuracy.peer_rows import RefusedError, peer_row
from benchmarks.accuracy.rendering import write_pages
from benchmarks.accuracy.results import SYSTEMS, Row, put_row, read_rows
from features.errors import TailorbirdError
from features.strict import read_yaml

HERE = Path(__file__).resolve().parent
PEER_SEEDS = 1


@click.command()
@click.option(
    "--rows", "asked", default="", help="DATASET/SYSTEM, several with commas; by default all that are missing."
)
@click.option("--seeds", default="0,1,2", show_default=True, help="Of our own rows; a peer takes the first.")
@click.option(
    "--folder", default=ROOT / "var" / "bench" / "accuracy", type=click.Path(path_type=Path), help="Runs and lists."
)
@click.option("--results", default=HERE, type=click.Path(path_type=Path), help="Folder of results.json and RESULTS.md.")
@click.option("--settings", type=click.Path(path_type=Path), help="YAML laid over the configuration, for a trial.")
@click.option("--budget", type=float, help="Seconds for a peer; the wall time of our own row, if not given.")
@click.option("--fresh", is_flag=True, help="Train `tailorbird` again, even where a finished training lies.")
@click.option("--render", is_flag=True, help="Measure nothing: write the pages from results.json.")
def main(
    asked: str,
    seeds: str,
    folder: Path,
    results: Path,
    settings: Path | None,
    budget: float | None,
    *,
    fresh: bool,
    render: bool,
) -> None:
    """Measure rows on the frozen splits; each is written into results.json as soon as it is done."""
    if settings is not None and results.resolve() == HERE:
        raise click.ClickException("a trial with other settings needs --folder and --results of its own")
    table = results / "results.json"
    plan = Plan(
        folder.resolve(), [int(one) for one in seeds.split(",")], read_yaml(settings) if settings else {}, fresh, budget
    )
    write_pages(results)
    refused = False
    for name in [] if render else rows_to_measure(asked, read_rows(table)):
        dataset, _, system = name.partition("/")
        click.echo(f"{name} ...")
        try:
            row = measure(dataset, system, plan, read_rows(table))
        except RefusedError as refusal:
            click.echo(f"{refusal}", err=True)
            refused = True
            continue
        except (BenchmarkError, TailorbirdError) as error:
            raise click.ClickException(str(error)) from None
        put_row(table, row)
        write_pages(results)
        click.echo(f"{name}: NDCG@10 {row.ndcg10:.4f}, Recall@10 {row.recall10:.4f}, {row.train_seconds:,.0f} s")
    sys.exit(1 if refused and asked else 0)


def rows_to_measure(asked: str, rows: Sequence[Row]) -> list[str]:
    """What was asked for, or all that is missing. Raises ClickException for a row that there is not."""
    known = [f"{dataset}/{system}" for dataset in DATASETS for system in SYSTEMS]
    wanted = [one.strip() for one in asked.split(",") if one.strip()]
    if unknown := [one for one in wanted if one not in known]:
        raise click.ClickException(f"no such row: {', '.join(unknown)}. The rows are: {', '.join(known)}")
    there = {f"{row.dataset}/{row.system}" for row in rows}
    return wanted or [one for one in known if one not in there]


def measure(dataset: str, system: str, plan: Plan, rows: Sequence[Row]) -> Row:
    """One row. Raises RefusedError where it cannot be measured, BenchmarkError when something broke on the way."""
    if system in own.SYSTEMS:
        return own_row(DATASETS[dataset], system, plan)
    ours = [row.train_seconds for row in rows if (row.dataset, row.system) == (dataset, own.WHOLE)]
    return peer_row(DATASETS[dataset], system, plan, plan.budget or next(iter(ours), None))


if __name__ == "__main__":
    main()
