"""One pointer to the live bundle: promoted, rolled back, never half written."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from features.errors import BundleError
from serving.lifecycle.decisions import DECISIONS, Decision, decisions, newest_about, record
from serving.lifecycle.registry import (
    Pointer,
    end,
    promote,
    promote_canary,
    promote_shadow,
    read_pointer,
    rollback,
)

KEY_CHARACTERS = 32


@pytest.fixture
def bundles(tmp_path: Path, readable: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two directories that stand for bundles; that they are verified is the bundle tests' matter."""
    monkeypatch.setattr("serving.lifecycle.registry.verify_bundle", lambda path: {"fingerprint": path.name})
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    return first, second


def test_promote_then_rollback_then_rollback_again(tmp_path: Path, bundles: tuple[Path, Path]) -> None:
    first, second = bundles
    registry = tmp_path / "registry"
    assert promote(first, registry).previous is None
    assert promote(second, registry) == Pointer(second, first)
    assert rollback(registry) == Pointer(first, second)
    assert read_pointer(registry).live == first
    assert rollback(registry).live == second


def test_promoting_the_live_bundle_again_keeps_the_previous_one(tmp_path: Path, bundles: tuple[Path, Path]) -> None:
    first, second = bundles
    registry = tmp_path / "registry"
    promote(first, registry)
    promote(second, registry)
    assert promote(second, registry).previous == first


@pytest.fixture
def readable(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What each bundle, by its name, no longer reads; nothing at first."""
    unread: dict[str, list[str]] = {}

    def dataset(path: Path) -> Any:
        return SimpleNamespace(no_longer_read=lambda before: unread.get(path.name, []))

    monkeypatch.setattr("serving.lifecycle.registry.dataset_of", dataset)
    return unread


def test_canary_and_shadow_stand_beside_live_and_a_bundle_has_one_place(
    tmp_path: Path, bundles: tuple[Path, Path], readable: Any
) -> None:
    first, second = bundles
    registry = tmp_path / "registry"
    promote(first, registry)
    canary = promote_canary(second, registry, 0.1).canary
    assert canary is not None
    assert (canary.bundle, canary.split.share, len(canary.split.key)) == (second, 0.1, KEY_CHARACTERS)
    assert read_pointer(registry) == Pointer(first, None, canary, None)
    assert read_pointer(registry).bundles == [first, second]
    grown = promote_canary(second, registry, 1).canary
    assert grown == canary._replace(split=canary.split._replace(share=1.0)), "a larger share keeps its people"
    assert promote_shadow(second, registry) == Pointer(first, None, None, second)
    again = promote_canary(second, registry, 0.1).canary
    assert again is not None
    assert again.split.key != canary.split.key, "a new canary is tried out on others"
    assert promote(second, registry) == Pointer(second, first)


def test_a_promotion_leaves_another_canary_and_the_shadow_as_they_are(
    tmp_path: Path, bundles: tuple[Path, Path], readable: Any
) -> None:
    first, second = bundles
    registry, third, fourth = tmp_path / "registry", tmp_path / "third", tmp_path / "fourth"
    promote(first, registry)
    before = promote_canary(third, registry, 0.2)
    promote_shadow(fourth, registry)
    assert promote(second, registry) == Pointer(second, first, before.canary, fourth)
    assert end("shadow", registry) == Pointer(second, first, before.canary)
    promote_shadow(fourth, registry)
    assert end("canary", registry) == Pointer(second, first, None, fourth)
    promote_canary(third, registry, 0.2)
    assert rollback(registry) == Pointer(first, second), "the way back takes everything beside live away"


def test_a_rollback_without_a_previous_bundle_ends_canary_and_shadow(
    tmp_path: Path, bundles: tuple[Path, Path], readable: Any
) -> None:
    registry = tmp_path / "registry"
    promote(bundles[0], registry)
    promote_shadow(bundles[1], registry)
    assert rollback(registry) == Pointer(bundles[0])
    with pytest.raises(BundleError, match="no previous bundle"):
        rollback(registry)
    for place in ("canary", "shadow"):
        with pytest.raises(BundleError, match=f"knows no {place}"):
            end(place, registry)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), True])
def test_a_share_that_is_none_is_told(tmp_path: Path, bundles: tuple[Path, Path], readable: Any, share: float) -> None:
    registry = tmp_path / "registry"
    promote(bundles[0], registry)
    with pytest.raises(BundleError, match="a share of people is from 0 to 1"):
        promote_canary(bundles[1], registry, share)
    assert read_pointer(registry) == Pointer(bundles[0])
    content = {"live": "a", "previous": None, "canary": {"bundle": "b", "share": share, "key": "00"}}
    (registry / "registry.json").write_text(json.dumps(content))
    with pytest.raises(BundleError, match="a share of people is from 0 to 1"):
        read_pointer(registry)


def test_nothing_stands_beside_what_is_not_live(tmp_path: Path, bundles: tuple[Path, Path], readable: Any) -> None:
    first, _ = bundles
    registry = tmp_path / "registry"
    with pytest.raises(BundleError, match="no bundle is live"):
        promote_shadow(first, registry)
    with pytest.raises(BundleError, match="no bundle is live"):
        promote_canary(first, registry, 0.1)
    assert not registry.exists()
    promote(first, registry)
    with pytest.raises(BundleError, match="is the live bundle itself"):
        promote_shadow(first, registry)
    with pytest.raises(BundleError, match="is the live bundle itself"):
        promote_canary(first, registry, 0.1)


def test_a_canary_of_another_schema_is_not_taken(tmp_path: Path, bundles: tuple[Path, Path], readable: Any) -> None:
    registry = tmp_path / "registry"
    promote(bundles[0], registry)
    readable["second"] = ["event type purchase"]
    with pytest.raises(BundleError, match="does not read what the live bundle reads: event type purchase"):
        promote_canary(bundles[1], registry, 0.1)
    assert promote_shadow(bundles[1], registry).shadow == bundles[1], "who answers nobody fails nobody"


def test_a_bundle_of_another_schema_goes_live_only_by_force(
    tmp_path: Path, bundles: tuple[Path, Path], readable: Any
) -> None:
    first, second = bundles
    registry = tmp_path / "registry"
    readable["second"] = ["event type purchase"]
    assert promote(second, registry).live == second, "the first of all disappoints nobody"
    promote(first, registry)
    with pytest.raises(BundleError, match="does not read what the live bundle reads: event type purchase"):
        promote(second, registry)
    assert read_pointer(registry).live == first
    assert promote(second, registry, force=True, why="nobody sells any more").live == second
    promote(first, registry)
    first.rmdir()
    assert promote(second, registry).live == second, "of a live bundle that is gone nobody can ask"


def test_the_gate_is_asked_of_a_canary_not_of_a_shadow_and_a_trial_overrules_nothing(
    tmp_path: Path, bundles: tuple[Path, Path], readable: Any
) -> None:
    first, second = bundles
    registry = tmp_path / "registry"
    promote(first, registry)
    record(Decision("refused", str(second), "second", ("accuracy",)), registry)
    promote_shadow(second, registry, why="to see what it does")
    for force in (False, True):
        if force:
            promote_canary(second, registry, 0.01, force=True, why="with care")
        else:
            with pytest.raises(BundleError, match="the gate refused"):
                promote_canary(second, registry, 0.01)
        with pytest.raises(BundleError, match="the gate refused"):
            promote(second, registry)
    end("canary", registry)
    told = [(one.action, one.why, one.forced) for one in decisions(registry)[2:]]
    assert told == [
        ("shadow", ("to see what it does",), False),
        ("canary", ("share 0.01: with care",), True),
        ("ended", ("as canary",), False),
    ]


@pytest.mark.parametrize(
    "beside", [{"canary": {"bundle": "b", "share": 0.1}}, {"canary": {"bundle": "b", "share": 0.1, "key": "no"}}]
)
def test_a_registry_with_a_broken_canary_is_told(tmp_path: Path, beside: dict[str, Any]) -> None:
    (tmp_path / "registry.json").write_text(json.dumps({"live": "a", "previous": None, **beside}))
    with pytest.raises(BundleError, match="not a registry"):
        read_pointer(tmp_path)


def test_a_pointer_from_before_there_were_canaries_is_read(tmp_path: Path) -> None:
    (tmp_path / "registry.json").write_text('{"live": "a", "previous": "b"}')
    assert read_pointer(tmp_path) == Pointer(Path("a"), Path("b"))


def test_nothing_to_roll_back_to(tmp_path: Path, bundles: tuple[Path, Path]) -> None:
    promote(bundles[0], tmp_path / "registry")
    with pytest.raises(BundleError, match="no previous bundle"):
        rollback(tmp_path / "registry")


def test_no_registry_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="tailorbird promote"):
        read_pointer(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"previous": None})])
def test_a_file_that_is_no_registry(tmp_path: Path, content: str) -> None:
    (tmp_path / "registry.json").write_text(content)
    with pytest.raises(BundleError, match="not a registry"):
        read_pointer(tmp_path)


def test_a_path_that_is_no_bundle_is_not_promoted(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle"):
        promote(tmp_path, tmp_path / "registry")
    assert not (tmp_path / "registry").exists()


def test_what_the_gate_refused_is_promoted_only_by_force_and_with_a_reason(
    tmp_path: Path, bundles: tuple[Path, Path]
) -> None:
    first, second = bundles
    registry = tmp_path / "registry"
    promote(first, registry)
    record(Decision("refused", str(second), "second", ("accuracy: 0.1 beside 0.3",)), registry)
    with pytest.raises(BundleError, match=r"accuracy: 0\.1 beside 0\.3.*--force --why"):
        promote(second, registry)
    with pytest.raises(BundleError, match="without a reason"):
        promote(second, registry, force=True, why=" ")
    assert read_pointer(registry).live == first
    assert promote(second, registry, force=True, why="the slice was a holiday").live == second
    told = newest_about("second", registry)
    assert told is not None
    assert (told.action, told.forced, told.why) == ("promoted", True, ("the slice was a holiday",))
    promote(first, registry)
    assert promote(second, registry).live == second, "whoever forced it overruled the gate"


def test_every_decision_is_recorded_and_a_torn_line_is_passed_over(tmp_path: Path, bundles: tuple[Path, Path]) -> None:
    registry = tmp_path / "registry"
    promote(bundles[0], registry)
    with (registry / DECISIONS).open("a", encoding="utf-8") as file:
        file.write('{"action": "promo')
    promote(bundles[1], registry)
    rollback(registry)
    told = [(one.action, one.fingerprint) for one in decisions(registry)]
    assert told == [("promoted", "first"), ("promoted", "second"), ("rolled_back", "first")]
    assert all(one.moment.endswith("+00:00") for one in decisions(registry))


def test_a_decision_is_whole_on_a_disk_that_takes_it_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = os.write
    monkeypatch.setattr(os, "write", lambda file, content: written(file, content[:7]))
    record(Decision("promoted", "/a/bundle", "first", ("good",)), tmp_path)
    assert [one.fingerprint for one in decisions(tmp_path)] == ["first"]
