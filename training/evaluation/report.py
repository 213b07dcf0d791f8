"""The report of a training: what the lists on slice C are worth, whole, by source, by baseline and by segment."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from features.arrays import FloatArray, IntArray
from serving.bundle import Bundle, open_bundle
from serving.ranking.ranker_inputs import feature_names, ranker_rows
from serving.retrieval.candidates import retrieve
from serving.situation import situation
from training.config import TrainingConfig
from training.evaluation.fairness import fairness_of
from training.evaluation.fairness_page import fairness_lines
from training.evaluation.judging import SINGLE_SOURCES, TOWERS, WHOLE, Verdict, judged, labelled
from training.evaluation.metrics import (
    Judged,
    accuracy,
    breadth,
    by_segment,
    calibration_table,
    gains,
    paired_interval,
    per_user,
)
from training.evaluation.plots import draw_plots
from training.moments import Moment
from training.whole_file import write_whole

HISTORY_LENGTHS = ((0, "0 events"), (5, "1-5 events"), (20, "6-20 events"), (100, "21-100 events"))
PLAIN = ("popular", "trending", "markov")
"""Systems that know nothing of the person but, at most, the last item."""
LARGE_SHIFT = 0.5
"""Standard deviations between two fits' mean input beyond which the report names a ranker input."""


@dataclass(frozen=True)
class Findings:
    """What a training found out."""

    config: TrainingConfig
    verdicts: list[Verdict]
    moments: list[Moment]
    newcomers: frozenset[str]
    """Items of which the first fit was told nothing: judged by themselves."""
    attributes: dict[str, list[str]]
    """Values of each protected attribute, by moment."""
    bundle: Bundle
    """The calibrated first stage, which has not seen slice C but for its calibration."""
    reached: float
    epochs: int
    slices: dict[str, int]
    shift: dict[str, float]
    seconds: float


def write_report(findings: Findings, folder: Path) -> dict[str, Any]:
    """Write report.json, fairness.json, report.md and the plots; returns the content of the first."""
    report = make_report(findings)
    (folder / "report.json").write_text(as_json(report), encoding="utf-8")
    (folder / "fairness.json").write_text(as_json(report["fairness"]), encoding="utf-8")
    draw_plots(report, folder)
    write_whole(folder / "report.md", as_markdown(report))  # the last: a training that finds it is over
    return report


def make_report(findings: Findings) -> dict[str, Any]:
    """All figures as plain data."""
    k = findings.config.evaluation.k
    positive = [index for index, one in enumerate(findings.moments) if one.wanted(findings.config.dataset)]
    wanted = [index for index in positive if findings.moments[index].item_id not in findings.newcomers]
    verdicts = [findings.verdicts[index] for index in wanted]
    users = np.unique([findings.moments[index].user_id for index in wanted], return_inverse=True)[1]
    systems = judged(verdicts, users)
    popularity = np.asarray(findings.bundle.statistics.popularity)
    table = {name: accuracy(one, k) | breadth(one, k, popularity) for name, one in systems.items()}
    best_source = max((name for name in SINGLE_SOURCES if name in table), key=lambda name: table[name][f"ndcg@{k}"])
    whole = systems[WHOLE]
    values = {f"ndcg@{k}": gains(whole.ranks(), k), f"recall@{k}": (_hits(whole, k)).astype(float)}
    return {
        "k": k,
        "slices": findings.slices,
        "moments": len(wanted),
        "users": int(users.max()) + 1,
        "epochs": findings.epochs,
        "seconds": round(findings.seconds, 1),
        "candidates_reach": {"slice B": findings.reached, "slice C": _reach(verdicts)},
        "systems": table,
        "best_source": best_source,
        "whole_minus": _against(WHOLE, [name for name in systems if name != WHOLE], systems, findings.config),
        "towers_minus": _against(TOWERS, [name for name in PLAIN if name in systems], systems, findings.config),
        "newcomers": _newcomers(findings, positive),
        "calibration": _calibration(findings),
        "segments": {
            "history": by_segment(values, users, [_history_label(one.history) for one in verdicts]),
            "item": by_segment(values, users, _item_labels(verdicts, popularity)),
            **{
                name: by_segment(values, users, [labels[index] for index in wanted])
                for name, labels in findings.attributes.items()
            },
        },
        "fairness": fairness_of(
            findings.config,
            findings.bundle,
            verdicts,
            [findings.moments[index] for index in wanted],
            np.array([index % 2 == 1 for index in wanted]),
        ),
        "index": json.loads((findings.bundle.path / "index.json").read_text(encoding="utf-8")),
        "ranker_input_shift": findings.shift,
    }


def shift_of(before: Path, after: Path, moments: Sequence[Moment]) -> dict[str, float]:
    """How far each ranker input moved between two fits: difference of means over the deviation before."""
    first, second = (_inputs(open_bundle(path), moments) for path in (before, after))
    names = feature_names(open_bundle(after).schema)
    scale = np.maximum(first.std(axis=0), 1e-6)
    shift = (second.mean(axis=0) - first.mean(axis=0)) / scale
    return {name: round(float(value), 4) for name, value in zip(names, shift, strict=True)}


def as_markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    k = report["k"]
    columns = list(next(iter(report["systems"].values())))
    gain = report["whole_minus"][report["best_source"]]
    large = {name: value for name, value in report["ranker_input_shift"].items() if abs(value) > LARGE_SHIFT}
    lines = [
        "# Training report",
        "",
        f"{report['moments']} moments of {report['users']} users on slice C, full catalogue, models fitted on slice A; "
        f"{report['epochs']} epochs, a number that slice C chose too; {report['seconds']:.0f} s in all.",
        "",
        *_table("system", report["systems"], columns),
        "",
        f"The whole minus its best single source ({report['best_source']}): NDCG@{k} {gain['mean']:+.4f}, "
        f"95 % interval {gain['low']:+.4f} to {gain['high']:+.4f} (paired bootstrap over users).",
        f"A source retrieved the item that was taken in {report['candidates_reach']['slice C']:.1%} of the moments.",
        "",
        *_about_newcomers(report["newcomers"]),
        *fairness_lines(report["fairness"]),
        "## Calibration, on the half of slice C that did not fit it",
        "",
        *_table(
            "head", report["calibration"], ["observed_over_expected", "ece", "worst_bin"]
        ),
        "",
        *_about_index(report["index"]),
        "## By segment",
        *(
            line
            for name, segments in report["segments"].items()
            for line in ("", *_table(name, segments, list(next(iter(segments.values())))))
        ),
        "",
        "## Ranker inputs that moved between the first fit and the final one",
        "",
        *([f"- {name}: {value:+.2f} standard deviations" for name, value in large.items()] or ["None by more than "
          f"{LARGE_SHIFT} standard deviations."]),
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def as_json(content: Any) -> str:
    """As JSON, in which what was not measured is null: JSON has no nan."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items()}
        if isinstance(value, list):
            return [plain(one) for one in value]
        return None if isinstance(value, float) and not np.isfinite(value) else value

    return json.dumps(plain(content), indent=1)


def _about_index(tried: Sequence[dict[str, Any]]) -> list[str]:
    if not tried:
        return []
    rows = {
        f"{one['depth']} by {one['codes']}, {one['probes']} of {one['cells']} cells"
        + (" (chosen)" if one["chosen"] else ""): {name: one[name] for name in ("recall", "milliseconds", "megabytes")}
        for one in tried
    }
    text = (
        "Recall of the nearest against exact search, by how many are asked for, median time of one search on one "
        "thread, size of the codes:"
    )
    return ["## Index", "", text, "", *_table("index", rows, ["recall", "milliseconds", "megabytes"]), ""]


def _about_newcomers(newcomers: dict[str, Any]) -> list[str]:
    if not newcomers:
        return []
    text = "The same for items of which the first fit knew nothing but their attributes, in the full catalogue:"
    return ["## New items", "", text, "", *_table("system", newcomers, list(next(iter(newcomers.values())))), ""]


def _table(corner: str, rows: dict[str, Any], columns: list[str]) -> list[str]:
    head = f"| {corner} | {' | '.join(columns)} |"
    rule = f"|---|{'---:|' * len(columns)}"
    body = [f"| {name} | {' | '.join(_cell(row[column]) for column in columns)} |" for name, row in rows.items()]
    return [head, rule, *body]


def _against(
    system: str, others: Sequence[str], systems: Mapping[str, Judged], config: TrainingConfig
) -> dict[str, dict[str, float]]:
    """NDCG of one system minus each of the others, with 95 % intervals over users."""
    mine = _by_user(systems[system], config.evaluation.k)
    return {
        name: paired_interval(mine, _by_user(systems[name], config.evaluation.k), config.seed)._asdict()
        for name in others
    }


def _cell(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() and value > 1 else f"{value:.4f}"


def _hits(judged_lists: Judged, k: int) -> np.ndarray:
    ranks = judged_lists.ranks()
    return np.asarray((ranks > 0) & (ranks <= k))


def _by_user(judged_lists: Judged, k: int) -> np.ndarray:
    return per_user(gains(judged_lists.ranks(), k), judged_lists.users)


def _reach(verdicts: list[Verdict]) -> float:
    return float(np.mean([one.place >= 0 for one in verdicts]))


def _calibration(findings: Findings) -> dict[str, Any]:
    """By head, on every second moment, which the calibration did not see."""
    heads = findings.bundle.schema.heads
    logits, labels = labelled(findings.verdicts[1::2], findings.moments[1::2], heads)
    probabilities = findings.bundle.calibration.probabilities(logits)
    return {
        head: calibration_table(probabilities[:, index], labels[:, index])
        for index, head in enumerate(heads)
        if labels[:, index].any()
    }


def _newcomers(findings: Findings, positive: Sequence[int]) -> dict[str, Any]:
    """What each system makes of the items held back; empty where there are none."""
    chosen = [index for index in positive if findings.moments[index].item_id in findings.newcomers]
    if not chosen:
        return {}
    users = np.unique([findings.moments[index].user_id for index in chosen], return_inverse=True)[1]
    systems = judged([findings.verdicts[index] for index in chosen], users)
    k = findings.config.evaluation.k
    return {name: {"moments": len(chosen), **accuracy(one, k)} for name, one in systems.items()}


def _history_label(length: int) -> str:
    return next((label for limit, label in HISTORY_LENGTHS if length <= limit), "over 100 events")


def _item_labels(verdicts: list[Verdict], popularity: FloatArray) -> list[str]:
    """The taken item by how often the models had seen it taken."""
    known: IntArray = np.sort(popularity[popularity > 0])
    median = float(known[len(known) // 2]) if len(known) else 0.0
    counts = [float(popularity[one.target]) for one in verdicts]
    return ["new item" if count == 0 else "rarer half" if count <= median else "commoner half" for count in counts]


def _inputs(bundle: Bundle, moments: Sequence[Moment]) -> np.ndarray:
    rows = []
    for one in moments:
        here = situation(bundle, one.person, one.moment)
        rows.append(ranker_rows(here, retrieve(here)).features)
    return np.concatenate(rows).astype(np.float64)
