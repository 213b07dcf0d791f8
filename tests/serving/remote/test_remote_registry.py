"""A registry at an address: one suite of behaviours, for each kind of place where bundles may lie."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from features.errors import BundleError, RegistryError
from serving.lifecycle.administration import make_canary, make_shadow, make_undone
from serving.lifecycle.decisions import Decision, decisions, record
from serving.lifecycle.registry import REGISTRY, Pointer, read_pointer
from serving.manifest import renew_manifest, verify_bundle
from serving.remote.address import Address
from serving.remote.cache import BUNDLES
from serving.remote.place import AtAddress
from serving.remote.pulling import pull
from tests.serving.remote.machines import Machines, fingerprint


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
