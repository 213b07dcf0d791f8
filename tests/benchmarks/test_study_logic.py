"""The studies' own logic against slower definitions: who is held out, what is asked, how it is judged."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.studies.ablation import input_variants, later_moments, of_type, rows_of, time_variants
from benchmarks.studies.baselines import CellPopularity, ContentNeighbours, NeighbourSettings
from benchmarks.studies.cold_items import drawn_items, questions_of
from benchmarks.studies.cold_users import by_prefix, split_users, without_attributes
from benchmarks.studies.conditional import auc, auc_interval, regression_of
from benchmarks.studies.multi_task import beginning_with
from benchmarks.studies.places import figures, place_by
from benchmarks.studies.study import Found, Table, only_events, record
from features.events import Tables
from features.people import People
from features.schema import FieldSize, fit_schema
from features.tables import load_tables
from training.config import TrainingConfig
from training.evaluation.judging import TOWERS, WHOLE
from training.evaluation.metrics import Interval
from training.moments import moments_among
from training.slices import cut

CONFIG = TrainingConfig.parse(
    {
        "dataset": {
            "consent": {"assume": "granted", "basis": "a test"},
            "order": {"time": "at"},
            "events": {"type": "type", "value": "stars"},
            "types": {"view": {"repeat": "always"}, "cart": {"weight": 2, "repeat": "always"}},
            "users": {"columns": {"gender": {"role": "categorical", "static": True, "protected": True}}},
            "items": {"columns": {"tags": {"role": "multi_categorical", "static": True, "separator": "|"}}},
        }
    }
)


def world(seed: int = 3, users: int = 40, items: int = 30, events: int = 25) -> Tables:
    draw = np.random.default_rng(seed)
    total = users * events
    minutes = np.sort(draw.choice(10 * total, total, replace=False))
    frames = {
        "events": pd.DataFrame(
            {
                "user_id": [f"u{one}" for one in draw.integers(0, users, total)],
                "item_id": [f"i{one}" for one in draw.integers(0, items, total)],
                "type": draw.choice(["view", "cart"], total, p=[0.7, 0.3]),
                "at": pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(minutes, unit="min"),
                "stars": draw.integers(1, 6, total),
            }
        ),
        "users": pd.DataFrame({"user_id": [f"u{one}" for one in range(users)], "gender": ["f", "m"] * (users // 2)}),
        "items": pd.DataFrame(
            {"item_id": [f"i{one}" for one in range(items)], "tags": ["a|b", "b", "c"] * (items // 3)}
        ),
    }
    return load_tables(CONFIG.dataset, Path(), frames)


def test_a_fifth_of_the_items_is_cold_and_is_asked_for_after_warm_events_only() -> None:
    tables = world()
    cold = drawn_items(tables, seed=0)
    assert cold.sum() == round(0.2 * len(np.unique(tables.events.item_codes)))
    cold_ids = set(tables.events.items[cold])
    questions = questions_of(CONFIG, tables, cold, 10**6)
    assert questions
    events, people = tables.events, People(CONFIG.dataset, tables)
    for moment, excluded in questions:
        start, stop = people.span(moment.user_id)
        before = events.moments[start:stop] <= moment.moment
        items = events.items[events.item_codes[start:stop]]
        assert moment.item_id in cold_ids
        assert list(moment.person.events.item_ids) == [one for one in items[before] if one not in cold_ids] != []
        assert set(excluded) == set(items[before]) & cold_ids
        assert moment.item_id not in excluded
    firsts = [(one.moment.user_id, one.moment.item_id) for one in questions]
    assert len(firsts) == len(set(firsts))


def test_nothing_of_a_cold_user_is_left_in_the_training() -> None:
    tables = world()
    kept, out = split_users(tables, seed=0)
    gone = set(tables.events.users[out])
    assert len(gone) == 4
    assert gone.isdisjoint(kept.users.ids)
    assert gone.isdisjoint(kept.events.users[kept.events.user_codes])
    genders = dict(zip(tables.users.ids, tables.users.columns["gender"], strict=True))
    assert dict(zip(kept.users.ids, kept.users.columns["gender"], strict=True)) == {
        user: gender for user, gender in genders.items() if user not in gone
    }
    assert kept.fingerprint not in (tables.fingerprint, without_attributes(kept).fingerprint)


def test_a_prefix_is_so_many_turns_and_the_next_is_the_target() -> None:
    tables = world()
    people = People(CONFIG.dataset, tables)
    keep = np.ones(len(people.events), dtype=np.bool_)
    found = by_prefix(CONFIG.dataset, people, keep, 10**6, seed=0)
    for user in people.user_ids:
        whole = people.person(user)
        items = list(whole.events.item_ids)
        turns = [place for place, item in enumerate(items) if place == 0 or items[place - 1] != item]
        for prefix, moments in found.items():
            mine = [one for one in moments if one.user_id == user]
            assert len(mine) == (len(turns) > prefix)
            for one in mine:
                assert list(one.person.events.item_ids) == items[: turns[prefix]]
                assert one.item_id == items[turns[prefix]]


def test_content_neighbours_equal_the_cosines_of_tf_idf_vectors() -> None:
    draw = np.random.default_rng(0)
    sizes = [FieldSize("genre", 3, 7), FieldSize("brand", 1, 5)]
    genres = np.array([draw.permutation(np.arange(2, 7))[:3] for _ in range(12)])
    genres[draw.random(genres.shape) < 0.3] = 0
    codes = np.concatenate([genres, draw.integers(1, 5, (12, 1))], axis=1)
    history = np.array([4, 9, 2])
    terms = [{(column // 3, int(code)) for column, code in enumerate(row) if code >= 2} for row in codes]
    for settings in (NeighbourSettings(1.0, 1.0), NeighbourSettings(0.5, 2.0)):

        def vector(item: int, power: float = settings.idf_power) -> dict[tuple[int, int], float]:
            df = {term: sum(term in other for other in terms) for term in terms[item]}
            raw = {term: (1 + np.log(13 / (1 + count))) ** power for term, count in df.items()}
            norm = sum(value**2 for value in raw.values()) ** 0.5
            return {term: value / norm for term, value in raw.items()}

        vectors = [vector(item) for item in range(12)]
        weights = [settings.decay ** (len(history) - 1 - place) for place in range(len(history))]
        slow = [
            sum(
                weight * sum(value * mine.get(term, 0.0) for term, value in vectors[past].items())
                for weight, past in zip(weights, history, strict=True)
            )
            / sum(weights)
            for mine in vectors
        ]
        found = ContentNeighbours(codes, sizes, settings).scores(history)
        assert found.tolist() == pytest.approx(slow, abs=1e-5)
    assert not ContentNeighbours(codes, sizes, settings).scores(np.empty(0, dtype=np.int64)).any()


def test_a_cell_of_people_has_its_own_popularity() -> None:
    tables = world()
    people = People(CONFIG.dataset, tables)
    schema = fit_schema(CONFIG.dataset, tables.events, tables.users, tables.items)
    scores = CellPopularity(schema, people)
    genders = dict(zip(tables.users.ids, tables.users.columns["gender"], strict=True))
    events = tables.events
    for item in events.items[:5]:
        taken = events.items[events.item_codes] == item
        women = sum(genders[events.users[code]] == "f" for code in events.user_codes[taken])
        expected = women + 10 * taken.mean()
        assert scores.scores({"gender": "f"})[schema.items.row(item)] == pytest.approx(expected, rel=1e-5)
        assert scores.scores({"gender": "other"})[schema.items.row(item)] == taken.sum()


def test_a_place_counts_better_items_and_draws_among_equals() -> None:
    scores = np.array([9, 9, 3, 5, 3, 3, 1], dtype=np.float32)
    allowed = np.array([False, False, True, True, True, True, True])
    draw = np.random.default_rng(0)
    assert {place_by(scores, allowed, 4, draw) for _ in range(60)} == {2, 3, 4}
    assert place_by(scores, allowed, 3, draw) == 1
    assert place_by(scores, allowed, 0, draw) == 0


def test_figures_are_by_person_and_against_a_system() -> None:
    places = {"ours": np.array([1, 1, 0]), "theirs": np.array([0, 30, 1])}
    ours, theirs = figures(places, np.array([4, 4, 8]), k=20, against="theirs", seed=0)
    assert (ours["recall@20"], theirs["recall@20"]) == (0.5, 0.5)
    assert ours["recall@20 minus theirs"].mean == 0.0
    assert theirs["recall@20 minus theirs"] is None
    assert ours["ndcg@10"] == 0.5


def test_auc_is_the_share_of_pairs_in_order() -> None:
    draw = np.random.default_rng(1)
    scores, labels = draw.integers(0, 6, 60).astype(float), draw.random(60) < 0.4
    pairs = [(a > b) + (a == b) / 2 for a in scores[labels] for b in scores[~labels]]
    assert auc(scores, labels) == pytest.approx(np.mean(pairs))
    twice = np.concatenate([np.arange(60), np.flatnonzero(labels)])
    assert auc(scores, labels, 1.0 + labels) == pytest.approx(auc(scores[twice], labels[twice]))
    users = np.arange(60) // 3
    found = auc_interval(scores, labels, users, 0)
    assert found.low < found.mean < found.high
    assert auc_interval(scores, labels, users, 0, other=scores) == Interval(0.0, 0.0, 0.0)


def test_the_regression_is_at_its_minimum() -> None:
    draw = np.random.default_rng(2)
    features = draw.normal(size=(400, 3)) * [1, 5, 0.2] + 2
    labels = draw.random(400) < 1 / (1 + np.exp(-(features[:, 0] - 0.3 * features[:, 1])))
    found = regression_of(features, labels, 0.01)
    residual = 1 / (1 + np.exp(-found.log_odds(features))) - labels
    inputs = (features - features.mean(axis=0)) / features.std(axis=0)
    assert residual.mean() == pytest.approx(0, abs=1e-6)
    assert (inputs.T @ residual / 400 + 0.01 * found.weights).tolist() == pytest.approx([0, 0, 0], abs=1e-6)


def test_what_comes_of_a_view_is_asked_of_runs_that_begin_with_one() -> None:
    tables = world()
    people = People(CONFIG.dataset, tables)
    moments = moments_among(people, np.ones(len(people.events), dtype=np.bool_))
    found = {(one.user_id, one.moment) for one in beginning_with("view", people, moments)}
    events = tables.events
    for one in moments:
        start, stop = people.span(one.user_id)
        first = start + int(np.flatnonzero(events.moments[start:stop] > one.moment)[0])
        assert ((one.user_id, one.moment) in found) == (events.types[events.type_codes[first]] == "view")
        assert one.item_id == events.items[events.item_codes[first]]


def test_input_variants_add_one_input_each_and_end_with_the_configuration() -> None:
    names, variants = zip(*input_variants(CONFIG).items(), strict=True)
    assert names[0] == "history only"
    seen = [
        (bool(one.dataset.users.columns), bool(one.dataset.items.columns), bool(one.dataset.events.value))
        for one in variants
    ]
    assert seen == [(False, False, False), (True, False, False), (True, True, False), (True, True, True)]
    assert variants[-1] == CONFIG


def test_time_variants_differ_in_what_is_read_and_share_their_slices() -> None:
    tables = world()
    variants = list(time_variants(CONFIG).values())
    assert [one.dataset.order.models_read for one in variants] == ["order", "gaps", "clock"]
    assert len({cut(one.dataset, tables.events).codes.tobytes() for one in variants}) == 1


def test_one_type_alone_knows_no_other() -> None:
    tables = world()
    views = of_type(tables, "view")
    assert {views.events.types[code] for code in views.events.type_codes} == {"view"}
    moment = int(np.quantile(tables.events.moments, 0.9))
    later = later_moments(CONFIG.dataset, tables, moment, 50, seed=0)
    assert len(later) == 50
    assert all(one.moment >= moment - 1 for one in later)
    assert {name for one in later for name in one.types} == {"view", "cart"}


def test_a_row_is_compared_with_the_one_before() -> None:
    users = np.arange(3)
    ranks = {
        "a": {TOWERS: np.array([0, 0, 0]), WHOLE: np.array([1, 1, 1])},
        "b": {TOWERS: np.array([1, 1, 1]), WHOLE: np.array([1, 1, 1])},
    }
    first, second = rows_of(ranks, users, seed=0)
    assert first[f"{TOWERS}, minus the row before"] is None
    assert second[f"{TOWERS}, minus the row before"] == Interval(1.0, 1.0, 1.0)
    assert second[f"{WHOLE}, minus the row before"].mean == 0.0


def test_a_part_is_recorded_beside_the_others(tmp_path: Path) -> None:
    row = {"system": "ours", "ndcg@10": 0.25, "gain": Interval(0.1, 0.05, 0.2)}
    for part in ("inputs", "time"):
        record("ablation", part, Found("What was done.", "f00", [Table("t", [row])]), {"commit": "c0ffee"}, tmp_path)
    content = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert list(content["ablation"]) == ["inputs", "time"]
    assert content["ablation"]["time"]["provenance"] == {"commit": "c0ffee", "data": "f00"}
    page = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "| ours | 0.2500 | +0.1000 (+0.0500 to +0.2000) |" in page


def test_fewer_events_are_other_data() -> None:
    tables = world()
    assert only_events(tables, np.arange(len(tables.events)) > 0).fingerprint != tables.fingerprint
