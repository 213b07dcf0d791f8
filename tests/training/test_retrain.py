"""What `tailorbird retrain` does when there is nothing to do, or something in the way; trainings are in tests/slow."""

import errno
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import tailorbird
from features.errors import BundleError, ConfigError, DataError
from serving.lifecycle.lock import only_one
from serving.lifecycle.registry import REGISTRY, promote, read_pointer
from serving.remote.place import place_of
from serving.state import open_state
from training.config import read_training_config
from training.retrain import retrain as retraining
from training.retrain.attempts import Attempt, attempts, tidy
from training.retrain.partitions import Partition
from training.retrain.retrain import Exit, retrain

FILE = Partition("events", "/log/1.parquet", "ab")


def begun(runs: Path, **content: Any) -> Attempt:
    usual = {"partitions": (FILE,), "settings": "s", "kind": "full", "why": "first", "live": None, "since_full": 0}
    return Attempt.begin(runs, **{**usual, **content})


@pytest.fixture
def config(trained: Any, tmp_path: Path) -> Path:
    """The trained world's config with a gate that wants more moments than there are: nothing is ever trained."""
    path: Path = trained.config_path.with_name("retrain.yaml")
    content = yaml.safe_load(trained.config_path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**content, "gate": {"least_moments": 100_000}}), encoding="utf-8")
    return path


def test_a_step_that_is_over_is_not_done_again(tmp_path: Path) -> None:
    attempt = begun(tmp_path)
    calls = []

    def work() -> dict[str, Any]:
        calls.append(1)
        return {"bundle": "b"}

    assert attempt.once("train", work) == attempt.once("train", work) == {"bundle": "b"}
    assert len(calls) == 1
    (again,) = attempts(tmp_path)
    assert again == attempt
    assert again.done("train") == {"bundle": "b"}
    assert again.done("judge") is None


def test_numbers_go_on_also_past_deleted_runs_and_a_thousand(tmp_path: Path) -> None:
    for _ in range(2):
        begun(tmp_path)
    (tmp_path / "9999").mkdir()
    (tmp_path / "9999" / "attempt.json").write_text((tmp_path / "0001" / "attempt.json").read_text(encoding="utf-8"))
    assert begun(tmp_path).number == 10_000
    assert [one.number for one in attempts(tmp_path)] == [1, 2, 9999, 10_000]


def test_the_disk_stays_bounded_but_what_is_live_stays(tmp_path: Path) -> None:
    found = [begun(tmp_path) for _ in range(5)]
    live = found[0].folder / "publishing" / "bundle"
    live.mkdir(parents=True)
    for one in found:
        (one.folder / "training" / "stages").mkdir(parents=True)
        one.finish("decide", {"decision": "refused", "bundle": "b"})
    assert tidy(tmp_path, 2, [live]) == [2, 3]
    assert [one.number for one in attempts(tmp_path)] == [1, 4, 5]
    assert live.exists()
    assert not list(tmp_path.glob("*/training/stages"))


def test_beside_another_run_nothing_is_done(config: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    with only_one(runs / "lock") as ours:
        assert ours
        outcome = retrain(config, runs, tmp_path / "registry")
    assert outcome.exit == Exit.BUSY
    assert attempts(runs) == []


def test_too_few_events_wait_and_the_next_call_says_so_at_once(config: Path, tmp_path: Path) -> None:
    told: list[str] = []
    outcome = retrain(config, tmp_path / "runs", tmp_path / "registry", told.append)
    assert outcome.exit == Exit.NOTHING_NEW
    assert "to judge takes 100000" in outcome.line
    assert told == ["run 1: check"]
    again = retrain(config, tmp_path / "runs", tmp_path / "registry", told.append)
    assert again.exit == Exit.NOTHING_NEW
    assert again.line.startswith("nothing new: the 5 files are those of run 1")
    assert len(told) == 1
    assert not (tmp_path / "registry" / REGISTRY).exists()


def test_exit_codes_of_the_command(config: Path, tmp_path: Path) -> None:
    arguments = [
        "retrain",
        "--config",
        str(config),
        "--runs",
        str(tmp_path / "runs"),
        "--registry",
        str(tmp_path / "r"),
    ]
    run = CliRunner().invoke(tailorbird.main, arguments)
    assert run.exit_code == 4, run.output
    assert "nothing new enough" in run.output
    wrong = CliRunner().invoke(tailorbird.main, ["retrain", "--config", str(tmp_path / "none.yaml")])
    assert wrong.exit_code == 1
    assert len({*Exit, 1, 2}) == len(Exit) + 2


def test_a_registry_that_points_nowhere_is_one_clear_error(config: Path, tmp_path: Path) -> None:
    registry = tmp_path / "registry"
    registry.mkdir()
    (registry / REGISTRY).write_text(json.dumps({"live": str(tmp_path / "gone"), "previous": None}))
    with pytest.raises(BundleError, match="which is not there"):
        retrain(config, tmp_path / "runs", registry)
    assert attempts(tmp_path / "runs") == []


def test_a_full_disk_says_so_and_is_gone_on_from(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(retraining, "checked_tables", full)
        with pytest.raises(DataError, match=r"disk of .* is full"):
            retrain(config, tmp_path / "runs", tmp_path / "registry")
    told: list[str] = []
    assert retrain(config, tmp_path / "runs", tmp_path / "registry", told.append).exit == Exit.NOTHING_NEW
    assert told[0] == "going on with run 1, which was broken off"


def test_another_failure_of_the_disk_is_not_called_a_full_one(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(retraining, "checked_tables", broken)
    with pytest.raises(OSError, match="Input/output"):
        retrain(config, tmp_path / "runs", tmp_path / "registry")


def test_tables_that_fail_the_check_are_tried_anew_when_something_changed(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: Any) -> Any:
        raise DataError("events lie in the future")

    with monkeypatch.context() as patched:
        patched.setattr(retraining, "checked_tables", wrong)
        for _ in range(2):
            with pytest.raises(DataError, match="future"):
                retrain(config, tmp_path / "runs", tmp_path / "registry")
    (attempt,) = attempts(tmp_path / "runs")
    assert attempt.failed
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    config.write_text(yaml.safe_dump({**content, "seed": 9}), encoding="utf-8")
    retrain(config, tmp_path / "runs", tmp_path / "registry")
    assert [one.number for one in attempts(tmp_path / "runs")] == [1, 2]


@pytest.mark.parametrize(
    ("change", "since", "kind", "why"),
    [
        ({"full_every": 5}, 0, "warm", "from"),
        ({"full_every": 5}, 4, "full", "one of 5 runs is"),
        ({"full_every": 1}, 0, "full", "retrain.full_every is 1"),
    ],
)
def test_every_so_many_runs_is_a_full_training(
    trained: Any, config: Path, tmp_path: Path, change: dict[str, int], since: int, kind: str, why: str
) -> None:
    promote(trained.bundle, tmp_path / "registry")
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    config.write_text(yaml.safe_dump({**content, "retrain": change}), encoding="utf-8")
    begun(tmp_path / "runs", since_full=since).finish("decide", {"decision": "promoted", "bundle": "b"})
    assert retrain(config, tmp_path / "runs", tmp_path / "registry").exit == Exit.NOTHING_NEW
    newest = attempts(tmp_path / "runs")[-1]
    assert newest.kind == kind
    assert newest.why.startswith(why)
    assert newest.live == str(read_pointer(tmp_path / "registry").live)
    assert newest.since_full == (since + 1 if kind == "warm" else 0)


def test_after_a_refusal_the_next_training_is_a_full_one(trained: Any, config: Path, tmp_path: Path) -> None:
    promote(trained.bundle, tmp_path / "registry")
    begun(tmp_path / "runs").finish("decide", {"decision": "refused", "bundle": "b"})
    retrain(config, tmp_path / "runs", tmp_path / "registry")
    assert attempts(tmp_path / "runs")[-1].why == "run 1 was refused"


def test_a_partition_that_is_half_written_is_named_and_waits(trained: Any, config: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    content["dataset"]["events"]["path"] = str(tmp_path / "events-*.parquet")
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    whole = (trained.config_path.parent / "events.parquet").read_bytes()
    (tmp_path / "events-1.parquet").write_bytes(whole)
    (tmp_path / "events-2.parquet").write_bytes(whole[:5000])
    told: list[str] = []
    retrain(config, tmp_path / "runs", tmp_path / "registry", told.append)
    assert told[0] == f"left for the next time, not whole yet: {tmp_path / 'events-2.parquet'}"
    (attempt,) = attempts(tmp_path / "runs")
    assert [Path(one.path).name for one in attempt.partitions if one.table == "events"] == ["events-1.parquet"]


def test_a_table_without_a_whole_file_is_an_error(config: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    config.write_text(yaml.safe_dump({**content, "retrain": {"marker": "_SUCCESS"}}), encoding="utf-8")
    with pytest.raises(ConfigError, match="_SUCCESS beside them"):
        retrain(config, tmp_path / "runs", tmp_path / "registry")


def test_who_changes_the_live_bundle_meanwhile_makes_the_judgement_void(
    trained: Any, config: Path, tmp_path: Path
) -> None:
    promote(trained.bundle, tmp_path / "registry")
    settings, base = read_training_config(config)
    this = retraining.Retraining(settings, base, tmp_path / "runs", place_of(tmp_path / "registry"), lambda _: None)
    steps = retraining._Steps(this, begun(tmp_path / "runs", live=str(tmp_path / "before")))
    with pytest.raises(BundleError, match="Call it again"):
        steps._promote(tmp_path / "candidate")


def test_what_was_decided_stands_in_the_audit_log_too(trained: Any, config: Path, tmp_path: Path) -> None:
    settings, base = read_training_config(config)
    url, registry = f"sqlite:///{tmp_path}/state.db", tmp_path / "registry"
    this = retraining.Retraining(settings, base, tmp_path / "runs", place_of(registry), lambda _: None, url)
    steps = retraining._Steps(this, begun(tmp_path / "runs"))
    steps._refuse(trained.bundle, ["accuracy: worse"])
    with pytest.raises(BundleError, match="the gate refused"):
        steps._promote(trained.bundle)
    with closing(open_state(url)) as state:
        told = state.audit_log.after(0)
    assert [(one.action, one.detail["by"]) for one in told] == [("refuse", "retrain"), ("promote", "retrain")]
    assert told[0].detail["why"] == "accuracy: worse"
    assert told[0].detail["bundle"] == str(trained.bundle)
