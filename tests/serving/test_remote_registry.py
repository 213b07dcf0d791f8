"""A registry at an address: one suite of behaviours, for each kind of place where bundles may lie."""

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from features.errors import BundleError, ConfigError, RegistryError
from serving.lifecycle.administration import make_canary, make_live, make_shadow, make_undone
from serving.lifecycle.decisions import Decision, decisions, record
from serving.lifecycle.registry import REGISTRY, Pointer, read_pointer
from serving.manifest import MANIFEST, _encoded, _fingerprint, renew_manifest, seal, verify_bundle
from serving.remote.address import Address
from serving.remote.cache import BUNDLES, Cache
from serving.remote.follower import look_once, trouble_of
from serving.remote.following import Follower, fetch_registry
from serving.remote.place import AtAddress, place_of
from serving.remote.pulling import pull
from serving.remote.settings import CacheConfig, cache_folder, is_address

DATASET = {
    "order": {"sequence": "position"},
    "events": {"path": "events.csv"},
    "types": {"view": {"weight": 1, "sign": "positive", "repeat": "never"}},
}
CLIENT = {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "DEFAULT_REGION": "us-east-1", "MAX_ATTEMPTS": "1"}
START_SECONDS = 90


@pytest.fixture(scope="module")
def s3() -> Iterator[None]:
    """A server that speaks S3, and the environment in which clients find it."""
    pytest.importorskip("s3fs", reason="s3fs is not installed: the extra `s3`")
    pytest.importorskip("moto", reason="moto is not installed: the extra `dev`")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stderr=subprocess.DEVNULL)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CLIENT.items():
            patch.setenv(f"AWS_{name}", value)
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        deadline = time.monotonic() + START_SECONDS
        while not listening(port):
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield
    server.terminate()
    server.wait(10)


def listening(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(params=["memory", "file", pytest.param("s3", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new address of each kind."""
    if request.param == "s3":
        request.getfixturevalue("s3")
        import s3fs

        bucket = f"bundles-{uuid4().hex}"
        s3fs.S3FileSystem().mkdir(bucket)
        return f"s3://{bucket}/shop/models"
    return f"memory://{uuid4().hex}" if request.param == "memory" else f"file://{tmp_path}/address"


@pytest.fixture
def new_bundle(tmp_path: Path) -> Callable[[str], Path]:
    """Seals folders that verify as bundles do; nothing in them is ever opened."""

    def made(name: str) -> Path:
        staging = tmp_path / f".{name}.staging"
        (staging / "tables").mkdir(parents=True)
        (staging / "tables" / "vectors.npy").write_bytes(name.encode() * 1000)
        (staging / "schema.json").write_text(json.dumps({"dataset": DATASET}), encoding="utf-8")
        return seal(staging, tmp_path / name, {"schema": name})

    return made


class Machines:
    """One that publishes and one that serves, each with a folder of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        self.address = Address(url)
        self.publisher = AtAddress(self.address, folder / "publisher")
        self.cache = Cache(folder / "server")
        self.state = f"sqlite:///{folder}/state.db"

    def promote(self, bundle: Path) -> Pointer:
        return make_live(bundle, self.publisher, self.state, force=False, why="")

    def served(self, keep: int = 1) -> Pointer:
        """What the serving machine reads after a look that found nothing wrong."""
        assert pull(self.address, self.cache, keep) is None
        return read_pointer(self.cache.folder)


@pytest.fixture
def machines(url: str, tmp_path: Path) -> Machines:
    return Machines(url, tmp_path)


def fingerprint(bundle: Path) -> str:
    return str(verify_bundle(bundle)["fingerprint"])


def test_what_one_machine_promotes_the_other_serves_whole(
    machines: Machines, new_bundle: Callable[[str], Path]
) -> None:
    first, second = new_bundle("first"), new_bundle("second")
    machines.promote(first)
    live = machines.served().live
    assert live == machines.cache.place(fingerprint(first))
    assert verify_bundle(live) == verify_bundle(first)
    machines.promote(second)
    assert machines.served() == Pointer(machines.cache.place(fingerprint(second)), live)
    back = make_undone(machines.publisher, machines.state, None)
    assert back.live.name == fingerprint(first)
    assert machines.served() == Pointer(live, machines.cache.place(fingerprint(second)))
    assert [one.action for one in decisions(machines.cache.folder)] == ["promoted", "promoted", "rolled_back"]


def test_canary_and_shadow_come_and_go(machines: Machines, new_bundle: Callable[[str], Path]) -> None:
    machines.promote(new_bundle("live"))
    canary, shadow = new_bundle("canary"), new_bundle("shadow")
    make_canary(canary, machines.publisher, machines.state, 0.3, force=False, why="")
    told = make_shadow(shadow, machines.publisher, machines.state, why="")
    served = machines.served()
    assert served.canary is not None
    assert told.canary is not None
    assert served.canary.split == told.canary.split
    assert served.shadow == machines.cache.place(fingerprint(shadow))
    make_undone(machines.publisher, machines.state, "canary")
    assert machines.served().canary is None


def test_what_did_not_change_is_neither_written_nor_copied_again(
    machines: Machines, new_bundle: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = new_bundle("one")
    machines.promote(bundle)
    machines.served()
    before = (machines.cache.folder / REGISTRY).stat()
    monkeypatch.setattr(Address, "download", None)
    monkeypatch.setattr(Address, "upload", None)
    machines.served()
    machines.promote(bundle)
    after = (machines.cache.folder / REGISTRY).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_an_upload_that_broke_off_leaves_what_was_live_and_is_gone_on_with(
    machines: Machines, new_bundle: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    machines.promote(new_bundle("first"))
    live, second = machines.served().live, new_bundle("second")
    with monkeypatch.context() as patched:
        patched.setattr(Address, "upload", refused(Address.upload, "vectors.npy"))
        with pytest.raises(RegistryError, match="cut off"):
            machines.promote(second)
    assert machines.served().live == live
    machines.promote(second)
    assert machines.served().live.name == fingerprint(second)


def refused(method: Callable[..., Any], ending: str) -> Callable[..., Any]:
    def tried(self: Address, *asked: Any) -> Any:
        if any(str(one).endswith(ending) for one in asked):
            raise RegistryError("cut off")
        return method(self, *asked)

    return tried


def test_a_wrong_hash_never_takes_the_live_ones_place(machines: Machines, new_bundle: Callable[[str], Path]) -> None:
    machines.promote(new_bundle("first"))
    live, second = machines.served().live, new_bundle("second")
    machines.promote(second)
    name = fingerprint(second)
    machines.address.write(f"{BUNDLES}/{name}/tables/vectors.npy", b"something else")
    with pytest.raises(BundleError, match=r"vectors\.npy differs"):
        pull(machines.address, machines.cache, 1)
    assert read_pointer(machines.cache.folder).live == live
    assert not machines.cache.place(name).exists()
    assert not list((machines.cache.folder / BUNDLES).glob(".*"))


def test_another_bundle_under_a_fingerprint_is_refused(machines: Machines, new_bundle: Callable[[str], Path]) -> None:
    first, second = new_bundle("first"), new_bundle("second")
    machines.promote(first)
    machines.address.write(f"{BUNDLES}/{fingerprint(first)}/{MANIFEST}", (second / MANIFEST).read_bytes())
    with pytest.raises(BundleError, match="holds another bundle"):
        pull(machines.address, machines.cache, 1)


@pytest.mark.parametrize("url", ["memory"], indirect=True)
@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside", "a\\..\\outside", "a//b"])
def test_a_manifest_that_climbs_out_of_its_folder_writes_nothing(
    machines: Machines, new_bundle: Callable[[str], Path], name: str
) -> None:
    bundle = new_bundle("first")
    content = json.loads((bundle / MANIFEST).read_bytes())
    content["files"][name] = "0" * 64
    content["fingerprint"] = _fingerprint(content)
    target = f"{BUNDLES}/{content['fingerprint']}"
    machines.address.write(f"{target}/{MANIFEST}", _encoded(content))
    machines.address.write(REGISTRY, json.dumps({"live": target, "previous": None}).encode())
    with pytest.raises(BundleError, match="no file within the bundle"):
        pull(machines.address, machines.cache, 1)
    assert not list(machines.cache.folder.parent.rglob("outside"))


@pytest.mark.parametrize("url", ["memory"], indirect=True)
@pytest.mark.parametrize("live", ["/etc", "../elsewhere", "bundles/../../x", "bundles/short", "other/" + "0" * 64])
def test_a_pointer_that_climbs_out_is_refused(machines: Machines, live: str) -> None:
    machines.address.write(REGISTRY, json.dumps({"live": live, "previous": None}).encode())
    with pytest.raises(BundleError, match="which is not bundles/FINGERPRINT"):
        pull(machines.address, machines.cache, 1)


@pytest.mark.parametrize("url", ["memory"], indirect=True)
@pytest.mark.parametrize("text", [b"", b"{", b'{"live": 3, "previous": null}', b"\xff"])
def test_a_pointer_that_is_none_is_refused(machines: Machines, text: bytes) -> None:
    machines.address.write(REGISTRY, text)
    with pytest.raises(BundleError, match="is not a registry"):
        pull(machines.address, machines.cache, 1)


def test_a_pointer_to_a_missing_bundle_and_no_pointer_are_told(machines: Machines) -> None:
    with pytest.raises(BundleError, match=f"no {REGISTRY} at"):
        pull(machines.address, machines.cache, 1)
    machines.address.write(REGISTRY, json.dumps({"live": f"{BUNDLES}/{'0' * 64}", "previous": None}).encode())
    with pytest.raises(BundleError, match="has no whole bundle 000"):
        pull(machines.address, machines.cache, 1)


def test_a_file_that_is_missing_is_named(machines: Machines, new_bundle: Callable[[str], Path], url: str) -> None:
    bundle = new_bundle("first")
    name = fingerprint(bundle)
    machines.address.write(f"{BUNDLES}/{name}/{MANIFEST}", (bundle / MANIFEST).read_bytes())
    machines.address.write(REGISTRY, json.dumps({"live": f"{BUNDLES}/{name}", "previous": None}).encode())
    with pytest.raises(BundleError, match=r"schema\.json is missing"):
        pull(machines.address, machines.cache, 1)
    with pytest.raises(BundleError, match="has no whole bundle"):
        machines.publisher.verified(machines.cache.place(name))


def test_a_canary_that_cannot_be_had_keeps_nothing_else_back(
    machines: Machines, new_bundle: Callable[[str], Path]
) -> None:
    first, canary, second = new_bundle("first"), new_bundle("canary"), new_bundle("second")
    machines.promote(first)
    make_canary(canary, machines.publisher, machines.state, 0.5, force=False, why="")
    machines.address.write(f"{BUNDLES}/{fingerprint(canary)}/schema.json", b"{}")
    machines.promote(second)
    assert "schema.json differs" in str(pull(machines.address, machines.cache, 1))
    pointer = read_pointer(machines.cache.folder)
    assert (pointer.live.name, pointer.canary) == (fingerprint(second), None)


def test_a_full_disk_is_told_and_leaves_nothing_behind(
    machines: Machines, new_bundle: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    machines.promote(new_bundle("first"))

    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    for patched, by in ((shutil, "disk_usage"), (Address, "download")):
        with monkeypatch.context() as patch:
            patch.setattr(patched, by, full if by == "download" else lambda _: shutil._ntuple_diskusage(1, 1, 0))
            with pytest.raises(BundleError, match="there is no room in"):
                pull(machines.address, machines.cache, 1)
        assert not list((machines.cache.folder / BUNDLES).iterdir())
    assert machines.served().live.exists()


def test_the_cache_stays_bounded_and_keeps_what_is_named(machines: Machines, new_bundle: Callable[[str], Path]) -> None:
    made = [new_bundle(f"number-{number}") for number in range(5)]
    for bundle in made:
        machines.promote(bundle)
        machines.served(keep=1)
        merged = machines.cache.place(f"{fingerprint(bundle)}.items-0000000007")
        merged.mkdir()
    (machines.cache.folder / BUNDLES / ".old.fetched").mkdir()
    machines.served(keep=1)
    names = {one.name for one in (machines.cache.folder / BUNDLES).iterdir()}
    kept = {fingerprint(one) for one in made[2:]}
    assert names == kept | {f"{one}.items-0000000007" for one in kept}


def test_who_comes_second_is_told_and_undoes_nothing(
    machines: Machines, new_bundle: Callable[[str], Path], tmp_path: Path
) -> None:
    machines.promote(new_bundle("first"))
    other = AtAddress(machines.address, tmp_path / "other")
    second, third = new_bundle("second"), new_bundle("third")

    def refuse(meanwhile: Callable[[], object]) -> None:
        with other.changing() as folder:
            meanwhile()
            record(Decision("refused", str(third), fingerprint(third), ("too slow",)), folder)

    with pytest.raises(RegistryError, match="changed by somebody else"):
        refuse(lambda: machines.promote(second))
    assert machines.served().live.name == fingerprint(second)
    refuse(lambda: None)
    with pytest.raises(BundleError, match="too slow"):
        machines.promote(third)


def test_errors_name_the_address_and_not_a_folder_of_the_moment(
    machines: Machines, new_bundle: Callable[[str], Path]
) -> None:
    with pytest.raises(BundleError, match="no bundle is live in") as told:
        make_shadow(new_bundle("one"), machines.publisher, machines.state, why="")
    assert machines.publisher.name in told.value.message
    assert machines.publisher.pointer() is None


def test_a_damaged_bundle_is_not_published(machines: Machines, new_bundle: Callable[[str], Path]) -> None:
    bundle = new_bundle("one")
    (bundle / "schema.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BundleError, match=r"schema\.json differs"):
        machines.promote(bundle)
    assert machines.address.read(REGISTRY) is None
    renew_manifest(bundle)
    machines.promote(bundle)


def test_a_damaged_copy_is_fetched_again_when_a_process_starts(
    machines: Machines, new_bundle: Callable[[str], Path]
) -> None:
    bundle = new_bundle("one")
    machines.promote(bundle)
    live = machines.served().live
    (live / "schema.json").write_text("{}", encoding="utf-8")
    assert pull(machines.address, machines.cache, 1, suspicious=True) is None
    assert verify_bundle(live)["fingerprint"] == fingerprint(bundle)


def test_another_disk_gets_copies(
    machines: Machines, new_bundle: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_disk(*_: Any) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", other_disk)
    bundle = new_bundle("one")
    assert verify_bundle(machines.publisher.admitted(bundle))["fingerprint"] == fingerprint(bundle)


@pytest.fixture
def nobody() -> str:
    """An address of this machine at which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://name:secret@127.0.0.1:{one.getsockname()[1]}/models"


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


def test_addresses_that_nothing_here_reads_are_told(tmp_path: Path) -> None:
    for url in ("nothing://bucket/prefix", "hdfs3x://a/b"):
        with pytest.raises(ConfigError, match="cannot be read here"):
            place_of(url, tmp_path)
    assert cache_folder("s3://a/b/") == cache_folder("s3://a/b") != cache_folder("s3://a/c")
    assert cache_folder("s3://a/b", CacheConfig(folder=str(tmp_path))).parent == tmp_path
    assert is_address("s3://a/b")
    assert not is_address(tmp_path)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RegistryError, match="cannot be made"):
        Cache(tmp_path / "file" / "cache")
