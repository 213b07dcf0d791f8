"""`make bench-serving`: build what is missing, measure parts one by one, and write each down when it is done."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.accuracy.measured import BenchmarkError, alone
from benchmarks.serving import bulk, filtering, footprint, freshness, latency, peer_rows, pressure, swap
from benchmarks.serving.crowd import Crowd
from benchmarks.serving.people import USERS, build_people
from benchmarks.serving.plan import NotYetError, Plan
from benchmarks.serving.rendering import write_pages
from benchmarks.serving.results import about_now, put_part
from benchmarks.serving.shop import shop_of
from benchmarks.serving.world import FOLDER, SIZES, build_world
from features.errors import TailorbirdError

HERE = Path(__file__).resolve().parent
PARTS = ("latency", "saturation", "overload", "memory", "bulk", "batch", "upsert", "swap", "filters")


@click.command()
@click.option("--size", "sizes", default="27k,1m", show_default=True, help="Catalogue sizes, with commas.")
@click.option("--part", "parts", default=",".join(PARTS), show_default=True, help="What to measure, with commas.")
@click.option("--seconds", default=20.0, show_default=True, help="Length of each run of the generator.")
@click.option("--users", default=USERS, show_default=True, help="People in the store; nobody is asked twice.")
@click.option("--workers", default=2, show_default=True, help="Of the service, where a part does not say otherwise.")
@click.option("--bulk-users", default=20_000, show_default=True, help="People of one bulk run.")
@click.option("--memory-requests", default=10_000, show_default=True, help="To each worker before memory is read.")
@click.option("--swaps", default=1, show_default=True, help="Bundles swapped under traffic, one after the other.")
@click.option("--folder", default=FOLDER, type=click.Path(path_type=Path), help="Bundles, stores and logs.")
@click.option("--results", default=HERE, type=click.Path(path_type=Path), help="Folder of results.json and RESULTS.md.")
@click.option("--peers", is_flag=True, help="The peers in place of the product: latency and saturation.")
@click.option("--build", is_flag=True, help="Build what is missing and measure nothing.")
@click.option("--fresh", is_flag=True, help="Build again, even where a bundle and a store lie.")
@click.option("--render", is_flag=True, help="Measure nothing: write RESULTS.md from results.json.")
def main(
    sizes: str,
    parts: str,
    folder: Path,
    results: Path,
    users: int,
    *,
    peers: bool,
    build: bool,
    fresh: bool,
    render: bool,
    **runs: Any,
) -> None:
    """Measure serving at several catalogue sizes; each part is written down as soon as it is done."""
    if render:
        write_pages(results)
        return
    wanted = chosen("--part", parts, PARTS)
    refused = False
    for size in chosen("--size", sizes, tuple(SIZES)):
        try:
            with alone(_made(folder / size) / "bench.lock"):
                plan = prepare(size, folder / size, users, fresh=fresh, runs=runs)
                if peers and not build:
                    peer_rows.measure_peers(plan, results)
                for part in () if peers or build else wanted:
                    refused |= not measured(plan, part, results)
        except (BenchmarkError, TailorbirdError) as error:
            raise click.ClickException(str(error)) from None
    sys.exit(1 if refused else 0)


def chosen(option: str, text: str, known: Sequence[str]) -> list[str]:
    """The names of a comma-separated list. Raises ClickException for one that there is not."""
    names = [one.strip() for one in text.split(",") if one.strip()]
    if strange := [one for one in names if one not in known]:
        raise click.ClickException(f"{option}: there is no {', '.join(strange)}; there is {', '.join(known)}")
    return names


def prepare(size: str, folder: Path, users: int, *, fresh: bool, runs: dict[str, Any]) -> Plan:
    """Build bundle and people of a size, or find them."""
    items = SIZES[size]
    world = build_world(items, folder, fresh=fresh)
    shop = shop_of(items)
    state = build_people(shop, folder, users, fresh=fresh)
    return Plan(
        size, items, folder.resolve(), world.bundle.resolve(), state, shop.item_ids.tolist(), Crowd(users), **runs
    )


def measured(plan: Plan, part: str, results: Path) -> bool:
    """Measure one part and write it down; False, with one line of why, when the product cannot do it yet."""
    click.echo(f"{plan.size} {part} ...")
    about = about_now()
    try:
        figures = _measure(part, plan, results / "results.json")
    except NotYetError as refusal:
        click.echo(f"{plan.size} {part}: not measured, {refusal}", err=True)
        return False
    row = put_part(results / "results.json", plan.size, plan.items, part, figures, about)
    write_pages(results)
    shown = {
        name: value for name, value in row.model_dump(exclude={"parts", "about", "rates"}).items() if name in figures
    }
    click.echo(f"{plan.size} {part}: {shown or figures} (load {about.load[0]} before)")
    return True


def _measure(part: str, plan: Plan, results: Path) -> dict[str, Any]:
    alone: dict[str, Callable[[Plan], dict[str, Any]]] = {
        "latency": latency.measure_latency,
        "saturation": pressure.measure_saturation,
        "memory": footprint.measure_memory,
        "bulk": bulk.measure_bulk,
        "batch": bulk.measure_batch,
        "upsert": freshness.measure_upsert,
        "filters": filtering.measure_filters,
    }
    loaded = {"overload": pressure.measure_overload, "swap": swap.measure_swap}
    return alone[part](plan) if part in alone else loaded[part](plan, plan.saturation(results))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    main()
