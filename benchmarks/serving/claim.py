"""What a built file was made of, so that it is made again when that changes and only then."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.accuracy.datasets import ROOT
from benchmarks.accuracy.results import write_atomically


def claim_of(parameters: dict[str, Any], sources: Iterable[str]) -> dict[str, Any]:
    """Parameters, and a hash over the source files that the globs name, relative to the checkout."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in sources for path in ROOT.glob(pattern)}):
        digest.update(path.read_bytes())
    return {**parameters, "sources": digest.hexdigest()}


def holds(path: Path, claim: dict[str, Any]) -> bool:
    """Whether a claim's file says the same."""
    return path.exists() and json.loads(path.read_text(encoding="utf-8")) == claim


def put(path: Path, claim: dict[str, Any]) -> None:
    """Write a claim; what it claims must be there already."""
    write_atomically(path, json.dumps(claim, indent=1))
