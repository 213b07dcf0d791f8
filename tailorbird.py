"""The one command, `tailorbird`, which joins training and serving, and the names that user code imports.

It only maps a command to a function; each side is imported when a command needs it, so that `serve` never
loads torch.
"""

import importlib.util
import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from features.frames import Frames
    from serving.bundle import Bundle
    from serving.lifecycle.registry import Beside
    from serving.retrieval.device import Device
    from training.retrain.retrain import Outcome

PACKAGES = ("features", "models", "serving", "training")
HOME = Path(__file__).resolve().parent
FOLDER = "Folder to write to."
RUNS = "Folder that holds the runs and remembers them."
CONFIG = click.option("--config", required=True, type=click.Path(path_type=Path), help="Configuration file (YAML).")
STATE = click.option(
    "--state", default="sqlite:///var/state.db", show_default=True, envvar="TAILORBIRD_STATE", help="URL of the state."
)
REGISTRY = click.option(
    "--registry", default="registry", show_default=True, type=click.Path(path_type=Path), help="Registry folder."
)


def train(config: Path | str, run: Path | str | None = None, frames: "Frames | None" = None) -> Path:
    """Train on what a configuration names; returns the path of the bundle, `run`/bundle.

    `run` is the run folder, by default runs/CONFIG-TIME; a run that was broken off goes on where it stood.
    `frames` may hold "events", "users" and "items": pandas, Polars or PySpark frames or DuckDB relations, which
    take the place of the config's files. Raises ConfigError, and DataError when a check finds an error.
    """
    from training.config import read_training_config
    from training.run import train as run_training

    settings, folder = read_training_config(config)
    return run_training(settings, folder, Path(run) if run else _fresh_run(Path(config)), frames)


def retrain(
    config: Path | str,
    runs: Path | str = "runs/retrain",
    registry: Path | str = "registry",
    tell: Callable[[str], None] = lambda _: None,
) -> "Outcome":
    """Train on what is new, hold the candidate against the live bundle, and promote it or not.

    The answer's `exit` says which: PROMOTED, REFUSED, NOTHING_NEW or BUSY; its `line` in words. `tell` is given a line
    for each step. A call that was broken off is gone on with by the next one with the same `runs`. Raises ConfigError,
    DataError and BundleError.
    """
    from training.retrain.retrain import retrain as bring_up_to_date

    return bring_up_to_date(Path(config), Path(runs), Path(registry), tell)


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
    from training.tuning.tune import tune as search

    source = Path(config)
    target = Path(output) if output else source.with_name(f"{source.stem}-tuned.yaml")
    return search(source, minutes, Path(run) if run else _fresh_run(source), target, frames)


def evaluate(config: Path | str, run: Path | str | None = None, share: float = 0.8, k: int = 20) -> dict[str, Any]:
    """Train on the first `share` of the rows by time, predict each later one in lists of `k`; returns the figures.

    They are written to `run`/evaluation.json too: accuracy by system, and the interval of the whole minus each.
    Raises ConfigError when events have no time, and DataError when a check finds an error.
    """
    from training.config import read_training_config
    from training.evaluation.rolling import evaluate as roll
    from training.run import checked_tables

    settings, folder = read_training_config(config)
    target = Path(run) if run else _fresh_run(Path(config))
    return roll(settings, checked_tables(settings, folder, target), target, share=share, k=k)


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
        config=None if config is None else Path(config),
        state=state,
        users=None if users is None else Path(users),
        history=None if history is None else Path(history),
        at=at,
        k=k,
        where=where,
        processes=processes,
        consent=None if consent is None else Path(consent),
    )


def open_bundle(path: Path | str) -> "Bundle":
    """Verify every file of a bundle and open it, to ask `serving.pipeline.Pipeline`. Raises BundleError."""
    from serving.bundle import open_bundle as open_verified

    return open_verified(Path(path))


def _fresh_run(config: Path) -> Path:
    return Path("runs") / f"{config.stem}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"


def _same_checkout() -> None:
    """Refuse to start when a package of ours would come from elsewhere."""
    for name in PACKAGES:
        found = importlib.util.find_spec(name)
        places = [Path(place).resolve() for place in (found and found.submodule_search_locations) or ()]
        if places[:1] != [HOME / name]:
            where = places[0] if places else found and found.origin
            raise click.ClickException(
                f"the package {name!r} was found at {where}, not beside {HOME / 'tailorbird.py'}. "
                "Take that folder off PYTHONPATH, or run tailorbird from another one."
            )


class _Group(click.Group):
    """Errors meant for the reader are printed as sentences, never as a stack trace."""

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


@main.group("import")
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


@main.command()
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


@main.command()
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


@main.command("train")
@CONFIG
@click.option("--run", type=click.Path(path_type=Path), help="Run folder; runs/CONFIG-TIME, if not given.")
def train_(config: Path, run: Path | None) -> None:
    """Train, judge, export and seal a bundle; its path is the last line."""
    bundle = train(config, run)
    click.echo((bundle.parent / "report.md").read_text(encoding="utf-8"))
    click.echo(bundle)


@main.command("retrain")
@CONFIG
@click.option("--runs", default="runs/retrain", show_default=True, type=click.Path(path_type=Path), help=RUNS)
@REGISTRY
def retrain_(config: Path, runs: Path, registry: Path) -> None:
    """Bring the live bundle up to date, if a gate lets the new one pass.

    Exit status: 0 promoted, 3 refused, 4 nothing new, 5 another run holds the lock, 1 an error.
    """
    outcome = retrain(config, runs, registry, tell=lambda line: click.echo(line, err=True))
    if (page := outcome.page) is not None:
        click.echo(page.read_text(encoding="utf-8"))
    click.echo(outcome.line)
    sys.exit(outcome.exit)


@main.command("schedule")
@CONFIG
@click.option("--runs", default="runs/retrain", show_default=True, type=click.Path(path_type=Path), help=RUNS)
@REGISTRY
def schedule_(config: Path, runs: Path, registry: Path) -> None:
    """Call `tailorbird retrain` at the moments of the config's `schedule` section, until it is stopped."""
    from training.config import read_training_config
    from training.retrain.schedule import run_schedule

    settings, _ = read_training_config(config)
    places = ("--config", str(config), "--runs", str(runs), "--registry", str(registry))
    command = (sys.executable, str(HOME / "tailorbird.py"), "retrain", *places)
    run_schedule(settings.schedule, command, runs, lambda line: click.echo(line, err=True))


@main.command("tune")
@CONFIG
@click.option("--minutes", required=True, type=float, help="Budget for all of it, over all calls with one --run.")
@click.option("--run", type=click.Path(path_type=Path), help="Run folder; runs/CONFIG-TIME, if not given.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File beside CONFIG; CONFIG-tuned.yaml.")
def tune_(config: Path, minutes: float, run: Path | None, output: Path | None) -> None:
    """Search for better settings within a budget; the path of a configuration that has them is the last line."""
    folder = run or _fresh_run(config)
    found = tune(config, minutes, folder, output)
    click.echo((folder / "tuning.md").read_text(encoding="utf-8"))
    click.echo(found)


@main.command("evaluate")
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
    result = evaluate(config, run, share, k)
    from training.evaluation.rolling import as_text

    click.echo(as_text(result))


@main.command("recommend")
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
    rows = recommend(bundle, output, **chosen)
    click.echo(f"{rows} rows in {output}")


@main.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@REGISTRY
@STATE
@click.option("--canary", "share", type=float, help="Let it answer this share of all people (0 to 1) in live's place.")
@click.option("--shadow", is_flag=True, help="Let it answer nobody, and compare it with the live one.")
@click.option("--force", is_flag=True, help="Also one that the gate refused; needs --why.")
@click.option("--why", default="", help="The reason, which is recorded in the registry.")
def promote(bundle: Path, registry: Path, state: str, share: float | None, shadow: bool, force: bool, why: str) -> None:
    """Make a bundle the live one, the canary or the shadow; noted in the audit log of --state."""
    from serving.lifecycle import commands

    if shadow and share is not None:
        raise click.UsageError("a bundle has one place: give --canary or --shadow")
    if shadow:
        pointer = commands.make_shadow(bundle, registry, state, why=why)
    elif share is not None:
        pointer = commands.make_canary(bundle, registry, state, share, force=force, why=why)
    else:
        pointer = commands.make_live(bundle, registry, state, force=force, why=why)
    click.echo("\n".join(commands.told(pointer)))


@main.command()
@REGISTRY
@STATE
@click.option("--canary", "only", flag_value="canary", help="Take away the canary alone.")
@click.option("--shadow", "only", flag_value="shadow", help="Take away the shadow alone.")
def rollback(registry: Path, state: str, only: "Beside | None") -> None:
    """Make the previous bundle live again, without canary and shadow; noted in the audit log of --state."""
    from serving.lifecycle import commands

    click.echo("\n".join(commands.told(commands.make_undone(registry, state, only))))


@main.command()
@click.option("--bundle", type=click.Path(path_type=Path), help="Path of a bundle.")
@click.option("--registry", type=click.Path(path_type=Path), help="Registry folder, whose live bundle is served.")
@STATE
@click.option("--config", type=click.Path(path_type=Path), help="File whose `serving` section says how to serve.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, help="Port to listen on.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes; those of --config, or 1, if not given.")
def serve(bundle: Path | None, registry: Path | None, **where: Any) -> None:
    """Answer over HTTP, from --bundle or from the live one of --registry."""
    from serving.lifecycle.launch import serve as start

    if (bundle is None) == (registry is None):
        raise click.ClickException("name what to serve: either --bundle or --registry")
    start(bundle, registry, **where)


@main.command()
@click.option("--bundle", required=True, type=click.Path(path_type=Path), help="Path of a bundle.")
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Where it answers."
)
def bento(bundle: Path, device: "Device") -> None:
    """Build a Bento that holds a bundle; its tag is the last line."""
    from serving.lifecycle.bento import build_bento

    click.echo(build_bento(bundle, device))


@main.group()
def keys() -> None:
    """API keys: who may ask the service for what (docs/access.md)."""


@keys.command("create")
@click.option("--scopes", required=True, help="Of recommend, events, catalogue, person and admin, with commas.")
@click.option("--name", default="", help="Who or what the key is for.")
@click.option("--expires", help="When it ends: 90d, 12h, or a time (RFC 3339); never, if not given.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Requests per second that a worker answers.")
@click.option("--burst", type=click.IntRange(1), help="Requests that may come at once; twice --rate, if not given.")
@click.option("--no-store", is_flag=True, help="Keep it nowhere; print what TAILORBIRD_KEYS takes instead.")
@STATE
def create_key_(state: str, scopes: str, no_store: bool, **given: Any) -> None:
    """Make a key; its text is the last line, and nobody can show it again."""
    from serving.access.administration import create_key, made_key
    from serving.access.keys import environment_line

    asked = [scope.strip() for scope in scopes.split(",")]
    if no_store:
        if given["expires"] or given["rate"] or given["burst"]:
            raise click.ClickException("a key of the environment has no --expires, --rate or --burst")
        key = made_key(asked, **given)
        click.echo(f"TAILORBIRD_KEYS={environment_line(key.stored)}")
    else:
        key = create_key(state, asked, **given)
    click.echo(f"Shown once: keep the next line where secrets are kept. Its id is {key.stored.key_id}.", err=True)
    click.echo(key.text)


@keys.command("list")
@STATE
def list_keys_(state: str) -> None:
    """All keys that were ever made, without their texts."""
    from serving.access.administration import keys_table, list_keys
    from serving.desk.desk import wall_clock

    for line in keys_table(list_keys(state), wall_clock()):
        click.echo(line)


@keys.command("revoke")
@click.argument("key_id")
@STATE
def revoke_key_(key_id: str, state: str) -> None:
    """Let a key end now; every worker refuses it within a second."""
    from serving.access.administration import revoke_key

    revoke_key(state, key_id)
    click.echo(f"{key_id} has ended")


@keys.command("rotate")
@click.argument("key_id")
@click.option("--keep", default="1d", show_default=True, help="For how long the old key goes on beside the new one.")
@STATE
def rotate_key_(key_id: str, keep: str, state: str) -> None:
    """Make a key in place of another, good for the same; the new one's text is the last line."""
    from serving.access.administration import rotate_key

    key = rotate_key(state, key_id, keep)
    click.echo(f"{key_id} ends in {keep}; the id of the new one is {key.stored.key_id}. Shown once:", err=True)
    click.echo(key.text)


@main.group()
def audit() -> None:
    """Who did what with people's data, and what an operator changed."""


@audit.command("list")
@click.option("--user", "user_id", help="Only what was about this user.")
@click.option("--visitor", "anonymous_id", help="Only what was about this visitor.")
@click.option("--after", default=0, show_default=True, help="Number of the entry after which to begin.")
@click.option("--limit", default=1_000, show_default=True, type=click.IntRange(1), help="Most entries to show.")
@STATE
def list_audit_(state: str, **asked: Any) -> None:
    """Entries of the audit log, oldest first, one JSON object a line."""
    from serving.access.administration import audit_entries

    for entry in audit_entries(state, **asked):
        click.echo(json.dumps(entry))


@main.group()
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


@main.command("export-log")
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


@main.group()
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


@state.command("expire")
@CONFIG
@STATE
def expire_state_(config: Path, state: str) -> None:
    """Remove what is older than `serving.retention` of the config allows."""
    from serving.person.administration import expire_state

    for kind, count in expire_state(state, config).items():
        click.echo(f"{count} {kind}")


@main.group()
def privacy() -> None:
    """One person's data: taken along, erased, and proven to be gone (docs/privacy.md)."""


USER = click.argument("user", required=False)
VISITOR = click.option("--visitor", help="An anonymous id, beside USER or in its place.")
REACHING = click.option("--config", type=click.Path(path_type=Path), help="File whose `serving.privacy` names folders.")
SEARCH = click.option("--search", multiple=True, type=click.Path(path_type=Path), help="A further folder to search.")


@privacy.command("export")
@USER
@VISITOR
@STATE
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Zip file to write.")
def export_person_(user: str | None, visitor: str | None, state: str, output: Path) -> None:
    """Write everything that is held on a person to one archive."""
    from serving.person.administration import export_person

    export_person(state, user, visitor, output)
    click.echo(output)


@privacy.command("erase")
@USER
@VISITOR
@STATE
@REACHING
@SEARCH
def erase_person_(user: str | None, visitor: str | None, state: str, config: Path | None, search: tuple[Path]) -> None:
    """Remove a person from the store and from exported logs; prints the receipt as JSON."""
    from serving.person.administration import erase_person, reach_here

    click.echo(json.dumps(erase_person(state, user, visitor, reach_here(config, search)), indent=1))


@privacy.command("verify")
@USER
@VISITOR
@STATE
@REACHING
@SEARCH
def verify_person_(user: str | None, visitor: str | None, state: str, config: Path | None, search: tuple[Path]) -> None:
    """Search everything again for an erased person; exit status 1 when something is found."""
    from serving.person.administration import lines_of, reach_here, verify_person

    found = verify_person(state, user, visitor, reach_here(config, search))
    for line in lines_of(found):
        click.echo(line)
    sys.exit(0 if found.clean else 1)


@privacy.command("tombstones")
@STATE
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="File for `dataset.erased`.")
def write_tombstones_(state: str, output: Path) -> None:
    """Write the marks of erased people, which name nobody, for trainings to leave their rows out."""
    from serving.person.administration import write_tombstones

    click.echo(f"{write_tombstones(state, output)} marks in {output}")


@main.command()
@click.option("--events", default=60_000, show_default=True, help="About how many events to simulate.")
@click.option("--folder", default="var/demo", show_default=True, type=click.Path(path_type=Path), help=FOLDER)
@click.option("--port", default=3000, show_default=True, help="Port to listen on.")
@click.option("--no-serve", is_flag=True, help="End after the bundle.")
def demo(events: int, folder: Path, port: int, no_serve: bool) -> None:
    """Simulate a world, check it, train on it, load the state, and serve a page of personal picks."""
    config = folder / "world" / "config.yaml"
    run = folder / f"run-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    store = f"sqlite:///{folder / 'state.db'}"
    steps: Sequence[tuple[str, Callable[[], Any]]] = (
        ("simulate a world", lambda: _demo_world(folder / "world", events)),
        ("check its tables", lambda: _call(check, "--config", str(config), "-o", str(run))),
        ("train", lambda: _call(train_, "--config", str(config), "--run", str(run))),
        (
            "make the bundle live",
            lambda: _call(promote, str(run / "bundle"), "--registry", str(folder / "registry"), "--state", store),
        ),
        ("load the state", lambda: _call(load_state, "--config", str(config), "--state", store)),
    )
    for number, (title, step) in enumerate(steps, start=1):
        click.secho(f"[{number}/{len(steps)}] {title}", bold=True)
        step()
    click.echo(f"bundle: {run / 'bundle'}")
    if not no_serve:
        from serving.lifecycle.launch import announce

        click.echo(announce(store, port))
        where = ("--registry", str(folder / "registry"), "--state", store, "--config", str(config))
        _call(serve, *where, "--port", str(port))


def _demo_world(folder: Path, events: int) -> None:
    """A simulated world whose config asks for a small model."""
    _call(simulate, "-o", str(folder), "--events", str(events))
    with (folder / "config.yaml").open("a", encoding="utf-8") as config:
        config.write((HOME / "configs" / "demo.yaml").read_text(encoding="utf-8"))


def _call(command: click.Command, *arguments: str) -> None:
    """Run a command as the terminal would, and stop when it fails."""
    try:
        command.main(list(arguments), standalone_mode=False)
    except SystemExit as stop:
        if stop.code:
            raise


if __name__ == "__main__":
    main()
