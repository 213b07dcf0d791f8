"""The section of RESULTS.md on the speed of training, from epoch_time.json."""

import json
from pathlib import Path
from typing import Any

NAME = "epoch_time.json"
TARGETS = {"ml-1m": (0.07, 0.035), "beauty": (0.04, 0.015)}
"""Our seconds per epoch as a share of RecTools SASRec's: at most, and the aim."""


def read(folder: Path) -> dict[str, Any] | None:
    """What was measured, by data set; None when nothing was."""
    path = folder / NAME
    if not path.exists():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def section(speed: dict[str, Any] | None) -> list[str]:
    """Lines of Markdown."""
    lines = ["## Seconds per epoch", ""]
    if not speed:
        return [*lines, "Nothing was measured yet; `make bench-epoch` measures.", ""]
    lines += [
        "Our two towers (mean of epochs 2 and 3) and one epoch of RecTools SASRec at the same width, depth and length",
        "with a softmax loss, one after the other on the same machine. An epoch of theirs goes through the newest",
        "events of each user, as many as the length and one more: `same events` is ours on just these. `all events`",
        "is what ours goes through in a training. Operations are counted from the shapes",
        "(benchmarks/accuracy/operations.py) for all events; the matrix rate is that of one large product in the same",
        "run.",
        "",
        "| data set | RecTools | ours, same events | ratio | | ours, all events | ratio | | at most | aim | "
        "operations an epoch | share of the matrix rate | memory, ours | memory, theirs |",
        "|---|---:|---:|---:|---|---:|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    return [*lines, *(_line(name, one) for name, one in speed.items()), "", *_notes(speed), ""]


def _line(name: str, one: dict[str, Any]) -> str:
    ours, theirs, (at_most, aim) = one["ours"], one["rectools"], TARGETS[name]
    same = one.get("same_events")  # figures from before it was timed have none
    cells = [
        name,
        f"{theirs['epoch_seconds']:.1f} s",
        *(_compared(same["epoch_seconds"], one["ratio_same_events"], at_most, aim) if same else ("–", "–", "")),
        *_compared(ours["epoch_seconds"], one["ratio"], at_most, aim),
        f"{at_most}",
        f"{aim}",
        f"{ours['operations'] / 1e12:.2f} T",
        f"{ours['share_of_rate']:.0%}",
        f"{ours['peak_mb']:,.0f} MiB",
        f"{theirs['peak_mb']:,.0f} MiB",
    ]
    return f"| {' | '.join(cells)} |"


def _compared(seconds: float, ratio: float, at_most: float, aim: float) -> list[str]:
    verdict = "aim reached" if ratio <= aim else "met" if ratio <= at_most else "**missed**"
    return [f"{seconds:.1f} s", f"{ratio:.3f}", verdict]


def _notes(speed: dict[str, Any]) -> list[str]:
    return [
        f"- {name}: measured {one['measured']} at commit {one['commit']} on {one['hardware']}; matrix rate "
        f"{one['rate_float32'] / 1e9:.0f} GFLOP/s in float32, {one['rate_bfloat16'] / 1e9:.0f} in bfloat16; "
        f"our loss: {one['ours']['loss']}; theirs: {one['rectools']['loss']}."
        for name, one in speed.items()
    ]
