"""Transitions answer as their formula says, the same to the bit each time, and survive the disk."""

import json
import math
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import BundleError, ConfigError
from features.vocabulary import PAD, RESERVED, UNKNOWN
from serving.retrieval import transitions
from serving.retrieval.transitions import KERNELS, Transitions, TransitionSettings

R = 9
SETTINGS = TransitionSettings(head=3, head_mass=0.7, decay=0.5, popularity_weight=-0.3, max_history=30)
ALL = np.arange(R)
HISTORIES = st.lists(st.integers(RESERVED, R - 1), max_size=40)


def planted(settings: TransitionSettings = SETTINGS) -> Transitions:
    """A few dense and a few empty rows of random evidence."""
    generator = np.random.default_rng(7)
    stored = generator.random((R, R)) < 0.5
    stored[:, :RESERVED] = stored[:RESERVED] = stored[5] = False
    source, target = np.nonzero(stored)
    evidence = generator.random(len(source), dtype=np.float32).astype(np.float16)
    return Transitions(
        indptr=np.searchsorted(source, np.arange(R + 1)),
        indices=target.astype(np.int32),
        evidence=evidence,
        next_evidence=evidence * generator.integers(0, 2, len(source)).astype(np.float16),
        log_popularity=np.log(generator.random(R)).astype(np.float32),
        settings=settings,
    )


@pytest.fixture(params=["dense", "sparse"])
def layout(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(transitions, "DENSE_CELLS", R * R if request.param == "dense" else 0)
    return str(request.param)


def slow_score(model: Transitions, history: list[int], item: int) -> float:
    """The module's formula, event by event."""
    settings = model.settings
    newest_first = history[::-1][: settings.max_history]
    length, head = len(newest_first), min(settings.head, len(newest_first))
    total = settings.popularity_weight * float(model.log_popularity[item])
    for age, source in enumerate(newest_first):
        if age < head:
            share = settings.decay**age / sum(settings.decay**one for one in range(head))
            share *= settings.head_mass if length > head else 1.0
        else:
            share = (1 - settings.head_mass) / (length - head)
        followers, evidence = model.row(source)
        total += share * dict(zip(followers.tolist(), evidence.tolist(), strict=True)).get(item, 0.0)
    return total


@given(HISTORIES)
def test_score_equals_the_formula(history: list[int]) -> None:
    model = planted()
    scores = model.scores(np.array(history, dtype=np.int64))
    expected = [slow_score(model, history, item) for item in range(RESERVED, R)]
    np.testing.assert_allclose(scores[RESERVED:], expected, atol=1e-5)


def test_both_layouts_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    history = np.random.default_rng(1).integers(RESERVED, R, 60)
    dense = planted().query(history)
    monkeypatch.setattr(transitions, "DENSE_CELLS", 0)
    sparse = planted().query(history)
    assert dense.rows.tolist() == sparse.rows.tolist()
    np.testing.assert_allclose(dense.totals(ALL), sparse.totals(ALL), atol=1e-5)
    np.testing.assert_allclose(dense.kernels, sparse.kernels, atol=1e-5)


def test_kernels_are_those_named(layout: str) -> None:
    model, history = planted(), np.array([2, 3, 4, 6, 7, 8, 2, 3])
    columns = dict(zip(KERNELS, model.query(history).kernels_of(ALL).T, strict=True))
    rows = np.zeros((R, R))
    for item in range(R):
        followers, evidence = model.row(item)
        rows[item, followers] = evidence
    newest_first = rows[history[::-1]]
    np.testing.assert_allclose(columns["last_item"], newest_first[0], atol=1e-6)
    np.testing.assert_allclose(columns["recent_even"], newest_first.sum(axis=0), atol=1e-5)
    np.testing.assert_allclose(columns["recent_decayed"], 0.6 ** np.arange(8) @ newest_first, atol=1e-5)
    np.testing.assert_allclose(columns["history"], SETTINGS.kernel(8) @ newest_first, atol=1e-5)
    stored = slice(model.indptr[3], model.indptr[4])
    np.testing.assert_array_equal(columns["last_item_next"][model.indices[stored]], model.next_evidence[stored])


def test_one_pass_equals_two_and_repeats_to_the_bit(layout: str) -> None:
    model, history = planted(), np.random.default_rng(3).integers(RESERVED, R, 50)
    once = model.query(history)
    for again in (model.query(history.copy()), planted().query(history)):
        assert once.rows.tobytes() == again.rows.tobytes()
        assert once.kernels.tobytes() == again.kernels.tobytes()
    assert model.scores(history).tobytes() == once.totals(ALL).tobytes()


@given(HISTORIES, st.lists(st.sampled_from([PAD, UNKNOWN, -1, R, 10**9]), min_size=1, max_size=5))
def test_rows_that_the_fit_did_not_know_change_nothing(history: list[int], strange: list[int]) -> None:
    model = planted()
    mixed = [*strange[:2], *history, *strange[2:]]
    assert model.scores(np.array(mixed)).tobytes() == model.scores(np.array(history, dtype=int)).tobytes()


def test_without_a_history_popularity_alone_decides(layout: str) -> None:
    model = planted()
    answer = model.query(np.zeros(0, dtype=np.int64))
    np.testing.assert_allclose(answer.totals(ALL)[RESERVED:], -0.3 * model.log_popularity[RESERVED:], rtol=1e-6)
    assert len(answer.rows) == 0
    assert np.isneginf(answer.totals(ALL)[:RESERVED]).all()


def test_a_row_that_came_after_the_fit_is_one_without_events() -> None:
    model = planted()
    answer = model.query(np.array([2, 3]))
    assert answer.totals(np.array([R, R + 5])).tolist() == [np.float32(-0.3) * model.log_popularity[PAD]] * 2
    assert not answer.kernels_of(np.array([R])).any()


def test_only_the_newest_events_count() -> None:
    model = planted()
    history = np.random.default_rng(5).integers(RESERVED, R, 100)
    assert model.scores(history).tobytes() == model.scores(history[-SETTINGS.max_history :]).tobytes()


def test_a_question_changes_nothing(layout: str) -> None:
    model, history = planted(), np.array([2, 3, 4])
    model.scores(history)[:] = 0
    model.query(history).kernels[:] = 0
    assert model.query(history).totals(ALL).tobytes() == planted().query(history).totals(ALL).tobytes()


def test_row_lists_followers_strongest_first() -> None:
    model = planted()
    followers, evidence = model.row(3)
    assert len(followers) > 1
    assert (np.diff(evidence) <= 0).all()
    for absent in (PAD, UNKNOWN, R, 5):
        assert len(model.row(absent)[0]) == 0


def test_between_reads_single_pairs() -> None:
    model = planted()
    for following in range(RESERVED, R):
        expected = [dict(zip(*model.row(item), strict=True)).get(following, 0.0) for item in (2, 3, 5, 8)]
        assert model.between(np.array([2, 3, 5, 8]), following).tolist() == pytest.approx(expected)


@given(st.integers(0, 300), st.integers(1, 50), st.floats(0.01, 1), st.floats(0.01, 1))
def test_kernel_weights_sum_to_one(length: int, head: int, mass: float, decay: float) -> None:
    weights = TransitionSettings(head=head, head_mass=mass, decay=decay).kernel(length)
    assert (weights >= 0).all()
    assert math.isclose(weights.sum(), 1.0 if length else 0.0, rel_tol=1e-9)


def test_what_is_saved_is_what_is_opened(tmp_path: Path, layout: str) -> None:
    model, history = planted(), np.array([2, 3, 4, 3])
    model.save(tmp_path / "transitions")
    opened = Transitions.load(tmp_path / "transitions")
    assert opened.settings == model.settings
    assert opened.query(history).totals(ALL).tobytes() == model.query(history).totals(ALL).tobytes()
    assert opened.query(history).kernels.tobytes() == model.query(history).kernels.tobytes()


def test_without_a_single_pair_it_still_opens(tmp_path: Path, layout: str) -> None:
    nothing = np.zeros(0, dtype=np.float16)
    Transitions(
        indptr=np.zeros(R + 1, dtype=np.int64),
        indices=nothing.astype(np.int32),
        evidence=nothing,
        next_evidence=nothing,
        log_popularity=np.zeros(R, dtype=np.float32),
        settings=SETTINGS,
    ).save(tmp_path)
    assert not Transitions.load(tmp_path).query(np.array([2, 3])).kernels.any()


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    planted().save(tmp_path)
    (tmp_path / "indices.npy").write_bytes(b"")
    with pytest.raises(BundleError, match="cannot be read"):
        Transitions.load(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    planted().save(tmp_path)
    (tmp_path / "evidence.npy").unlink()
    with pytest.raises(BundleError, match=r"evidence\.npy"):
        Transitions.load(tmp_path)


def test_settings_of_another_version_are_refused(tmp_path: Path) -> None:
    planted().save(tmp_path)
    (tmp_path / "settings.json").write_text(json.dumps({"windows": 3}))
    with pytest.raises(BundleError, match="windows"):
        Transitions.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("evidence", np.zeros(3, dtype=np.float16)),
        ("indices", np.zeros(3, dtype=np.int64)),
        ("indptr", np.zeros(R + 1, dtype=np.int64)),
    ],
)
def test_files_of_different_fits_are_refused(tmp_path: Path, name: str, content: np.ndarray) -> None:
    planted().save(tmp_path)
    np.save(tmp_path / f"{name}.npy", content)
    with pytest.raises(BundleError, match="not of one fit"):
        Transitions.load(tmp_path)


def test_settings_outside_their_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="head_mass"):
        TransitionSettings.parse({"head_mass": 1.5})


def test_they_travel_to_another_process(layout: str) -> None:
    model, history = planted(), np.array([2, 3, 4])
    model.query(history)
    arrived = ForkingPickler.loads(ForkingPickler.dumps(model))
    assert arrived.scores(history).tobytes() == model.scores(history).tobytes()
