"""The gate's verdict as gate.md for people, gate.json for programs, and gate.png."""

import json
from math import isfinite
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from training.evaluation.report import as_json
from training.gate.gate import Verdicts
from training.gate.rules import Ruling

SAID = {True: "passed", False: "**refused**", None: "not asked"}


def write_gate(verdicts: Verdicts, told: dict[str, Any], folder: Path) -> None:
    """Write the three files; `told` names candidate and live bundle and how the candidate was made."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gate.json").write_text(as_json({**told, **verdicts.to_json()}), encoding="utf-8")
    (folder / "gate.md").write_text(as_markdown(verdicts, told), encoding="utf-8")
    _draw(verdicts, folder / "gate.png")


def read_gate(folder: Path) -> dict[str, Any]:
    """What gate.json holds."""
    content: dict[str, Any] = json.loads((folder / "gate.json").read_text(encoding="utf-8"))
    return content


def as_markdown(verdicts: Verdicts, told: dict[str, Any]) -> str:
    """The verdict for people, rule by rule."""
    word = "passed" if verdicts.passed else "refused"
    lines = [
        f"# Gate: {word}",
        "",
        f"{verdicts.moments} moments of {verdicts.users} people in the newest slice, on which neither was fitted.",
        "",
        *(f"- {name}: {value}" for name, value in told.items()),
        "",
        *(f"- **{one}**" for one in verdicts.reasons),
        "",
        "| rule | | candidate | live | candidate minus live, 95 % interval | what is asked |",
        "|---|---|---:|---:|---:|---|",
        *(_row(one) for one in verdicts.rulings),
        "",
        "| input | population stability index | what chance brings |",
        "|---|---:|---:|",
        *(f"| {name} | {one.psi:.4f} | {one.chance:.4f} |" for name, one in sorted(verdicts.drift.items())),
        "",
    ]
    return "\n".join(lines)


def _row(ruling: Ruling) -> str:
    found = ruling.difference
    spread = f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})" if isfinite(found.mean) else "–"
    cells = (SAID[ruling.passed], _number(ruling.candidate), _number(ruling.live), spread, ruling.words)
    return f"| {ruling.rule} | {' | '.join(cells)} |"


def _number(value: float) -> str:
    return f"{value:.4f}" if isfinite(value) else "–"


def _draw(verdicts: Verdicts, path: Path) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    _ratios(left, verdicts)
    names = sorted(verdicts.drift, key=lambda name: verdicts.drift[name].psi)
    right.barh(names, [verdicts.drift[name].psi for name in names], color="#72b7b2")
    right.plot([verdicts.drift[name].chance for name in names], names, "|", color="black")
    right.set_title("Population stability index of each input, and what chance brings")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _ratios(axes: Axes, verdicts: Verdicts) -> None:
    """Differences with their intervals as shares of the live figure: 0 is the same."""
    shown = [one for one in verdicts.rulings if isfinite(one.difference.mean) and isfinite(one.live) and one.live]
    for place, one in enumerate(shown):
        mean, low, high = (value / abs(one.live) for value in one.difference)
        colour = "#e45756" if one.passed is False else "#4c78a8"
        axes.plot([low, high], [place, place], color=colour)
        axes.plot([mean], [place], marker="o", color=colour)
    axes.axvline(0, color="grey", linewidth=1, linestyle="--")
    axes.set_yticks(range(len(shown)), [one.rule for one in shown])
    axes.set_title("Candidate minus live, as a share of live")
