"""What a GPU does of serving, in one command: python -m benchmarks.serving.device

Embeds a million items through a real-sized item tower, searches them exactly for batches of users, and runs the graphs
of user tower and ranker as the service would. Needs torch; what a machine lacks is written down as not measured, with
what it lacks. Neither FAISS nor BentoML is imported.
"""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import torch

from benchmarks.accuracy.results import hardware, write_atomically
from benchmarks.serving.device_parts import PARTS, NotMeasuredError, Plan
from benchmarks.serving.results import about_now
from features.errors import TailorbirdError

if TYPE_CHECKING:
    from serving.retrieval.device import Device

RESULTS = Path(__file__).with_name("device.json")
NO_DEVICE = "no GPU was lent: torch finds no CUDA device"


def measured(part: str, plan: Plan) -> dict[str, Any]:
    """The figures of a part, with the hardware, or why there are none."""
    try:
        if plan.device == "cuda" and not torch.cuda.is_available():
            raise NotMeasuredError(NO_DEVICE)
        about = about_now().model_dump(mode="json")
        figures = PARTS[part](plan)
    except (NotMeasuredError, TailorbirdError) as error:
        return {"not_measured": str(error)}
    about |= {"command": shlex.join(["python", "-m", "benchmarks.serving.device", *sys.argv[1:]])}
    return {"items": plan.items, **figures, "about": {**about, "hardware": _hardware(plan.device)}}


def _hardware(device: "Device") -> str:
    versions = f"torch {torch.__version__}"
    if device == "cpu":
        return f"{hardware()}, {versions}"
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    return f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB, CUDA {torch.version.cuda}, {versions}; {hardware()}"


def put(path: Path, device: "Device", part: str, row: dict[str, Any]) -> None:
    """Write a part down; what was measured once is not replaced by the news that it could not be."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    before = content.setdefault(device, {}).get(part)
    if before is None or "not_measured" in before or "not_measured" not in row:
        content[device][part] = row
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


@click.command()
@click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda", show_default=True, help="Where it runs.")
@click.option("--items", default=1_000_000, show_default=True, help="Items that are embedded and searched.")
@click.option("--batches", default="1,16,256", show_default=True, help="Users that are answered together.")
@click.option("--repeats", default=20, show_default=True, help="Calls of which the median is told.")
@click.option("--results", default=RESULTS, type=click.Path(path_type=Path), help="File of the figures.")
def main(device: "Device", items: int, batches: str, repeats: int, results: Path) -> None:
    """Measure each part and write it down as soon as it is done."""
    plan = Plan(device, items, tuple(int(one) for one in batches.split(",")), repeats)
    for part in PARTS:
        row = measured(part, plan)
        put(results, device, part, row)
        click.echo(f"{device} {part}: {json.dumps({name: row[name] for name in row if name != 'about'})}")


if __name__ == "__main__":
    main()
