"""What a tuning found out, as tuning.json for programs and tuning.md for people."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.config import TrainingConfig
from training.evaluation.metrics import paired_interval
from training.tuning.search import Found, Trial

JUDGED = {
    "towers": "NDCG@10 of {people} people just before slice C, towers alone, fitted on slice A",
    "ranker": "NDCG@10 of {people} held-out examples of slice B, in the order of service",
}


@dataclass(frozen=True)
class Tuned:
    """What a tuning found out."""

    given: TrainingConfig
    config: TrainingConfig
    """The given one with the best values."""
    changes: dict[str, Any]
    """The values that differ, by dotted key."""
    towers: Found
    ranker: Found | str
    """Or why it was not tuned."""
    minutes: float
    seconds: float
    """Spent, over all calls."""
    fit_minutes: float
    """Longest time that one fit of towers was given."""


def write_tuning_report(tuned: Tuned, run: Path, output: Path) -> dict[str, Any]:
    """Write tuning.json and tuning.md into the run folder; returns the content of the first."""
    report = {
        "output": output.name,
        "minutes": tuned.minutes,
        "minutes_spent": round(tuned.seconds / 60, 2),
        "fit_minutes": round(tuned.fit_minutes, 2),
        "changes": tuned.changes,
        "towers": _searched(tuned.towers, tuned.given),
        "ranker": tuned.ranker if isinstance(tuned.ranker, str) else _searched(tuned.ranker, tuned.given),
    }
    (run / "tuning.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    (run / "tuning.md").write_text(as_markdown(report), encoding="utf-8")
    return report


def _searched(found: Found, config: TrainingConfig) -> dict[str, Any]:
    best, given = found.gains
    return {
        "judged": len(given),
        "given": found.given.figure,
        "best": found.best.figure,
        "best_trial": found.best.number,
        "best_minus_given": paired_interval(best, given, config.seed)._asdict(),
        "importance": {key: round(value, 4) for key, value in found.importance.items()},
        "trials": [_trial(one) for one in found.trials],
    }


def _trial(trial: Trial) -> dict[str, Any]:
    return {**trial._asdict(), "seconds": round(trial.seconds, 1)}


def as_markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    changes = ", ".join(f"`{key}: {value}`" for key, value in report["changes"].items())
    lines = [
        "# Tuning report",
        "",
        f"{report['minutes_spent']:g} of {report['minutes']:g} minutes; no fit of towers took longer than "
        f"{report['fit_minutes']:g}, so that what learns slowly is judged by where it then stood. "
        "The best trial is the best of many on the same people: its lead is flattered, beyond what the interval says.",
        "",
        f"Changed in {report['output']}: {changes}." if changes else "Nothing beat the configuration as it is.",
    ]
    for name, judged in JUDGED.items():
        part = report[name]
        lines += ["", f"## {name.capitalize()}", ""]
        lines += [f"Not tuned: {part}."] if isinstance(part, str) else _section(part, judged)
    return "\n".join([*lines, ""])


def _section(part: dict[str, Any], judged: str) -> list[str]:
    gain, given = part["best_minus_given"], part["trials"][0]
    keys = list(given["changes"])
    importance = ", ".join(f"{key} {share:.0%}" for key, share in part["importance"].items())
    return [
        f"{judged.format(people=part['judged'])}: {part['given']:.4f} as given, {part['best']:.4f} at best (trial "
        f"{part['best_trial']}): {gain['mean']:+.4f}, 95 % interval {gain['low']:+.4f} to {gain['high']:+.4f} "
        f"(paired bootstrap{'' if gain['low'] > 0 or not gain['mean'] else '; so the two are not told apart'}).",
        *(["", f"What the differences between trials come from (PED-ANOVA): {importance}."] if importance else []),
        "",
        f"| trial | figure | state | epochs | seconds | {' | '.join(keys)} |",
        f"|---:|---:|---|---:|---:|{'---:|' * len(keys)}",
        *(_row(one, keys) for one in part["trials"]),
    ]


def _row(trial: dict[str, Any], keys: list[str]) -> str:
    figure = "" if trial["figure"] is None else f"{trial['figure']:.4f}"
    values = " | ".join(f"{trial['changes'][key]:g}" for key in keys)
    told = [trial["number"], figure, trial["state"], trial["epochs"] or "", f"{trial['seconds']:.0f}", values]
    return f"| {' | '.join(map(str, told))} |"
