"""An address that is looked at again and again: one process does it for all workers."""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from features.errors import RegistryError
from serving.lifecycle.registry import REGISTRY, read_pointer
from serving.remote.cache import Cache
from serving.remote.follower import look_once, trouble_of
from serving.remote.following import Follower, fetch_registry
from serving.remote.settings import CacheConfig
from tests.serving.remote.machines import Machines

START_SECONDS = 90


def test_an_address_that_does_not_answer_keeps_what_was_fetched(
    nobody: str, tmp_path: Path, new_bundle: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RegistryError, match="did not answer") as told:
        fetch_registry(nobody, tmp_path / "empty", CacheConfig())
    assert "secret" not in str(told.value)
    machines = Machines(f"file://{tmp_path}/address", tmp_path)
    machines.promote(new_bundle("one"))
    machines.served()
    fetch_registry(nobody, machines.cache.folder, CacheConfig())
    assert "what was fetched before is served" in caplog.text
    trouble = trouble_of(machines.cache.folder)
    assert trouble is not None
    assert "did not answer" in trouble
    assert look_once(nobody, machines.cache.folder, 1, suspicious=False) is not None
    assert trouble_of(machines.cache.folder) == trouble
    fetch_registry(f"file://{tmp_path}/address", machines.cache.folder, CacheConfig())
    assert trouble_of(machines.cache.folder) is None


def test_one_process_follows_for_all_workers_and_ends_with_its_own(
    tmp_path: Path, new_bundle: Callable[[str], Path], nobody: str
) -> None:
    url = f"file://{tmp_path}/address"
    machines = Machines(url, tmp_path)
    machines.promote(new_bundle("first"))
    machines.served()
    config = CacheConfig(poll_seconds=0.1)
    workers = [Follower(url, machines.cache.folder, config) for _ in range(2)]
    for expected in ("second", "third"):
        for one in workers:
            one.look()
        named = machines.promote(new_bundle(expected)).live.name
        until(partial(served_is, machines.cache.folder, named))
        workers.pop(0).stop()
    (tmp_path / "address" / REGISTRY).write_text("{")
    last = Follower(url, machines.cache.folder, config)
    last.look()
    until(lambda: last.trouble is not None)
    with pytest.raises(RegistryError, match="is not a registry"):
        last.look()
    last.stop()


def served_is(folder: Path, name: str) -> bool:
    return read_pointer(folder).live.name == name


def until(true: Callable[..., bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_follower_that_ends_by_itself_is_told_and_started_again(tmp_path: Path) -> None:
    folder = Cache(tmp_path / "cache").folder
    one = Follower(f"file://{tmp_path}/address", folder, CacheConfig())
    one._command = [sys.executable, "-c", "raise SystemExit(3)"]
    one.look()
    assert one._process is not None
    one._process.wait()
    with pytest.raises(RegistryError, match="exit status 3"):
        one.look()
