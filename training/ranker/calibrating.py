"""Calibration: a straight line per head from ranker logits to log-odds, fitted on unsampled candidates.

"Probabilistic outputs for support vector machines" (Platt, 1999). M candidates of all moments, H heads.
"""

import numpy as np

from features.arrays import BoolArray, FloatArray
from serving.ranking.calibration import Calibration

STEPS = 100
SLOPE_PRECISION = 10.0
"""Of the prior of a slope: a standard deviation of 0.3, about what thirty positives can tell."""
MIN_SLOPE = 1e-2
"""A head whose logits say nothing keeps this slope: calibration must never turn an order round."""


def calibrate(logits: FloatArray, labels: BoolArray) -> Calibration:
    """The line of each head from float32 [M, H] logits and bool [M, H] labels; few positives move it little."""
    lines = [platt_line(logits[:, head].astype(np.float64), labels[:, head]) for head in range(logits.shape[1])]
    return Calibration(slopes=tuple(line[0] for line in lines), intercepts=tuple(line[1] for line in lines))


def platt_line(logits: np.ndarray, labels: BoolArray) -> tuple[float, float]:
    """Slope and intercept for float64 [M] logits and bool [M] labels; Newton steps with halving.

    Minimises logistic loss on Platt's smoothed targets, with a Gaussian prior of the slope around 1, which is where
    the ranker's own binary loss leaves it: a head with a handful of positives hardly leaves it.
    """
    positives = int(labels.sum())
    targets = np.where(labels, (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2))
    centre = float(logits.mean())
    design = np.stack([logits - centre, np.ones_like(logits)], axis=1)
    share = targets.mean()
    line = np.array([1.0, np.log(share / (1 - share)) - 0.5 * logits.var()])
    prior = np.array([SLOPE_PRECISION, 0.0])
    loss = _loss(design, targets, line)
    for _ in range(STEPS):
        p = np.exp(-np.logaddexp(0.0, -(design @ line)))
        gradient = design.T @ (p - targets) + prior * (line - 1.0)
        curvature = (design * (p * (1 - p))[:, None]).T @ design + np.diag(prior + 1e-9)
        step = np.linalg.solve(curvature, gradient)
        while (shorter := _loss(design, targets, line - step)) > loss and np.abs(step).max() > 1e-12:
            step /= 2
        gain, loss = loss - shorter, shorter
        line -= step
        if gain < 1e-9 * max(positives, 1):
            break
    slope = max(float(line[0]), MIN_SLOPE)
    return slope, float(line[1]) - slope * centre


def _loss(design: np.ndarray, targets: np.ndarray, line: np.ndarray) -> float:
    log_odds = design @ line
    return float((np.logaddexp(0, log_odds) - targets * log_odds).sum() + 0.5 * SLOPE_PRECISION * (line[0] - 1) ** 2)
