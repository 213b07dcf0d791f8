"""The latent space in which tastes and items live, and the words for its axes.

U people, I items, D axes. A person's taste and an item's vector are float64 [D]; their product is what the
person likes in the item. Each axis has two words, which titles and tags use, so that content tells of taste.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

RealArray: TypeAlias = npt.NDArray[np.float64]

AXES = (
    ("quiet", "loud"),
    ("classic", "modern"),
    ("dark", "bright"),
    ("slow", "swift"),
    ("rugged", "elegant"),
    ("small", "grand"),
    ("playful", "serious"),
    ("local", "exotic"),
)
DIMENSIONS = len(AXES)


def stream(seed: int, *names: int) -> np.random.Generator:
    """A generator of its own for each concern, so that one may draw more without moving the others."""
    return np.random.default_rng([seed, *names])


def strongest_words(vectors: RealArray, count: int) -> list[list[str]]:
    """The words of each vector's `count` strongest axes, strongest first: float64 [I, D] -> I lists."""
    axes = np.argsort(-np.abs(vectors), axis=1, kind="stable")[:, :count]
    bright = np.take_along_axis(vectors, axes, axis=1) > 0
    return [[AXES[a][int(b)] for a, b in zip(*row, strict=True)] for row in zip(axes, bright, strict=True)]
