"""Who is answered by a canary: always the same people, as many as the share says, chosen anew by another key."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.desk.assignment import Split, new_key

KEY = "00112233445566778899aabbccddeeff"
PEOPLE = [f"user-{number}" for number in range(4_000)]


def taken(share: float, key: str = KEY) -> set[str]:
    split = Split(share, key)
    return {one for one in PEOPLE if split.takes(one, None)}


@given(st.floats(0, 1))
def test_as_many_as_the_share_says(share: float) -> None:
    """Five standard deviations of a binomial draw, and one person for rounding."""
    allowed = 5 * (share * (1 - share) / len(PEOPLE)) ** 0.5 + 1 / len(PEOPLE)
    assert len(taken(share)) / len(PEOPLE) == pytest.approx(share, abs=allowed)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_keeps_everybody(one: float, other: float) -> None:
    assert taken(min(one, other)) <= taken(max(one, other))


def test_another_key_takes_others() -> None:
    both = taken(0.1) & taken(0.1, new_key())
    assert len(both) / len(PEOPLE) < 0.03


def test_a_visitor_is_not_the_user_of_the_same_id_and_nobody_is_never_taken() -> None:
    split = Split(0.5, KEY)
    assert [split.takes(one, None) for one in PEOPLE] != [split.takes(None, one) for one in PEOPLE]
    assert not Split(1.0, KEY).takes(None, None)
    assert Split(1.0, KEY).takes(None, "x")
    assert not Split(0.0, KEY).takes("x", None)


def test_the_user_decides_where_both_ids_are_given() -> None:
    split = Split(0.5, KEY)
    assert all(split.takes(one, "cookie") == split.takes(one, None) for one in PEOPLE)


def test_another_process_says_the_same() -> None:
    """Python's own hash would not: it is salted anew in each."""
    code = (
        f"from serving.desk.assignment import Split; split = Split(0.5, {KEY!r})\n"
        "for one in range(50): print(split.takes(f'user-{one}', None))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    split = Split(0.5, KEY)
    assert ran.stdout.split() == [str(split.takes(one, None)) for one in PEOPLE[:50]]
