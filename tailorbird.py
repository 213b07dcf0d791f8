"""The one command, `tailorbird`, which joins training and serving, and the names that user code imports.

It only maps a command to a function; each side is imported when a command needs it, so that `serve` never
loads torch.
"""

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from features.frames import Frames
    from serving.bundle import Bundle
    from training.retrain.retrain import Outcome

PACKAGES = ("features", "models", "serving", "training")
HOME = Path(__file__).resolve().parent
COMMANDS = {
    "audit": "serving.commands.access:audit",
    "bento": "serving.commands.lifecycle:bento",
    "check": "training.commands:check",
    "effect": "serving.commands.events:effect_",
    "evaluate": "training.commands:evaluate_",
    "events": "serving.commands.events:events",
    "export-log": "serving.commands.events:export_log_",
    "import": "training.commands:import_",
    "keys": "serving.commands.access:keys",
    "prepare": "features.shards.command:prepare_command",
    "privacy": "serving.commands.privacy:privacy",
    "promote": "serving.commands.lifecycle:promote",
    "recommend": "serving.commands.bulk:recommend_",
    "retrain": "training.commands:retrain_",
    "rollback": "serving.commands.lifecycle:rollback",
    "schedule": "training.commands:schedule_",
    "serve": "serving.commands.lifecycle:serve",
    "simulate": "training.commands:simulate",
    "state": "serving.commands.state:state",
    "train": "training.commands:train_",
    "tune": "training.commands:tune_",
}
"""Where each command stands, as module:name; it is imported when it is asked for."""


def train(config: Path | str, run: Path | str | None = None, frames: "Frames | None" = None) -> Path:
    """Train on what a configuration names; returns the path of the bundle, `run`/bundle.

    `run` is the run folder, by default runs/CONFIG-TIME; a run that was broken off goes on where it stood.
    `frames` may hold "events", "users" and "items": pandas, Polars or PySpark frames or DuckDB relations, which
    take the place of the config's files. Raises ConfigError, and DataError when a check finds an error.
    """
    from training import calls

    return calls.train(Path(config), _path(run), frames)


def retrain(
    config: Path | str,
    runs: Path | str = "runs/retrain",
    registry: Path | str = "registry",
    tell: Callable[[str], None] = lambda _: None,
    state: str | None = None,
) -> "Outcome":
    """Train on what is new, hold the candidate against the live bundle, and promote it or not.

    `registry` is a folder or an address such as s3://bucket/prefix; decisions are noted in the audit log of a `state`.

    The answer's `exit` says which: PROMOTED, REFUSED, NOTHING_NEW or BUSY; its `line` in words. `tell` is given a line
    for each step. A call that was broken off is gone on with by the next one with the same `runs`. Raises ConfigError,
    DataError and BundleError.
    """
    from training import calls

    return calls.retrain(Path(config), Path(runs), registry, tell, state)


def tune(
    config: Path | str,
    minutes: float,
    run: Path | str | None = None,
    output: Path | str | None = None,
    frames: "Frames | None" = None,
) -> Path:
    """Search for better settings within a budget of `minutes`; returns the path of a configuration that has them.

    `output` is that path, beside `config`, by default CONFIG-tuned.yaml. `run` is the run folder, by default
    runs/CONFIG-TIME: it holds the report tuning.md, and goes on where it stood when it is given again. `frames` as for
    `train`. Raises ConfigError, also when the minutes are too few, and DataError when a check finds an error.
    """
    from training import calls

    return calls.tune(Path(config), minutes, _path(run), _path(output), frames)


def evaluate(config: Path | str, run: Path | str | None = None, share: float = 0.8, k: int = 20) -> dict[str, Any]:
    """Train on the first `share` of the rows by time, predict each later one in lists of `k`; returns the figures.

    They are written to `run`/evaluation.json too: accuracy by system, and the interval of the whole minus each.
    Raises ConfigError when events have no time, and DataError when a check finds an error.
    """
    from training import calls

    return calls.evaluate(Path(config), _path(run), share, k)


def recommend(
    bundle: Path | str,
    output: Path | str,
    *,
    config: Path | str | None = None,
    state: str | None = None,
    users: Path | str | None = None,
    history: Path | str | None = None,
    at: str | None = None,
    k: int = 10,
    where: str | None = None,
    processes: int | None = None,
    consent: Path | str | None = None,
) -> int:
    """Write lists for many people to a Parquet file of user_id, item_id, rank (from 1) and score; returns its rows.

    People and events come from the tables of `config` or from the state at the URL `state`. `users` is a file whose
    user_id column says for whom, `history` a table in place of the config's events, `at` the moment of the requests
    (RFC 3339, or a sequence number): by default the newest event, or now with `state`. `where` is a filter that every
    item must pass (docs/filters.md). The work is spread over `processes`, by default one for each core. With `state`,
    `consent` is the file whose `serving.consent` section the service has too: what it means that nobody was asked.
    Raises ConfigError unless exactly one of `config` and `state` is given, RequestError for a text that is no filter,
    BundleError and DataError.
    """
    from serving.bulk.batch import recommend_to_file

    return recommend_to_file(
        Path(bundle),
        Path(output),
        config=_path(config),
        state=state,
        users=_path(users),
        history=_path(history),
        at=at,
        k=k,
        where=where,
        processes=processes,
        consent=_path(consent),
    )


def open_bundle(path: Path | str) -> "Bundle":
    """Verify every file of a bundle and open it, to ask `serving.pipeline.Pipeline`. Raises BundleError."""
    from serving.bundle import open_bundle as open_verified

    return open_verified(Path(path))


def _path(given: Path | str | None) -> Path | None:
    return None if given is None else Path(given)


def _same_checkout() -> None:
    """Refuse to start when a package of ours would come from elsewhere. An image that only serves lacks two of them."""
    for name in PACKAGES:
        found = importlib.util.find_spec(name)
        places = [Path(place).resolve() for place in (found and found.submodule_search_locations) or ()]
        if found is not None and places[:1] != [HOME / name]:
            where = places[0] if places else found.origin
            raise click.ClickException(
                f"the package {name!r} was found at {where}, not beside {HOME / 'tailorbird.py'}. "
                "Take that folder off PYTHONPATH, or run tailorbird from another one."
            )


def _is_here(place: str) -> bool:
    """Whether the package of a command is installed."""
    return importlib.util.find_spec(place.partition(".")[0]) is not None


class _Group(click.Group):
    """Loads a command when it is asked for; errors meant for the reader are printed as sentences, never as a trace."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        here = (name for name, place in COMMANDS.items() if _is_here(place))
        return sorted([*super().list_commands(ctx), *here])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = COMMANDS.get(cmd_name)
        if place is None or not _is_here(place):
            return super().get_command(ctx, cmd_name)
        _same_checkout()
        module, name = place.split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        _same_checkout()
        from features.errors import TailorbirdError

        try:
            return super().invoke(ctx)
        except TailorbirdError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=_Group)
def main() -> None:
    """Train, judge, serve and watch a personalization model of your own users, items and events."""


@main.command()
@click.option("--events", default=60_000, show_default=True, help="About how many events to simulate.")
@click.option("--folder", default="var/demo", show_default=True, type=click.Path(path_type=Path), help="What is made.")
@click.option("--port", default=3000, show_default=True, help="Port to listen on.")
@click.option("--no-serve", is_flag=True, help="End after the bundle.")
def demo(events: int, folder: Path, port: int, no_serve: bool) -> None:
    """Simulate a world, check it, train on it, load the state, and serve a page of personal picks."""
    config, registry = folder / "world" / "config.yaml", folder / "registry"
    run = folder / f"run-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    store = f"sqlite:///{folder / 'state.db'}"
    steps: Sequence[tuple[str, Sequence[object]]] = (
        ("simulate a world", ("simulate", "-o", config.parent, "--events", events)),
        ("check its tables", ("check", "--config", config, "-o", run)),
        ("train", ("train", "--config", config, "--run", run)),
        ("make the bundle live", ("promote", run / "bundle", "--registry", registry, "--state", store)),
        ("load the state", ("state", "load", "--config", config, "--state", store)),
    )
    for number, (title, command) in enumerate(steps, start=1):
        click.secho(f"[{number}/{len(steps)}] {title}", bold=True)
        _call(*command)
        if command[0] == "simulate":
            _ask_for_a_small_model(config)
    click.echo(f"bundle: {run / 'bundle'}")
    if not no_serve:
        from serving.lifecycle.launch import announce

        click.echo(announce(store, port))
        _call("serve", "--registry", registry, "--state", store, "--config", config, "--port", port)


def _ask_for_a_small_model(config: Path) -> None:
    with config.open("a", encoding="utf-8") as file:
        file.write((HOME / "configs" / "demo.yaml").read_text(encoding="utf-8"))


def _call(*arguments: object) -> None:
    """Run a command as the terminal would, and stop when it fails."""
    try:
        main.main([str(argument) for argument in arguments], standalone_mode=False)
    except SystemExit as stop:
        if stop.code:
            raise


if __name__ == "__main__":
    main()
