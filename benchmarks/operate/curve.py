"""The growth curve drawn and carried on: docs/growth.svg and a section of docs/scaling.md, from results.json alone.

A figure y of n things is carried on as y = Y (n / N)^b from the largest size N that was measured, with the exponent b
between the two largest: the smaller sizes lie under costs that do not grow.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.operate.results import HERE, Row, read, told
from benchmarks.operate.scaling_page import DOCS, fill

FAR = {"items": 100_000_000, "events": 10_000_000_000}
DRAWN = {
    "items": ("build of the index, s", "answer p50, ms", "candidates p50, ms", "own, MB", "bundle, MB"),
    "events": ("prepare, s", "its peak (PSS), MB", "prepared, MB"),
}


class Curve(NamedTuple):
    """One figure by size, ascending."""

    of: str
    """What grows: `items` or `events`."""
    figure: str
    sizes: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def exponent(self) -> float:
        """b between the two largest sizes; nan when there are not two."""
        if len(self.sizes) < 2 or min(self.values[-2:]) <= 0:
            return math.nan
        return math.log(self.values[-1] / self.values[-2]) / math.log(self.sizes[-1] / self.sizes[-2])

    def at(self, size: int) -> float:
        """The figure carried on to a size."""
        return self.values[-1] * float((size / self.sizes[-1]) ** self.exponent)


def curves(rows: Sequence[Row]) -> list[Curve]:
    """Every figure that is drawn, of the rows of the study."""
    found = []
    for of, figures in DRAWN.items():
        mine = sorted((row.figures for row in rows if of in row.figures), key=lambda one: float(one[of] or 0))
        for figure in figures:
            points = [(int(one[of] or 0), float(one[figure] or 0)) for one in mine if figure in one]
            if points:
                sizes, values = zip(*points, strict=True)
                found.append(Curve(of, figure, sizes, values))
    return found


def write_curve(folder: Path = HERE, docs: Path = DOCS) -> None:
    """Write the plot and the section."""
    found = curves([row for row in read(folder) if row.study == "growth"])
    draw(found, docs / "growth.svg")
    fill("growth", list(section(found)), docs)


def section(found: Sequence[Curve]) -> Iterator[str]:
    """The table of the section, a line for each figure."""
    for of, far in FAR.items():
        mine = [one for one in found if one.of == of]
        if not mine:
            continue
        sizes = mine[0].sizes
        yield f"| by {of} | {' | '.join(f'{size:,}' for size in sizes)} | exponent | {far:,} |"
        yield f"|---|{'---:|' * (len(sizes) + 2)}"
        for one in mine:
            measured = " | ".join(told(value) for value in one.values)
            carried = "–" if math.isnan(one.exponent) else told(one.at(far))
            yield f"| {one.figure} | {measured} | {one.exponent:.2f} | {carried} |"
        yield ""
    yield "![The growth curve](growth.svg)"


def draw(found: Sequence[Curve], path: Path) -> None:
    """Both axes logarithmic, measured points with marks, what is carried on dashed."""
    plt.rcParams["svg.hashsalt"] = "growth"
    figure, panels = plt.subplots(1, len(FAR), figsize=(11, 4.5), layout="constrained")
    for axes, (of, far) in zip(panels, FAR.items(), strict=True):
        for one in (one for one in found if one.of == of):
            (line,) = axes.plot(one.sizes, one.values, marker="o", label=one.figure)
            if not math.isnan(one.exponent):
                ends = [one.sizes[-1], far]
                axes.plot(ends, [one.at(size) for size in ends], "--", color=line.get_color(), linewidth=1)
        axes.set(xscale="log", yscale="log", xlabel=of)
        axes.grid(visible=True, linewidth=0.3)
        if axes.lines:
            axes.legend(fontsize=8)
    fresh = path.with_suffix(".fresh.svg")
    figure.savefig(fresh, metadata={"Date": None})
    plt.close(figure)
    fresh.replace(path)
