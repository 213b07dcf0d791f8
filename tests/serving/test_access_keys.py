"""API keys and rates, without HTTP."""

import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import ConfigError
from serving.access import keys
from serving.access.keys import environment_line, found, keys_from_environment, new_key
from serving.access.limits import MOST_CALLERS, Limits
from serving.access.scopes import SCOPES

KEY = new_key(["events", "recommend"], 5, name="the web shop", expires=99, rate=2.5, burst=4)
HELD = {KEY.stored.key_id: KEY.stored}


def test_a_key_is_known_by_its_text_alone() -> None:
    assert found(HELD, KEY.text) == KEY.stored
    assert KEY.stored.scopes == ("recommend", "events")
    assert KEY.stored.digest == hashlib.sha256(KEY.text.encode()).digest()
    secret = KEY.text.split("_", 2)[2]
    assert secret not in repr(KEY.stored)


LAST = "A" if KEY.text[-1] != "A" else "B"
NO_KEYS = {
    "nothing": "",
    "a beginning": "tb_",
    "too short": KEY.text[:-1],
    "too long": KEY.text + "A",
    "in capitals": KEY.text.upper(),
    "with a space": f" {KEY.text}",
    "of another form": KEY.text.replace("tb_", "tb-"),
    "one character off": KEY.text[:-1] + LAST,
    "another key": new_key(["admin"], 5).text,
    "other letters": "ż" * 60,
}


@pytest.mark.parametrize("text", NO_KEYS.values(), ids=NO_KEYS)
def test_nothing_else_is_that_key(text: str) -> None:
    assert found(HELD, text) is None


def test_a_secret_of_one_key_does_not_go_with_the_id_of_another() -> None:
    other = new_key(["admin"], 5)
    mixed = f"tb_{KEY.stored.key_id}_{other.text.split('_', 2)[2]}"
    assert found({**HELD, other.stored.key_id: other.stored}, mixed) is None


def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[Any, Any]] = []

    def compare(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert keys.found(HELD, KEY.text) is None, "nothing but this comparison decides"
    assert compared == [(KEY.stored.digest, KEY.stored.digest)]


@pytest.mark.parametrize("scopes", [[], ["everything"], ["admin", "root"]])
def test_a_scope_that_does_not_exist_is_named(scopes: list[str]) -> None:
    with pytest.raises(ConfigError, match="scope") as told:
        new_key(scopes, 5)
    assert str(SCOPES[0]) in (told.value.hint or "")


def test_keys_come_from_the_environment() -> None:
    others = new_key(["admin"], 5)
    text = f"{environment_line(KEY.stored)}, {environment_line(others.stored)},"
    first, second = keys_from_environment(text)
    assert found({first.key_id: first}, KEY.text) == first
    assert (first.scopes, second.scopes) == (KEY.stored.scopes, ("admin",))
    assert keys_from_environment("") == []


@pytest.mark.parametrize(
    "text",
    ["secret", "a:b:c", KEY.text, environment_line(KEY.stored)[:-1]],
    ids=["a word", "three words", "a key", "a line cut short"],
)
def test_an_environment_that_holds_no_keys_is_told_without_repeating_it(text: str) -> None:
    good = environment_line(new_key(["admin"], 5).stored)
    with pytest.raises(ConfigError, match="the key at place 2") as told:
        keys_from_environment(f"{good},{text}")
    assert text not in str(told.value)
    with pytest.raises(ConfigError, match="no scope root"):
        keys_from_environment(good.replace("admin", "root"))


def reference(moments: list[float], rate: float, burst: int) -> list[bool]:
    """A bucket of tokens, filled little by little: slow and plain."""
    level, last, taken = float(burst), 0.0, []
    for moment in moments:
        level, last = min(burst, level + (moment - last) * rate), moment
        taken.append(level >= 1 - 1e-6)
        level -= 1 if taken[-1] else 0
    return taken


@given(
    st.lists(st.integers(0, 40), max_size=60),
    st.sampled_from([0.5, 1.0, 4.0, 10.0]),
    st.integers(1, 5),
)
def test_a_rate_is_kept_as_a_token_bucket_keeps_it(gaps: list[int], rate: float, burst: int) -> None:
    """Gaps in eighths of a second, so that no sum of them is rounded."""
    moments = [sum(gaps[: place + 1]) / 8 for place in range(len(gaps))]
    clock = iter(moments)
    limits = Limits(lambda: next(clock))
    assert [limits.wait("a", rate, burst) == 0 for _ in moments] == reference(moments, rate, burst)


def test_whoever_waits_as_long_as_told_is_answered() -> None:
    now = 100.0
    limits = Limits(lambda: now)
    assert [limits.wait("a", 2, 3) for _ in range(4)] == [0, 0, 0, 0.5]
    assert limits.wait("b", 2, 3) == 0, "others are counted for themselves"
    now += 0.5
    assert limits.wait("a", 2, 3) == 0
    assert limits.wait("a", 2, 3) == 0.5


def test_memory_does_not_grow_with_the_number_of_callers() -> None:
    limits = Limits(lambda: 0.0)
    for number in range(MOST_CALLERS + 5):
        limits.wait(str(number), 1, 1)
    assert limits.wait(str(MOST_CALLERS), 1, 1) > 0
    assert limits.wait("0", 1, 1) == 0, "who did not come for longest is forgotten"
