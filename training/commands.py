"""The commands of the terminal that ask something of training; each imports what it needs when it is called."""

import sys
from pathlib import Path
from typing import Any

import click

from serving.commands.options import CONFIG, FOLDER, REGISTRY

AUDIT = click.option(
    "--state", envvar="TAILORBIRD_STATE", help="URL of a state in whose audit log decisions are noted; none by default."
)
COMMAND = Path(__file__).resolve().parents[1] / "tailorbird.py"
RUNS = "Folder that holds the runs and remembers them."


@click.group("import")
def import_() -> None:
    """Bring a public data set into Tailorbird's form."""


@import_.command("movielens")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", default="var/movielens-1m", show_default=True, type=click.Path(path_type=Path), help=FOLDER
)
def import_movielens_(source: Path, output: Path) -> None:
    """Read MovieLens 1M, the official files or a copy with order only."""
    from training.importers import import_movielens

    click.echo(import_movielens(source, output))


@click.command()
@click.option("-o", "--output", default="var/world", show_default=True, type=click.Path(path_type=Path), help=FOLDER)
@click.option("--events", default=100_000, show_default=True, help="About how many events, 1,000 to 10,000,000.")
@click.option("--users", type=int, help="People; one for every 50 events, if not given.")
@click.option("--items", type=int, help="Things to buy and to watch; grows with the events, if not given.")
@click.option("--days", default=60, show_default=True, help="Length of the recorded window.")
@click.option("--end", help="End of the window (RFC 3339); the current hour, if not given.")
@click.option("--seed", default=1, show_default=True, help="Of every random draw.")
@click.option(
    "--world",
    default="orderly",
    show_default=True,
    type=click.Choice(["orderly", "null"]),
    help="A world to learn from, or one in which nothing can be learned.",
)
@click.option(
    "--shuffled",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Share of the window, from its start, that is spoiled: items no longer belong to those who took them.",
)
def simulate(output: Path, **chosen: Any) -> None:
    """Write the tables of a simulated shop and streaming service, and a config that reads them."""
    from training.simulator.settings import SimulatorSettings
    from training.simulator.simulate import simulate as write_world

    given = {name: value for name, value in chosen.items() if value is not None}
    click.echo(write_world(SimulatorSettings.parse(given), output, progress=sys.stderr.isatty()))


@click.command()
@CONFIG
@click.option("--show-ids", is_flag=True, help="Print user ids and attributes of examples to the terminal.")
@click.option("-o", "--output", default="var/check", show_default=True, type=click.Path(path_type=Path), help=FOLDER)
def check(config: Path, show_ids: bool, output: Path) -> None:
    """Hold the tables against every rule; exit status 1 when one of them is an error."""
    from tqdm import tqdm

    from features.check_report import write
    from features.checks import RULES, check_tables
    from features.config import read_config

    file = read_config(config)
    with tqdm(total=len(RULES), desc="checking", disable=None, leave=False) as bar:

        def advance(_: str) -> None:
            bar.update()

        report = check_tables(file.dataset, file.folder, progress=advance)
    write(report, output)
    click.echo(report.to_table(show_ids))
    sys.exit(1 if report.errors else 0)


@click.command("train")
@CONFIG
@click.option("--run", type=click.Path(path_type=Path), help="Run folder; runs/CONFIG-TIME, if not given.")
def train_(config: Path, run: Path | None) -> None:
    """Train, judge, export and seal a bundle; its path is the last line."""
    from training.calls import train

    bundle = train(config, run)
    click.echo((bundle.parent / "report.md").read_text(encoding="utf-8"))
    click.echo(bundle)


@click.command("retrain")
@CONFIG
@click.option("--runs", default="runs/retrain", show_default=True, type=click.Path(path_type=Path), help=RUNS)
@REGISTRY
@AUDIT
def retrain_(config: Path, runs: Path, registry: str, state: str | None) -> None:
    """Bring the live bundle up to date, if a gate lets the new one pass; noted in the audit log of --state.

    Exit status: 0 promoted, 3 refused, 4 nothing new, 5 another run holds the lock, 1 an error.
    """
    from training.calls import retrain

    outcome = retrain(config, runs, registry, lambda line: click.echo(line, err=True), state)
    if (page := outcome.page) is not None:
        click.echo(page.read_text(encoding="utf-8"))
    click.echo(outcome.line)
    sys.exit(outcome.exit)


@click.command("schedule")
@CONFIG
@click.option("--runs", default="runs/retrain", show_default=True, type=click.Path(path_type=Path), help=RUNS)
@REGISTRY
@AUDIT
def schedule_(config: Path, runs: Path, registry: str, state: str | None) -> None:
    """Call `tailorbird retrain` at the moments of the config's `schedule` section, until it is stopped."""
    from training.config import read_training_config
    from training.retrain.schedule import run_schedule

    settings, _ = read_training_config(config)
    places = ("--config", str(config), "--runs", str(runs), "--registry", registry)
    noted = () if state is None else ("--state", state)
    command = (sys.executable, str(COMMAND), "retrain", *places, *noted)
    run_schedule(settings.schedule, command, runs, lambda line: click.echo(line, err=True))


@click.command("tune")
@CONFIG
@click.option("--minutes", required=True, type=float, help="Budget for all of it, over all calls with one --run.")
@click.option("--run", type=click.Path(path_type=Path), help="Run folder; runs/CONFIG-TIME, if not given.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File beside CONFIG; CONFIG-tuned.yaml.")
def tune_(config: Path, minutes: float, run: Path | None, output: Path | None) -> None:
    """Search for better settings within a budget; the path of a configuration that has them is the last line."""
    from training.calls import fresh_run, tune

    folder = run or fresh_run(config)
    found = tune(config, minutes, folder, output)
    click.echo((folder / "tuning.md").read_text(encoding="utf-8"))
    click.echo(found)


@click.command("evaluate")
@CONFIG
@click.option("--run", type=click.Path(path_type=Path), help="Run folder; runs/CONFIG-TIME, if not given.")
@click.option(
    "--share",
    default=0.8,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of the rows, by time, that is trained on.",
)
@click.option("--k", default=20, show_default=True, type=click.IntRange(1, 100), help="Length of the judged lists.")
def evaluate_(config: Path, run: Path | None, share: float, k: int) -> None:
    """Train on the first part of the events by time, predict each later one, and compare with baselines."""
    from training.calls import evaluate
    from training.evaluation.rolling import as_text

    click.echo(as_text(evaluate(config, run, share, k)))
