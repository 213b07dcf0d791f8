"""How well probabilities tell positives from the rest, and the plain model that they must beat.

Q questions, F inputs.
"""

from dataclasses import dataclass

import numpy as np
import torch

from features.arrays import IntArray
from training.evaluation.metrics import RESAMPLES, Doubles, Interval

SMALLEST = 1e-6
BOUND = 8.0
"""Standard deviations beyond which an input is clamped, as the ranker does."""
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)


def auc(scores: Doubles, labels: np.ndarray, weights: Doubles | None = None) -> float:
    """Chance that a positive scores above a negative, ties counting half; float64 [Q], bool [Q], weights [Q].

    NaN when the weights leave only one class.
    """
    weights = np.ones(len(scores)) if weights is None else weights
    _, group = np.unique(scores, return_inverse=True)
    positive = np.bincount(group, weights=weights * labels)
    negative = np.bincount(group, weights=weights * ~labels)
    below = np.cumsum(negative) - negative
    pairs = positive.sum() * negative.sum()
    return float((positive * (below + negative / 2)).sum() / pairs) if pairs else float("nan")


def auc_interval(
    scores: Doubles, labels: np.ndarray, users: IntArray, seed: int, *, other: Doubles | None = None
) -> Interval:
    """95 % bootstrap interval over users of the AUC, or of the AUC minus that of `other` scores."""
    draw = np.random.default_rng(seed)
    codes = np.unique(users, return_inverse=True)[1]
    count = int(codes.max()) + 1
    both = (scores,) if other is None else (scores, other)
    values = []
    for _ in range(RESAMPLES):
        weights = np.bincount(draw.integers(0, count, count), minlength=count)[codes].astype(np.float64)
        values.append(_difference([auc(one, labels, weights) for one in both]))
    low, high = np.nanquantile(values, [0.025, 0.975])
    return Interval(_difference([auc(one, labels) for one in both]), float(low), float(high))


def _difference(values: list[float]) -> float:
    return values[0] - values[1] if len(values) > 1 else values[0]


def log_odds(probabilities: Doubles) -> Doubles:
    """float64 [Q]; probabilities are kept a little away from 0 and 1."""
    kept = np.clip(probabilities.astype(np.float64), SMALLEST, 1 - SMALLEST)
    return np.asarray(np.log(kept) - np.log1p(-kept))


@dataclass(frozen=True)
class Regression:
    """Logistic regression on standardised inputs."""

    mean: Doubles
    """float64 [F]"""
    scale: Doubles
    """float64 [F]"""
    weights: Doubles
    """float64 [F]"""
    intercept: float

    def log_odds(self, features: Doubles) -> Doubles:
        """float64 [Q] for float64 [Q, F]."""
        return np.asarray(_standardised(features, self.mean, self.scale) @ self.weights + self.intercept)


def fit_regression(features: Doubles, labels: np.ndarray, users: IntArray, seed: int) -> Regression:
    """The regression whose penalty, of `PENALTIES`, predicts a held-out fifth of the users best, fitted on all."""
    codes = np.unique(users, return_inverse=True)[1]
    held_out = np.random.default_rng(seed).permutation(int(codes.max()) + 1)[codes] % 5 == 0
    losses = []
    for penalty in PENALTIES:
        line = regression_of(features[~held_out], labels[~held_out], penalty).log_odds(features[held_out])
        losses.append(float((np.logaddexp(0, line) - labels[held_out] * line).sum()))
    return regression_of(features, labels, PENALTIES[int(np.argmin(losses))])


def regression_of(features: Doubles, labels: np.ndarray, penalty: float) -> Regression:
    """Least mean logistic loss plus half `penalty` times the squared weights; L-BFGS in double precision."""
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    inputs = torch.from_numpy(_standardised(features, mean, scale))
    targets = torch.from_numpy(labels.astype(np.float64))
    weights = torch.zeros(features.shape[1], dtype=torch.float64, requires_grad=True)
    intercept = torch.zeros((), dtype=torch.float64, requires_grad=True)
    fit = torch.optim.LBFGS(
        [weights, intercept], max_iter=500, tolerance_grad=1e-9, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        fit.zero_grad()
        line = inputs @ weights + intercept
        value = torch.nn.functional.binary_cross_entropy_with_logits(line, targets) + penalty / 2 * (weights**2).sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    fit.step(loss)  # type: ignore[no-untyped-call]
    return Regression(mean, scale, weights.detach().numpy(), float(intercept.detach()))


def _standardised(features: Doubles, mean: Doubles, scale: Doubles) -> Doubles:
    return np.asarray(np.clip((features - mean) / scale, -BOUND, BOUND))
