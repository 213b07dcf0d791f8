"""The gate: equal bundles pass every rule with a difference of nothing; each rule refuses what it is there for."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.errors import BundleError, ConfigError
from features.people import People
from serving.bundle import open_bundle
from training.config import read_training_config
from training.evaluation.exposure import Shown
from training.evaluation.groups import groups_of
from training.gate import rules
from training.gate.asked import Asked, ask, times_of
from training.gate.config import GateConfig, require_askable
from training.gate.drift import Drift, drift_of
from training.gate.gate import Verdicts, hold, newest_moments
from training.gate.page import read_gate, write_gate
from training.gate.rules import Case, Ruling
from training.moments import Moment
from training.retrain.retrain import newest_slice

RULES = {"accuracy", "beats_plain", "coverage", "popularity_bias", "calibration", "group_gap", "list_collapse",
         "new_items", "latency", "size", "input_drift", "parity", "schema"}  # fmt: skip


@pytest.fixture(scope="module")
def newest(trained: Any) -> np.ndarray:
    return newest_slice(trained.config, trained.tables, None)


@pytest.fixture(scope="module")
def moments(trained: Any, newest: np.ndarray) -> list[Moment]:
    return newest_moments(trained.config, trained.tables, newest)


@pytest.fixture(scope="module")
def asked(trained: Any, moments: list[Moment]) -> Asked:
    events = People(trained.config.dataset, trained.tables).events
    return ask(trained.config, trained.bundle, moments, events)


@pytest.fixture(scope="module")
def case(trained: Any, asked: Asked, moments: list[Moment]) -> Case:
    return Case(
        gate=GateConfig(least_group_users=2),
        candidate=asked,
        live=asked,
        groups=groups_of(trained.config.dataset, moments),
        times=np.ones((2, 20)),
        drift={"device": Drift(0.3, 0.2)},
        seed=0,
    )


def test_the_slice_is_the_newest_and_nothing_that_live_knows(trained: Any, newest: np.ndarray) -> None:
    times = trained.tables.events.moments
    assert times[newest].min() > times[~newest].max()
    assert newest.mean() == pytest.approx(0.1, abs=0.02)
    assert not newest_slice(trained.config, trained.tables, trained.bundle).any(), "it was trained on all of them"


def test_moments_of_the_slice_lie_in_it(trained: Any, newest: np.ndarray, moments: list[Moment]) -> None:
    first = trained.tables.events.moments[newest].min()
    assert len(moments) > 50
    assert all(one.moment + 1 >= first and one.wanted(trained.config.dataset) for one in moments)


def test_a_bundle_held_against_itself_differs_in_nothing(case: Case) -> None:
    for rule in (rules.accuracy, rules.coverage, rules.popularity, rules.group_gap, rules.collapse, rules.new_items):
        found = rule(case)
        assert found is not None
        assert found.passed, found
        assert found.candidate == found.live
        assert tuple(found.difference) == (0.0, 0.0, 0.0)


def test_the_whole_gate_answers_every_rule_and_writes_its_page(
    trained: Any, newest: np.ndarray, moments: list[Moment], tmp_path: Path
) -> None:
    gate = GateConfig(least_group_users=2, max_latency_ratio=1000)
    config = trained.config.model_copy(update={"gate": gate})
    verdicts = hold(config, trained.tables, newest, moments[:40], trained.bundle, trained.bundle)
    assert {one.rule for one in verdicts.rulings} == RULES
    write_gate(verdicts, {"candidate": "x"}, tmp_path)
    told = read_gate(tmp_path)
    assert told["moments"] == 40
    assert {one["rule"] for one in told["rulings"]} == RULES
    json.loads((tmp_path / "gate.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    page = (tmp_path / "gate.md").read_text(encoding="utf-8")
    assert all(rule in page for rule in RULES)
    assert (tmp_path / "gate.png").stat().st_size > 1000


def test_without_a_live_bundle_only_rules_hold_that_need_none(case: Case) -> None:
    alone = replace(case, live=None)
    said = {one.rule: one.passed for rule in rules.RULES if (one := rule(alone)) is not None}
    assert {name for name, passed in said.items() if passed is not None} <= {
        "beats_plain", "calibration", "input_drift", "parity"}  # fmt: skip
    assert "schema" not in said


def shown_with(asked: Asked, lists: list[np.ndarray]) -> Asked:
    return replace(asked, shown=Shown(lists, asked.shown.targets, asked.shown.users))


def spoiled(case: Case, rule: str) -> Case:
    """A candidate with the fault that a rule is there for."""
    asked = case.candidate
    first = asked.shown.lists[0]
    match rule:
        case "accuracy":
            return replace(case, candidate=replace(asked, ndcg=asked.ndcg * 0.2))
        case "beats_plain":
            return replace(case, candidate=replace(asked, plain_ndcg={"popular": asked.ndcg}))
        case "coverage" | "list_collapse":
            return replace(case, candidate=shown_with(asked, [first] * len(asked.shown.lists)))
        case "popularity_bias":
            best = np.argsort(-asked.popularity)[:5]
            return replace(case, candidate=shown_with(asked, [best] * len(asked.shown.lists)))
        case "calibration":
            return replace(case, candidate=replace(asked, expected=asked.expected * 3))
        case "group_gap":
            female = np.array(case.groups["gender"]) == "female"
            return replace(case, candidate=replace(asked, ndcg=np.where(female, 0, asked.ndcg + 0.2)))
        case "new_items":
            live = replace(asked, new_places=asked.new_places + 0.2)
            return replace(case, candidate=replace(asked, new_places=live.new_places * 0.1), live=live)
        case "latency":
            return replace(case, times=np.array([[3.0] * 20, [1.0] * 20]))
        case "size":
            return replace(case, candidate=replace(asked, size=asked.size * 3))
        case "input_drift":
            return replace(case, drift={"device": Drift(0.6, 0.2)})
        case "schema":
            schema = asked.bundle.schema
            fewer = schema.dataset.model_copy(update={"types": {"view": schema.dataset.types["view"]}})
            bundle = replace(asked.bundle, schema=replace(schema, dataset=fewer))
            return replace(case, candidate=replace(asked, bundle=bundle))
    raise AssertionError(rule)


@pytest.mark.parametrize("rule", sorted(RULES - {"parity"}))
def test_each_rule_refuses_what_it_is_there_for(case: Case, rule: str) -> None:
    said = [one for ask_rule in rules.RULES if (one := ask_rule(spoiled(case, rule))) is not None]
    refused = [one for one in said if one.passed is False]
    assert rule in [one.rule for one in refused]
    (sentence,) = [one for one in Verdicts(refused, 1, 1, {}).reasons if one.startswith(f"{rule}:")]
    assert "beside" in sentence or rule in ("beats_plain", "input_drift")


def test_golden_answers_that_come_out_otherwise_are_refused(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def differs(_: Any) -> int:
        raise BundleError("golden case 3 is answered otherwise")

    monkeypatch.setattr(rules, "check_golden", differs)
    said = rules.parity(case)
    assert said is not None
    assert (said.passed, said.words) == (False, "golden case 3 is answered otherwise")


def test_a_rule_without_a_threshold_is_not_asked(case: Case) -> None:
    off: dict[str, Any] = {name: None for name in GateConfig.model_fields if name.startswith(("max_", "min_"))}
    silent = replace(case, gate=GateConfig(**off, parity=False), drift={})
    assert [one.rule for rule in rules.RULES if (one := rule(silent)) is not None] == ["schema"]


def test_small_groups_are_not_held_against_it(case: Case) -> None:
    assert rules.group_gap(replace(case, gate=GateConfig(least_group_users=10_000))) is None


def test_unsure_is_not_good_enough(case: Case) -> None:
    """A candidate of equal mean passes; one whose interval reaches below the allowed loss does not."""
    draw = np.random.default_rng(0)
    noisy = replace(case.candidate, ndcg=case.candidate.ndcg + draw.normal(0, 2.0, len(case.candidate.ndcg)))
    said = rules.accuracy(replace(case, candidate=noisy))
    assert isinstance(said, Ruling)
    assert said.passed is False


def test_a_shifted_input_stands_out_and_a_steady_one_does_not(trained: Any, newest: np.ndarray) -> None:
    events = trained.tables.events
    devices = events.contexts["device"].copy()
    devices[newest] = "tv"
    tables = replace(trained.tables, events=replace(events, contexts={"device": devices}))
    found = drift_of(open_bundle(trained.bundle).schema, tables, newest, seed=0)
    assert found["context device"].psi > found["context device"].chance + 0.25
    steady = drift_of(open_bundle(trained.bundle).schema, trained.tables, newest, seed=0)
    assert steady["event type"].psi < 0.25
    assert "item published_at" not in steady, "a moment always moves on"
    assert {"user gender", "user country", "item category", "event value"} <= set(steady)


def test_times_are_taken_of_the_same_answers_in_turn(asked: Asked, moments: list[Moment]) -> None:
    times = times_of([asked.bundle, asked.bundle], moments[:8], 5)
    assert times.shape == (2, 8)
    assert (times > 0).all()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"max_group_gap_rise": 0.1}, "gate.max_group_gap_rise"),
        ({"min_new_items_ratio": 0.1}, "gate.min_new_items_ratio"),
    ],
)
def test_a_threshold_without_its_figure_is_an_error(trained: Any, change: dict[str, float], field: str) -> None:
    plain_users = trained.config.dataset.users.model_copy(update={"columns": {}})
    order = trained.config.dataset.order.model_copy(update={"time": None, "sequence": "n"})
    dataset = trained.config.dataset.model_copy(update={"users": plain_users, "order": order})
    require_askable(GateConfig(), dataset)
    with pytest.raises(ConfigError) as error:
        require_askable(GateConfig.model_validate(change), dataset)
    assert error.value.field == field


def test_an_unknown_threshold_is_named(trained: Any, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(trained.config_path.read_text(encoding="utf-8") + "gate: {max_sadness: 1}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="no such key") as error:
        read_training_config(path)
    assert error.value.field == "gate.max_sadness"
