"""The report's figures as pictures: accuracy by system, reliability by head, accuracy by segment."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes


def draw_plots(report: dict[str, Any], folder: Path) -> Path:
    """Write plots.png beside the report."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4.5), layout="constrained")
    _systems(left, report)
    _reliability(middle, report)
    _segments(right, report)
    path = folder / "plots.png"
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _systems(axes: Axes, report: dict[str, Any]) -> None:
    metric = f"ndcg@{report['k']}"
    ordered = sorted(report["systems"].items(), key=lambda pair: pair[1][metric])
    axes.barh([name for name, _ in ordered], [row[metric] for _, row in ordered], color="#4c78a8")
    axes.set_title(f"{metric.upper()} on slice C")


def _reliability(axes: Axes, report: dict[str, Any]) -> None:
    for head, table in report["calibration"].items():
        bins = table["bins"]
        axes.plot([one["expected"] for one in bins], [one["observed"] for one in bins], marker="o", label=head)
    low, high = axes.get_xlim()
    axes.axline((0, 0), slope=1, color="grey", linewidth=1, linestyle="--")
    axes.set_xlim(max(low, 0), high)
    axes.set(title="Reliability", xlabel="expected", ylabel="observed")
    axes.legend()


def _segments(axes: Axes, report: dict[str, Any]) -> None:
    metric = f"ndcg@{report['k']}"
    segments = {
        f"{name}: {label}": row[metric] for name, part in report["segments"].items() for label, row in part.items()
    }
    axes.barh(list(segments), list(segments.values()), color="#72b7b2")
    axes.tick_params(axis="y", labelsize=6)
    axes.set_title(f"{metric.upper()} by segment")
