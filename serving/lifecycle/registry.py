"""Which bundle is live: one small JSON file, replaced atomically, with one step of memory for a rollback."""

import json
import os
from pathlib import Path
from typing import NamedTuple

from features.errors import BundleError
from serving.bundle import verify_bundle
from serving.lifecycle.decisions import Decision, record, require_not_refused

REGISTRY = "registry.json"


class Pointer(NamedTuple):
    """What the registry says."""

    live: Path
    previous: Path | None


def promote(bundle: Path, registry: Path, *, force: bool = False, why: str = "") -> Pointer:
    """Make a verified bundle the live one; the decision is recorded beside the pointer, with the reason given.

    Raises BundleError when it is damaged, when the gate refused it and it is not forced, and when it is forced without
    a reason.
    """
    if force and not why.strip():
        raise BundleError(
            "a bundle is not forced without a reason", field="--why", hint="Say why: whoever is on call will ask."
        )
    fingerprint = verify_bundle(bundle)["fingerprint"]
    if not force:
        require_not_refused(fingerprint, registry)
    live = bundle.resolve()
    before = read_pointer(registry) if (registry / REGISTRY).exists() else None
    if before is not None and before.live == live:
        return before
    record(Decision("promoted", str(live), fingerprint, (why,) if why else (), force), registry)
    return _write(Pointer(live, before.live if before else None), registry)


def rollback(registry: Path) -> Pointer:
    """Make the previous bundle live again; a second rollback returns. Raises BundleError when there is none."""
    pointer = read_pointer(registry)
    if pointer.previous is None:
        raise BundleError(f"{registry / REGISTRY} knows no previous bundle", hint="Promote another one instead.")
    manifest = verify_bundle(pointer.previous)
    record(Decision("rolled_back", str(pointer.previous), manifest["fingerprint"]), registry)
    return _write(Pointer(pointer.previous, pointer.live), registry)


def read_pointer(registry: Path) -> Pointer:
    """The registry's content. Raises BundleError when it is absent or not readable."""
    path = registry / REGISTRY
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        previous = content["previous"]
        return Pointer(Path(content["live"]), None if previous is None else Path(previous))
    except FileNotFoundError:
        raise BundleError(f"no {REGISTRY} in {registry}", hint="Run `tailorbird promote BUNDLE` first.") from None
    except (json.JSONDecodeError, KeyError, TypeError):
        raise BundleError(f"{path} is not a registry", hint="Promote a bundle again to rewrite it.") from None


def _write(pointer: Pointer, registry: Path) -> Pointer:
    registry.mkdir(parents=True, exist_ok=True)
    content = {"live": str(pointer.live), "previous": None if pointer.previous is None else str(pointer.previous)}
    fresh = registry / f".{REGISTRY}.{os.getpid()}"
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(registry / REGISTRY)
    return pointer
