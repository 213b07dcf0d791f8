"""The part of a training's report that people read about fairness and breadth."""

from math import isfinite
from typing import Any

GROUP = {"ndcg": "NDCG", "gap": "behind the others", "popularity_bias": "popularity bias",
         "observed_over_expected": "observed over expected"}  # fmt: skip
MOVED = {"overlap": "overlap", "tau": "Kendall tau", "score_shift": "score shift", "ndcg_loss": "NDCG it is worth"}


def fairness_lines(figures: dict[str, Any]) -> list[str]:
    """The section, breaches first."""
    return [
        "## Fairness and breadth",
        "",
        *breach_lines(figures["breaches"]),
        "",
        *_groups(figures["groups"]),
        *_exposure(figures["exposure"]),
        *_breadth(figures),
        *_counterfactual(figures["counterfactual"], figures["k"]),
    ]


def breach_lines(breaches: list[dict[str, Any]]) -> list[str]:
    """One line for each breach, or one that says that there is none."""
    if not breaches:
        return ["No limit of the `fairness` section is breached."]
    return [
        f"- **Breach of `fairness.{one['limit']}`**, {one['of']}: {one['value']:.3f}, allowed {one['allowed']:.3f}; "
        + ("the whole interval lies beyond it." if one["sure"] else "its interval reaches back over the limit.")
        for one in breaches
    ]


def _groups(groups: dict[str, dict[str, Any]]) -> list[str]:
    lines = []
    for attribute, found in groups.items():
        head = f"| {attribute} | moments | users | {' | '.join(GROUP.values())} |"
        body = [
            f"| {name} | {one['moments']} | {one['users']} | {' | '.join(cell(one[key]) for key in GROUP)} |"
            for name, one in found.items()
        ]
        lines += [head, f"|---|{'---:|' * (2 + len(GROUP))}", *body, ""]
    return lines


def _exposure(exposure: dict[str, dict[str, Any]]) -> list[str]:
    lines = []
    for attribute, values in exposure.items():
        body = [
            f"| {name} | {one['looks']:.3f} | {one['taken']:.3f} | {cell(one['looks_over_taken'])} |"
            for name, one in values.items()
        ]
        lines += [f"| items by {attribute} | looks | taken | looks over taken |", "|---|---:|---:|---:|", *body, ""]
    return lines


def _breadth(figures: dict[str, Any]) -> list[str]:
    popularity, breadth = figures["popularity"], figures["breadth"]
    rows = {
        "popularity of what is shown over what is taken": cell(popularity["shown_over_taken"]),
        "looks that the most popular tenth has": cell(popularity["popular_looks"]),
        "takes that it has": f"{popularity['popular_taken']:.3f}",
        "Gini coefficient of looks over items": f"{popularity['gini']:.3f}",
        "distinct items in all lists": str(breadth["items"]),
        "share of all items": cell(breadth["coverage"]),
        "mean cosine within a list": cell(breadth["likeness_within"]),
        "share of a list that another person's holds too": cell(breadth["overlap_between_users"]),
    }
    if "categories" in breadth:
        rows[f"distinct values of {breadth['category']} in a list"] = cell(breadth["categories"])
        rows["the same among as many of the person's newest events"] = cell(breadth["categories_of_past"])
    return ["| breadth | |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows.items()), ""]


def _counterfactual(found: dict[str, dict[str, Any]], k: int) -> list[str]:
    if not found:
        return []
    body = [
        f"| {attribute} | {way} | {' | '.join(cell(one[way][key]) for key in MOVED)} |"
        for attribute, one in found.items()
        for way in ("flipped", "hidden")
    ]
    text = f"The same people at the same moments with a protected attribute of another group, or hidden; the first {k}:"
    head = f"| attribute | it is | {' | '.join(MOVED.values())} |"
    return [text, "", head, f"|---|---|{'---:|' * len(MOVED)}", *body, ""]


def cell(interval: dict[str, float]) -> str:
    """A figure with its interval; a dash where nothing was measured."""
    if not isfinite(interval["mean"]):
        return "–"
    return f"{interval['mean']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"
