"""The manifest of a sealed directory: every file is hashed into it, and it is hashed into its own fingerprint.

What verifies a bundle needs nothing that opens one: a process that only copies bundles stays small.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from features.errors import BundleError

FORMAT = 6
"""2: the fingerprint covers the whole manifest, not the hashes of the files alone. 3: item ids, titles and orders are
mapped files. 4: beside the index stands how many cells are searched for how many items. 5: the evidence of transitions
is float16. 6: item vectors are float16."""
MANIFEST = "manifest.json"
HASHED_AT_ONCE = 4 * 2**20
"""Bytes between two moments at which hashing needs the interpreter's lock, for which requests would wait."""
_REQUIRED = ("fingerprint", "schema", "files")


def seal(staging: Path, target: Path, manifest: dict[str, Any]) -> Path:
    """Hash every file of `staging`, write the manifest, which names their schema, and rename the whole into `target`.

    Raises BundleError when `target` exists.
    """
    if target.exists():
        raise BundleError(f"{target} exists, and a bundle never changes", hint="Write to a new directory.")
    _write_manifest(staging, {**manifest, "format": FORMAT})
    for path in _files(staging):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    staging.rename(target)
    return target


def verify_bundle(path: Path) -> dict[str, Any]:
    """The manifest of a bundle whose files are all there and unchanged. Raises BundleError otherwise."""
    manifest = read_manifest(path)
    expected = manifest["files"]
    present = {str(one.relative_to(path)) for one in _files(path)} - {MANIFEST}
    for name in sorted(expected.keys() ^ present):
        raise BundleError(f"{name} {'is missing' if name in expected else 'does not belong there'}: {path}")
    for name, sha256 in expected.items():
        if _sha256(path / name) != sha256:
            raise BundleError(
                f"{name} differs from what was trained: {path}", hint="Copy the bundle again, or promote another."
            )
    return manifest


def renew_manifest(path: Path) -> None:
    """Hash the files of a bundle again after its copy was changed on purpose, as tests of refusal do."""
    _write_manifest(path, read_json(path / MANIFEST))


def fresh_staging(target: Path) -> Path:
    """An empty directory beside `target` in which to lay a bundle."""
    staging = target.with_name(f".{target.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    return staging


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.rglob("*")) if path.is_file())


def _sha256(path: Path) -> str:
    digest, part = hashlib.sha256(), bytearray(HASHED_AT_ONCE)
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(part):
            digest.update(memoryview(part)[:size])
    return digest.hexdigest()


def _write_manifest(directory: Path, manifest: dict[str, Any]) -> None:
    files = [path for path in _files(directory) if path != directory / MANIFEST]
    manifest = {**manifest, "files": {str(path.relative_to(directory)): _sha256(path) for path in files}}
    manifest["fingerprint"] = _fingerprint(manifest)
    (directory / MANIFEST).write_bytes(_encoded(manifest))


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest, byte by byte as it was written. Raises BundleError otherwise; the files are not looked at."""
    if not (path / MANIFEST).is_file():
        raise BundleError(f"{path} is no bundle: it has no {MANIFEST}", hint="Give the path that `train` printed.")
    manifest = read_json(path / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError(f"{path / MANIFEST} has another format than {FORMAT}; train the bundle again")
    for name in _REQUIRED:
        if name not in manifest:
            raise BundleError(f"{MANIFEST} has no {name!r}: {path}", hint="Copy the bundle again.")
    whole = (path / MANIFEST).read_bytes() == _encoded(manifest)
    if not whole or manifest["fingerprint"] != _fingerprint(manifest):
        raise BundleError(
            f"{MANIFEST} differs from what was trained: {path}", hint="Copy the bundle again, or promote another."
        )
    return manifest


def _fingerprint(manifest: dict[str, Any]) -> str:
    """SHA-256 over everything in a manifest but the fingerprint itself."""
    rest = {name: value for name, value in manifest.items() if name != "fingerprint"}
    return hashlib.sha256(_encoded(rest)).hexdigest()


def _encoded(manifest: dict[str, Any]) -> bytes:
    """The one way in which a manifest is written, so that no two texts of it mean the same."""
    return json.dumps(manifest, indent=2, sort_keys=True).encode()


def read_json(path: Path) -> Any:
    """A JSON file of a bundle. Raises BundleError when it is missing or is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{path.name} is missing: {path.parent}") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise BundleError(f"{path.name} is not valid JSON: {path.parent}") from None
