"""The strength of personalization: the more of it, the further from the non-personal list, never back."""

from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.ranking.strength import blended

_SCORES = st.lists(
    st.tuples(*[st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(-1e3, 1e3))] * 2, st.booleans(), st.booleans()),
    min_size=2,
    max_size=12,
)


Parts: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def parts(rows: Any) -> Parts:
    first, second, mine, theirs = (np.array(column) for column in zip(*rows, strict=True))
    return first, mine, second, theirs


def order(*parts: np.ndarray, strength: float) -> list[int]:
    personal, brought, plain, plain_brought = parts
    blend = blended(personal, brought, plain, plain_brought, strength)
    assert len(set(blend.tolist())) == len(blend)
    return [int(one) for one in np.argsort(-blend, kind="stable")]


def tau(first: list[int], second: list[int]) -> int:
    """Pairs in the same order minus those in the other: Kendall's tau, but for a factor."""
    place = {one: at for at, one in enumerate(second)}
    pairs = [(a, b) for at, a in enumerate(first) for b in first[at + 1 :]]
    return sum(1 if place[a] < place[b] else -1 for a, b in pairs)


@given(_SCORES, st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_overlap_and_tau_with_the_non_personal_list_never_rise(rows: Any, strengths: list[float]) -> None:
    given = parts(rows)
    plain = order(*given, strength=0.0)
    lists = [plain, *(order(*given, strength=one) for one in sorted(strengths)), order(*given, strength=1.0)]
    for weaker, stronger in pairwise(lists):
        assert tau(plain, stronger) <= tau(plain, weaker)
        for k in range(1, len(plain) + 1):
            assert len({*plain[:k]} & {*stronger[:k]}) <= len({*plain[:k]} & {*weaker[:k]})


@given(_SCORES)
def test_the_ends_are_the_two_lists(rows: Any) -> None:
    personal, mine, plain, theirs = parts(rows)
    first = order(personal, mine, plain, theirs, strength=0.0)
    assert first == np.lexsort((-plain, ~theirs)).tolist()
    last = order(personal, mine, plain, theirs, strength=1.0)
    span = float(np.ptp(personal[mine])) if mine.any() else 0.0
    for better, worse in pairwise(last):
        assert mine[better] or not mine[worse]
        if mine[better] and mine[worse]:
            assert personal[better] >= personal[worse] - span * 1e-8
