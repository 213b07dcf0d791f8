"""Fairness figures find what was planted, equal slow references, and a breach is named."""

import itertools
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import ConfigError
from features.people import People
from features.person import Change, Person
from serving.answers import Query
from serving.bundle import open_bundle
from serving.pipeline import Pipeline
from training.config import read_training_config
from training.evaluation.bootstrap import interval_of, weighted_mean
from training.evaluation.counterfactual import counterfactual, kendall_tau, with_attribute
from training.evaluation.exposure import (
    Shown,
    breadth_of,
    coverage_interval,
    exposure_by_group,
    gini,
    overlap,
    overlap_between_users,
    popularity_bias,
)
from training.evaluation.fairness_page import breach_lines, fairness_lines
from training.evaluation.group_gaps import Served, groups_served, widest
from training.evaluation.groups import group
from training.evaluation.limits import FairnessConfig, breaches_of, require_measurable
from training.evaluation.metrics import Interval
from training.moments import moments_among


def served(ndcg: np.ndarray, users: np.ndarray, expected: np.ndarray | None = None) -> Served:
    ones = np.ones(len(users))
    return Served(users, ndcg, ones, ones, ones, ones if expected is None else expected)


def two_groups(low: float, high: float, people: int = 80) -> tuple[Served, list[str]]:
    """Every second person is of group b; each has three moments."""
    draw = np.random.default_rng(0)
    users = np.repeat(np.arange(people), 3)
    ndcg = np.where(users % 2 == 0, high, low) + draw.normal(0, 0.05, len(users))
    return served(ndcg, users, np.where(users % 2 == 0, 1.0, 2.0)), ["ab"[user % 2] for user in users]


def test_a_planted_gap_is_found_and_its_interval_excludes_none() -> None:
    found, labels = two_groups(low=0.2, high=0.4)
    groups = groups_served(found, labels, np.ones(len(labels), dtype=bool), seed=0)
    worst = widest(groups, "gap", least_users=30)
    assert worst is not None
    name, gap = worst
    assert name == "b"
    assert gap.mean == pytest.approx(0.2 / 0.3, abs=0.08)
    assert 0 < gap.low < gap.mean < gap.high
    assert groups["a"]["ndcg"]["mean"] == pytest.approx(found.ndcg[found.users % 2 == 0].mean())
    assert groups["a"]["observed_over_expected"]["mean"] == pytest.approx(1.0)
    assert groups["b"]["observed_over_expected"]["mean"] == pytest.approx(0.5)
    assert widest(groups, "gap", least_users=41) is None


def test_without_a_gap_the_interval_holds_zero() -> None:
    found, labels = two_groups(low=0.3, high=0.3)
    gap = groups_served(found, labels, np.ones(len(labels), dtype=bool), seed=0)["b"]["gap"]
    assert gap["low"] < 0 < gap["high"]


def test_a_group_of_everybody_has_no_others_to_stay_behind() -> None:
    found, labels = two_groups(low=0.3, high=0.3)
    gap = groups_served(found, ["all"] * len(labels), np.ones(len(labels), dtype=bool), seed=0)["all"]["gap"]
    assert np.isnan(gap["mean"])


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(100):
        values = np.random.default_rng(seed).normal(1.0, 1.0, 60)
        found = interval_of(partial(weighted_mean, values), 60, seed, resamples=200)
        held += found.low <= 1.0 <= found.high
    assert held >= 85


SHOWN = Shown([np.array([2, 3]), np.array([2, 4, 5]), np.array([3])], np.array([2, 4, 1]), np.array([0, 1, 1]))
GROUPS = np.array([0, 1, 2, 2, 3, 3])


def test_exposure_is_the_share_of_looks_over_the_share_of_what_was_taken() -> None:
    found = exposure_by_group(SHOWN, GROUPS, {2: "x", 3: "y"}.__getitem__, seed=0)
    looks = [1 / np.log2(1 + place) for one in SHOWN.lists for place in range(1, len(one) + 1)]
    of_x = sum(
        look
        for look, row in zip(looks, itertools.chain(*(one.tolist() for one in SHOWN.lists)), strict=True)
        if row < 4
    )
    assert found["x"]["looks"] == pytest.approx(of_x / sum(looks))
    assert found["x"]["taken"] == pytest.approx(0.5)
    assert found["x"]["looks_over_taken"]["mean"] == pytest.approx(of_x / sum(looks) / 0.5)


def test_popularity_bias_compares_what_is_shown_with_what_is_taken() -> None:
    popularity = np.array([0, 0, 10, 2, 1, 1], dtype=np.float32)
    found = popularity_bias(SHOWN, popularity, seed=0)
    assert found["shown_over_taken"]["mean"] == pytest.approx((10 + 2 + 10 + 1 + 1 + 2) / 6 / ((10 + 1 + 0) / 3))
    assert found["popular_taken"] == pytest.approx(1 / 3)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=12))
def test_gini_equals_the_mean_difference_of_all_pairs(amounts: list[int]) -> None:
    values = np.array(amounts, dtype=float)
    total = values.sum()
    pairs = np.abs(np.subtract.outer(values, values)).sum() / (2 * len(values) * total) if total else 0.0
    assert gini(values) == pytest.approx(pairs)


@given(st.permutations(list(range(7))), st.integers(0, 7))
def test_kendall_tau_equals_the_count_of_pairs(order: list[int], length: int) -> None:
    places = order[:length]
    pairs = list(itertools.combinations(places, 2))
    if not pairs:
        assert np.isnan(kendall_tau(places))
        return
    assert kendall_tau(places) == pytest.approx(np.mean([1 if one < other else -1 for one, other in pairs]))


def test_breadth_equals_a_slow_reference() -> None:
    vectors = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = breadth_of(SHOWN, vectors, GROUPS, list(SHOWN.lists), seed=0)
    slow = [np.mean([vectors[a] @ vectors[b] for a, b in itertools.combinations(one, 2)] or [0]) for one in SHOWN.lists]
    assert found["likeness_within"]["mean"] == pytest.approx((slow[0] + (slow[1] + slow[2]) / 2) / 2, abs=1e-6)
    assert found["categories"]["mean"] == pytest.approx((1 + (2 + 1) / 2) / 2)
    assert found["categories_of_past"] == found["categories"]
    assert coverage_interval(SHOWN, 8, seed=0)["mean"] == pytest.approx(4 / 8)


def test_lists_that_collapsed_overlap_wholly_and_others_do_not() -> None:
    same = Shown([np.array([2, 3])] * 6, np.full(6, 2), np.arange(6))
    apart = Shown([np.array([2 + 2 * user, 3 + 2 * user]) for user in range(6)], np.full(6, 2), np.arange(6))
    assert overlap_between_users(same, seed=0)["mean"] == 1.0
    assert overlap_between_users(apart, seed=0)["mean"] == 0.0
    assert np.isnan(overlap_between_users(Shown([np.array([2])], np.array([2]), np.array([0])), seed=0)["mean"])
    assert overlap([], []) == 1.0


def test_another_value_holds_whenever_the_attribute_is_asked_for() -> None:
    person = Person(attributes={"a": 1}, changes={"plan": [Change(0, "free"), Change(10, "paid")]})
    assert with_attribute(person, "plan", "free").attribute("plan", 20) == "free"
    assert with_attribute(person, "a", None).attribute("a", 20) is None
    assert person.attribute("plan", 20) == "paid"


@pytest.mark.parametrize(
    ("value", "role", "said"),
    [("x", "categorical", "x"), (None, "categorical", "unknown"), ("2000-01-01", "birth_date", "20-29 years")],
)
def test_groups_are_values_and_ages_are_decades(value: Any, role: str, said: str) -> None:
    assert group(value, role, 1_780_000_000_000) == said


def test_the_counterfactual_asks_the_exported_pipeline(trained: Any) -> None:
    people = People(trained.config.dataset, trained.tables)
    moments = moments_among(people, np.ones(len(people.events), dtype=bool), 12, seed=1)
    found = counterfactual(
        trained.bundle, trained.config.dataset, moments, k=5, limit=100, workers=1, seed=0
    )  # fmt: skip
    assert set(found) == {"gender", "birth_date"}
    known = [one for one in moments if one.person.attribute("gender", one.moment) is not None]
    assert found["gender"]["moments"] == len(known)
    pipeline = Pipeline(open_bundle(trained.bundle))
    shares: dict[str, list[float]] = {}
    for one in known:
        query = Query(k=5, exclude=one.person.events.item_ids[-1:])
        lists = [
            {item.item_id for item in pipeline.recommend(person, query, one.moment).items}
            for person in (one.person, with_attribute(one.person, "gender", None))
        ]
        shares.setdefault(one.user_id, []).append(len(lists[0] & lists[1]) / 5)
    assert found["gender"]["hidden"]["overlap"]["mean"] == pytest.approx(np.mean([np.mean(x) for x in shares.values()]))
    assert 0 <= found["gender"]["flipped"]["overlap"]["mean"] <= 1


def test_the_report_tells_fairness_and_its_json_is_json(trained: Any) -> None:
    told = json.loads((trained.run / "fairness.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert set(told) >= {"groups", "exposure", "popularity", "breadth", "counterfactual", "breaches"}
    assert set(told["groups"]) == {"gender", "birth_date"}
    page = (trained.run / "report.md").read_text(encoding="utf-8")
    assert "## Fairness and breadth" in page
    assert "Kendall tau" in page


def figures(gap: Interval, **lists: Interval) -> dict[str, Any]:
    even = Interval(1.0, 0.9, 1.1)
    one = {"users": 40, "moments": 80, "ndcg": even, "popularity_bias": even, "observed_over_expected": even}
    wide = {"coverage": even, "likeness_within": even, "overlap_between_users": even, "categories": even}
    groups = {"x": {name: {**one, "gap": gap} for name in ("a", "b")}}
    whole = {
        "k": 10,
        "groups": groups,
        "exposure": {"maker": {"m": {"looks": 0.1, "taken": 0.3, "looks_over_taken": Interval(0.3, 0.2, 0.4)}}},
        "popularity": {"shown_over_taken": even, "popular_looks": even, "popular_taken": 0.1, "gini": 0.5},
        "breadth": {"category": "kind", "items": 3, "categories_of_past": even, **wide, **lists},
        "counterfactual": {"x": {way: dict.fromkeys(("overlap", "tau", "score_shift", "ndcg_loss"), even)
                                 for way in ("flipped", "hidden")}},
    }  # fmt: skip
    content: dict[str, Any] = plain(whole)
    return content


def plain(value: Any) -> Any:
    if isinstance(value, Interval):
        return value._asdict()
    return {key: plain(one) for key, one in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize(
    ("limits", "limit", "of", "sure"),
    [
        ({"max_accuracy_gap": 0.1}, "max_accuracy_gap", "x: a", True),
        ({"max_accuracy_gap": 0.25}, "max_accuracy_gap", "x: a", False),
        ({"max_exposure_factor": 2.0}, "max_exposure_factor", "maker: m", True),
        ({"min_coverage": 0.95}, "min_coverage", "all lists", True),
        ({"max_likeness": 0.5}, "max_likeness", "a list", True),
        ({"max_overlap": 0.2}, "max_overlap", "two lists", True),
        ({"max_popularity_bias": 0.95}, "max_popularity_bias", "all lists", False),
        ({"min_categories": 3}, "min_categories", "a list", True),
        ({"min_flipped_overlap": 1.0}, "min_flipped_overlap", "x", True),
    ],
)
def test_a_breach_is_named_with_its_limit(limits: dict[str, float], limit: str, of: str, sure: bool) -> None:
    low = Interval(0.5, 0.4, 0.6)
    content = figures(Interval(0.3, 0.2, 0.4), coverage=low)
    content["counterfactual"]["x"]["flipped"]["overlap"] = low._asdict()
    chosen = FairnessConfig.parse({"max_accuracy_gap": None, **limits})
    (breach,) = breaches_of(content, chosen)
    assert (breach.limit, breach.of, breach.sure) == (limit, of, sure)
    page = "\n".join(fairness_lines({**content, "breaches": [breach._asdict()]}))
    assert f"Breach of `fairness.{limit}`" in page


def test_no_breach_is_said_too() -> None:
    held = figures(Interval(0.1, 0.0, 0.2))
    assert breaches_of(held, FairnessConfig()) == []
    assert "No limit" in breach_lines([])[0]


@pytest.mark.parametrize(
    ("section", "field"),
    [
        ({"max_exposure_factor": 2}, "fairness.max_exposure_factor"),
        ({"category": "duration"}, "fairness.category"),
        ({"no_such_limit": 1}, "fairness.no_such_limit"),
    ],
)
def test_a_limit_without_its_figure_is_an_error(
    trained: Any, tmp_path: Path, section: dict[str, Any], field: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        trained.config_path.read_text(encoding="utf-8") + f"fairness: {json.dumps(section)}\n", encoding="utf-8"
    )
    with pytest.raises(ConfigError) as error:
        read_training_config(path)
    assert error.value.field == field


def test_limits_on_people_need_a_protected_attribute(trained: Any) -> None:
    plain_users = trained.config.dataset.users.model_copy(update={"columns": {}})
    dataset = trained.config.dataset.model_copy(update={"users": plain_users})
    require_measurable(FairnessConfig(), dataset)
    with pytest.raises(ConfigError, match="no attribute of users is `protected`"):
        require_measurable(FairnessConfig(max_accuracy_gap=0.1), dataset)
