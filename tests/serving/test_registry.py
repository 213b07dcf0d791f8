"""One pointer to the live bundle: promoted, rolled back, never half written."""

import json
from pathlib import Path

import pytest

from features.errors import BundleError
from serving.lifecycle.decisions import DECISIONS, Decision, decisions, newest_about, record
from serving.lifecycle.registry import Pointer, promote, read_pointer, rollback


@pytest.fixture
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
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
