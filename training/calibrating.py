"""Calibration: a straight line per head from ranker logits to log-odds, fitted on unsampled candidates.

"Probabilistic outputs for support vector machines" (Platt, 1999). M candidates of all moments, H heads.
"""

import numpy as np

from features.arrays import BoolArray, FloatArray
from serving.calibration import Calibration

STEPS = 100
MIN_SLOPE = 1e-2
"""A head whose logits say nothing keeps this slope: calibration must never turn an order round."""


def calibrate(logits: FloatArray, labels: BoolArray) -> Calibration:
    """The line of each head from float32 [M, H] logits and bool [M, H] labels; few positives move it little."""
    lines = [platt_line(logits[:, head].astype(np.float64), labels[:, head]) for head in range(logits.shape[1])]
    return Calibration(slopes=tuple(line[0] for line in lines), intercepts=tuple(line[1] for line in lines))


def platt_line(logits: np.ndarray, labels: BoolArray) -> tuple[float, float]:
    """Slope and intercept that minimise logistic loss, float64 [M] and bool [M]; Newton steps with halving."""
    centre, scale = logits.mean(), max(float(logits.std()), 1e-6)
    design = np.stack([(logits - centre) / scale, np.ones_like(logits)], axis=1)
    share = (labels.sum() + 1) / (len(labels) + 2)
    line = np.array([0.0, np.log(share / (1 - share))])
    loss = _loss(design, labels, line)
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-(design @ line)))
        curvature = (design * (p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, design.T @ (p - labels))
        while (shorter := _loss(design, labels, line - step)) > loss and np.abs(step).max() > 1e-12:
            step /= 2
        gain, loss = loss - shorter, shorter
        line -= step
        if gain < 1e-10 * len(labels):
            break
    slope, intercept = float(line[0]) / scale, float(line[1])
    if slope < MIN_SLOPE:
        slope, intercept = MIN_SLOPE, float(np.log(share / (1 - share)))
    return slope, intercept - slope * float(centre)


def _loss(design: np.ndarray, labels: BoolArray, line: np.ndarray) -> float:
    """Nats, with a trace of shrinkage so that a head that tells all apart stays finite."""
    log_odds = design @ line
    return float(np.logaddexp(0, log_odds).sum() - log_odds[labels].sum() + 0.01 * line[0] ** 2)
