"""A bundle is right or refused: every flipped byte, missing file and spoiled weight is found and named."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from features.errors import BundleError
from serving.bundle import open_bundle, seal_bundle
from serving.golden import check_golden
from serving.manifest import MANIFEST, renew_manifest, verify_bundle
from serving.pipeline import Pipeline


@pytest.fixture
def copy(trained: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.bundle, tmp_path / "bundle"))


def test_a_whole_bundle_opens_and_gives_its_golden_answers(trained: Any) -> None:
    assert check_golden(Pipeline(open_bundle(trained.bundle))) >= 20


def test_golden_cases_reach_from_no_events_to_the_longest_history(trained: Any) -> None:
    cases = json.loads((trained.bundle / "golden.json").read_text())
    lengths = {len(case["person"]["events"]["item_ids"]) for case in cases}
    assert 0 in lengths
    assert open_bundle(trained.bundle).settings.max_events in lengths


@pytest.mark.parametrize(
    "name", ["user_tower.onnx", "index.faiss", "catalogue/vectors.npy", "schema.json", "transitions/evidence.npy"]
)
def test_one_flipped_byte_is_refused_with_the_name_of_the_file(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        open_bundle(copy)


def test_a_missing_and_a_foreign_file_are_refused(copy: Path) -> None:
    (copy / "extra.txt").write_text("hello")
    with pytest.raises(BundleError, match=r"extra\.txt does not belong"):
        verify_bundle(copy)
    (copy / "extra.txt").unlink()
    (copy / "ranker.onnx").unlink()
    with pytest.raises(BundleError, match=r"ranker.onnx is missing"):
        verify_bundle(copy)


def test_a_spoiled_ranker_weight_is_refused_by_the_golden_answers(copy: Path) -> None:
    graph = onnx.load(str(copy / "ranker.onnx"))
    weights = [one for one in graph.graph.initializer if one.data_type == onnx.TensorProto.FLOAT]
    largest = max(weights, key=lambda one: int(np.prod(one.dims)))
    spoiled = numpy_helper.to_array(largest) + np.float32(0.5)
    largest.CopyFrom(numpy_helper.from_array(spoiled, largest.name))
    onnx.save(graph, str(copy / "ranker.onnx"))
    renew_manifest(copy)
    pipeline = Pipeline(open_bundle(copy))
    with pytest.raises(BundleError, match="golden case"):
        check_golden(pipeline)


def test_a_bundle_is_never_written_over(trained: Any, copy: Path) -> None:
    with pytest.raises(BundleError, match="never changes"):
        seal_bundle(copy, trained.bundle, {})


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle"):
        open_bundle(tmp_path)


def test_a_manifest_of_another_format(copy: Path) -> None:
    (copy / MANIFEST).write_text("{}")
    with pytest.raises(BundleError, match="another format"):
        open_bundle(copy)


@pytest.mark.parametrize("name", ["fingerprint", "schema", "files"])
def test_a_manifest_without_one_of_its_parts(copy: Path, name: str) -> None:
    manifest = json.loads((copy / MANIFEST).read_text())
    del manifest[name]
    (copy / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=rf"manifest\.json has no '{name}'"):
        verify_bundle(copy)


def test_one_flipped_bit_anywhere_in_the_manifest_is_refused(copy: Path) -> None:
    content = (copy / MANIFEST).read_bytes()
    draw = np.random.default_rng(0)
    for place in range(0, len(content), max(1, len(content) // 300)):
        spoiled = bytearray(content)
        spoiled[place] ^= 1 << int(draw.integers(8))
        (copy / MANIFEST).write_bytes(spoiled)
        with pytest.raises(BundleError, match=r"manifest\.json"):
            verify_bundle(copy)
    (copy / MANIFEST).write_bytes(content)
    assert verify_bundle(copy)["files"]


def test_a_manifest_that_says_the_same_in_other_bytes_is_refused(copy: Path) -> None:
    (copy / MANIFEST).write_bytes((copy / MANIFEST).read_bytes() + b"\n")
    with pytest.raises(BundleError, match=r"manifest\.json differs"):
        verify_bundle(copy)


def test_provenance_and_files_make_the_fingerprint(trained: Any, tmp_path: Path) -> None:
    names = set()
    for place, newest in (("a", 1), ("b", 1), ("c", 2)):
        staging = Path(shutil.copytree(trained.bundle, tmp_path / f".{place}"))
        (staging / MANIFEST).unlink()
        names.add(verify_bundle(seal_bundle(staging, tmp_path / place, {"newest_event": newest}))["fingerprint"])
    assert len(names) == 2


def test_no_id_of_a_real_person_stands_in_a_bundle(trained: Any) -> None:
    users = [str(user).encode() for user in trained.tables.events.users]
    for path in Path(trained.bundle).rglob("*"):
        if path.is_file() and path.suffix in {".json", ".yaml", ".md"}:
            content = path.read_bytes()
            assert not [user for user in users if b'"' + user + b'"' in content], path.name
