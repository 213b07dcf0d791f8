"""Calibration finds the line that made the labels, and survives heads that say nothing or all."""

import numpy as np
import pytest

from training.ranker.calibrating import calibrate, platt_line


def test_the_line_that_made_the_labels_is_found() -> None:
    draw = np.random.default_rng(0)
    logits = draw.normal(-3, 2, 400_000)
    labels = draw.random(len(logits)) < 1 / (1 + np.exp(-(0.7 * logits - 2.0)))
    slope, intercept = platt_line(logits, labels)
    assert slope == pytest.approx(0.7, rel=0.05)
    assert intercept == pytest.approx(-2.0, rel=0.05)


@pytest.mark.parametrize("offset", [-400.0, 0.0, 400.0])
def test_expected_equals_observed_wherever_the_logits_lie(offset: float) -> None:
    draw = np.random.default_rng(1)
    logits = (draw.normal(0, 3, (50_000, 1)) + offset).astype(np.float32)
    labels = draw.random((50_000, 1)) < 0.002 * (1 + (logits > offset))
    probabilities = calibrate(logits, labels).probabilities(logits)
    assert probabilities.sum() == pytest.approx(labels.sum(), rel=0.02)


def test_a_head_without_positives_is_rare_and_one_that_separates_is_finite() -> None:
    logits = np.linspace(-1, 1, 1000).reshape(-1, 1).astype(np.float32)
    none = calibrate(logits, np.zeros((1000, 1), dtype=bool)).probabilities(logits)
    assert none.max() < 0.01
    split = calibrate(logits, logits > 0).probabilities(logits)
    assert np.isfinite(split).all()
    assert split[-1, 0] > 0.95


def test_an_order_is_never_turned_round() -> None:
    logits = np.linspace(-1, 1, 1000).reshape(-1, 1).astype(np.float32)
    probabilities = calibrate(logits, logits < -0.5).probabilities(logits)
    assert (np.diff(probabilities[:, 0]) > 0).all()


@pytest.mark.parametrize("positives", [1, 3])
def test_a_handful_of_positives_hardly_moves_the_slope(positives: int) -> None:
    logits = np.random.default_rng(3).normal(-6, 2, 20_000)
    labels = np.zeros(len(logits), dtype=bool)
    labels[np.argsort(-logits)[:positives]] = True
    assert 0.7 < platt_line(logits, labels)[0] < 1.5
