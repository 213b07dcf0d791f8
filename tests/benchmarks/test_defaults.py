"""The untouched configuration beside a tuned one: the same people, their ratio, and an interval."""

import click
import numpy as np
import pytest

from benchmarks.accuracy.defaults import SYSTEMS, Figures, compared

USERS = [f"u{number}" for number in range(200)]


def reached(figure: float, users: list[str] = USERS, k: int = 10) -> Figures:
    draw = np.random.default_rng(1).normal(figure, 0.01, len(users))
    return Figures(users, dict.fromkeys(SYSTEMS, draw), k, 3.0)


def test_the_ratio_is_that_of_the_means() -> None:
    result = compared(reached(0.19), reached(0.2))
    assert result["users"] == 200
    for name in SYSTEMS:
        one = result[name]
        assert one["ratio"] == pytest.approx(0.95, abs=0.001)
        assert one["tuned_minus_default"]["mean"] == pytest.approx(0.01)
        assert one["tuned_minus_default"]["low"] > 0


def test_where_nothing_is_reached_nothing_is_lost() -> None:
    nothing = Figures(USERS, {name: np.zeros(200) for name in SYSTEMS}, 10, 3.0)
    assert {compared(nothing, nothing)[name]["ratio"] for name in SYSTEMS} == {1.0}


@pytest.mark.parametrize("other", [reached(0.2, USERS[:100]), reached(0.2, k=20)], ids=["people", "length"])
def test_other_people_or_lists_are_refused(other: Figures) -> None:
    with pytest.raises(click.ClickException, match="only settings may differ"):
        compared(reached(0.2), other)
