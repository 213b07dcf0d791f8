"""RESULTS.md and README's table, made from results.json and epoch_time.json alone: nobody writes a figure by hand.

A test holds that both pages are what this file makes of the results.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.accuracy import speed_page
from benchmarks.accuracy.datasets import DATASETS, ROOT, DataSet, Figures
from benchmarks.accuracy.results import SYSTEMS, Measured, Row, read_rows, write_atomically

README = ROOT / "README.md"
TITLES = {"ml-1m": "MovieLens 1M", "beauty": "Amazon Beauty"}
NAMES = {
    "tailorbird": "**tailorbird**: all sources and the ranker",
    "two-towers": "two towers alone",
    "transitions": "transitions alone",
    "markov": "first-order Markov chain",
    "popularity": "popularity",
    "rectools-sasrec": "RecTools SASRec",
    "rectools-hstu": "RecTools HSTU",
    "implicit-als": "implicit ALS",
    "implicit-bm25": "implicit BM25 item-item",
}
NOTHING = "Nothing was measured yet."
TOWERS_TARGET = {"ml-1m": (0.1770, 0.1850)}
"""NDCG@10 of the two towers alone: at least, and the aim."""


def write_pages(folder: Path) -> None:
    """Write `folder`/RESULTS.md, and README's block when the folder is the one that README tells of."""
    rows = read_rows(folder / "results.json")
    write_atomically(folder / "RESULTS.md", results_page(rows, speed_page.read(folder)))
    if folder.resolve() == Path(__file__).resolve().parent:
        text = README.read_text(encoding="utf-8")
        if (fresh := with_block(text, "accuracy", readme_block(rows))) != text:
            write_atomically(README, fresh)


def with_block(page: str, name: str, block: str) -> str:
    """A page with what stands between the markers of `name` replaced. Raises ValueError when it has no such markers."""
    pattern = re.compile(rf"(<!-- figures:{re.escape(name)} -->\n).*?(<!-- /figures:{re.escape(name)} -->)", re.DOTALL)
    fresh, count = pattern.subn(lambda found: f"{found[1]}{block}{found[2]}", page)
    if count != 1:
        raise ValueError(f"the page has {count} pairs of markers figures:{name}; it needs one")
    return fresh


def readme_block(rows: Sequence[Row]) -> str:
    """The short form: one table for all data sets."""
    lines = [
        "Leave-one-out on frozen splits: everybody's last item held out, all that they took filtered, the full",
        "catalogue ranked, scored by an independent script. Our lists come from the bundle, where torch is not",
        "installed; every choice is made inside `train`. `make bench-accuracy` measures,",
        "[benchmarks/accuracy/RESULTS.md](benchmarks/accuracy/RESULTS.md) tells all.",
        "",
    ]
    if not rows:
        return "\n".join([*lines, NOTHING, ""])
    datasets = [one for one in DATASETS if any(row.dataset == one for row in rows)]
    header = [""] + [f"{TITLES[one]} {figure}" for one in datasets for figure in ("NDCG@10", "Recall@10")]
    table = [[NAMES[system], *_pairs(rows, datasets, system)] for system in SYSTEMS if _any(rows, system)]
    published = [figure(value) for one in datasets for value in DATASETS[one].best_published]
    lines += _table(header, [*table, ["best published", *published]])
    return "\n".join([*lines, "", *(_sentence(row) for row in rows if row.system == "tailorbird"), ""])


def _any(rows: Sequence[Row], system: str) -> bool:
    return any(row.system == system for row in rows)


def _pairs(rows: Sequence[Row], datasets: Sequence[str], system: str) -> list[str]:
    found = {row.dataset: (row.ndcg10, row.recall10) for row in rows if row.system == system}
    return [figure(value) for one in datasets for value in found.get(one, (None, None))]


def _sentence(row: Row) -> str:
    seeds = "one seed" if len(row.seeds) == 1 else f"mean of {len(row.seeds)} seeds"
    return (
        f"{TITLES[row.dataset]}: {seeds}, {_minutes(row.train_seconds)} of training "
        f"and {row.peak_mb / 1024:.1f} GiB at most, {row.measured}, commit {row.commit}, on {row.hardware}."
    )


def results_page(rows: Sequence[Row], speed: dict[str, Any] | None) -> str:
    """The whole of RESULTS.md."""
    lines = [
        "# Accuracy, measured",
        "",
        "Written by `make bench-accuracy` and `make bench-epoch` from results.json and epoch_time.json; not by hand.",
        "",
        "Leave-one-out on frozen splits: the last item of each user is held out, everything that a user took is",
        "filtered, the full catalogue is ranked, and an independent script scores the lists. Differences under .003 of",
        "NDCG@10 are noise. ± is the standard deviation over seeds; `published` is what others printed for the",
        "like system on this protocol (beside our transitions stands PCTM, which they follow).",
        "",
    ]
    for dataset in DATASETS.values():
        lines += _section(dataset, [row for row in rows if row.dataset == dataset.name])
    return "\n".join([*lines, *speed_page.section(speed)])


def _section(dataset: DataSet, rows: Sequence[Row]) -> list[str]:
    lines = [f"## {TITLES[dataset.name]}", ""]
    if not rows:
        return [*lines, NOTHING, ""]
    header = ["system", "NDCG@10", "Recall@10", "published", "seeds", "training", "peak memory"]
    lines += _table(header, [_line(row) for row in rows])
    lines += ["", "### Targets", "", *_targets(dataset, {row.system: row for row in rows}), ""]
    lines += ["### How each row was measured", ""]
    for row in rows:
        lines += _account(row)
    return [*lines, ""]


def _line(row: Row) -> list[str]:
    published = f"{figure(row.published_ndcg10)} / {figure(row.published_recall10)}" if row.published_ndcg10 else "–"
    return [
        NAMES[row.system],
        _with_spread(row.ndcg10, row.ndcg10_sd),
        _with_spread(row.recall10, row.recall10_sd),
        published,
        ", ".join(map(str, row.seeds)),
        _minutes(row.train_seconds),
        f"{row.peak_mb:,.0f} MiB",
    ]


def _targets(dataset: DataSet, rows: dict[str, Row]) -> list[str]:
    header = ["", "measured", "best published", "at least", "aim", ""]
    lines = []
    if whole := rows.get("tailorbird"):
        for name, value, targets in (
            ("NDCG@10", whole.ndcg10, [one.ndcg10 for one in _figures(dataset)]),
            ("Recall@10", whole.recall10, [one.recall10 for one in _figures(dataset)]),
        ):
            lines.append([f"tailorbird {name}", figure(value), *map(figure, targets), _verdict(value, *targets[1:])])
    if (towers := rows.get("two-towers")) and dataset.name in TOWERS_TARGET:
        at_least, aim = TOWERS_TARGET[dataset.name]
        values = [figure(towers.ndcg10), ".1813", figure(at_least), figure(aim)]
        lines.append(["two towers alone NDCG@10", *values, _verdict(towers.ndcg10, at_least, aim)])
    return _table(header, lines) if lines else ["No row with a target was measured yet."]


def _figures(dataset: DataSet) -> tuple[Figures, ...]:
    return dataset.best_published, dataset.at_least, dataset.aim


def _verdict(value: float, at_least: float | None, aim: float | None) -> str:
    if aim is not None and value >= aim:
        return "aim reached"
    return "met" if at_least is not None and value >= at_least else "**missed**"


def _account(row: Row) -> list[str]:
    lines = [
        f"- **{row.system}**: {row.where}. Measured {row.measured} at commit {row.commit} "
        f"on {row.hardware}; data {row.data[:12]}.",
        f"  Configuration: {_short(row.config)}.",
    ]
    if row.published_ndcg10 and row.system.startswith("rectools"):
        gap = row.ndcg10 - row.published_ndcg10
        lines.append(f"  Our figure lies {abs(gap):.4f} {'above' if gap > 0 else 'below'} the published one.")
    return [*lines, *map(_account_of_seed, row.per_seed)]


def _account_of_seed(one: Measured) -> str:
    told = [f"{name} {value}" for name, value in one.detail.items() if not isinstance(value, list | dict)]
    told += [f"{fit['epoch']:.0f} epochs in {_minutes(fit['seconds'])}" for fit in one.detail.get("fits", ())]
    return (
        f"  Seed {one.seed}: {one.ndcg10:.4f} / {one.recall10:.4f}, {one.train_seconds:,.1f} s, {one.peak_mb:,.0f} "
        f"MiB, {one.users_with_list} of {one.users} users with a list, {one.distinct_items} items shown; "
        f"{', '.join(told)}."
    )


def _short(config: dict[str, Any]) -> str:
    """A configuration on one line; the whole of it stands in results.json."""
    shown = {name: value for name, value in _flat(config) if name.partition(".")[0] not in ("serving", "evaluation")}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def _flat(config: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    rule = ["---", *("---:" for _ in header[1:])]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *lines)]


def _with_spread(value: float, spread: float | None) -> str:
    return figure(value) + (f" ± {figure(spread)}" if spread is not None else "")


def figure(value: float | None) -> str:
    """An accuracy to four places, without the zero before the point."""
    return "–" if value is None else f"{value:.4f}".removeprefix("0")


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.1f} s"
