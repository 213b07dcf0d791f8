"""What lies at an address and is not what it says is refused, and what was live stays."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from features.errors import BundleError, ConfigError, RegistryError
from serving.lifecycle.registry import REGISTRY, read_pointer
from serving.manifest import MANIFEST, _encoded, _fingerprint
from serving.remote.cache import BUNDLES, Cache
from serving.remote.place import place_of
from serving.remote.pulling import pull
from serving.remote.settings import CacheConfig, cache_folder, is_address
from tests.serving.remote.machines import Machines, fingerprint


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
