"""Which bundles answer: one small JSON file, replaced atomically, with one step of memory for a rollback.

It names the live bundle and the one before it; beside them a canary, which answers a share of all people in live's
place, and a shadow, which answers nobody and is compared with live. A bundle has one place at a time. A file written
before there were canary and shadow means that there are none.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from features.dataset import DatasetConfig
from features.errors import BundleError
from serving.desk.assignment import Split, new_key
from serving.lifecycle.decisions import Decision, record, require_not_refused
from serving.lifecycle.lock import in_turn
from serving.manifest import read_json, verify_bundle

REGISTRY = "registry.json"
Beside: TypeAlias = Literal["canary", "shadow"]


class Canary(NamedTuple):
    """A bundle that answers some of the people."""

    bundle: Path
    split: Split
    """Which people."""


class Pointer(NamedTuple):
    """What the registry says."""

    live: Path
    previous: Path | None = None
    canary: Canary | None = None
    shadow: Path | None = None

    @property
    def bundles(self) -> list[Path]:
        """All that it names: none of them may be deleted."""
        beside = (self.previous, self.canary and self.canary.bundle, self.shadow)
        return [self.live, *(one for one in beside if one is not None)]

    def moved(self, place: Callable[[Path], Path]) -> "Pointer":
        """The pointer with each bundle named by another path."""
        return Pointer(
            place(self.live),
            self.previous and place(self.previous),
            self.canary and self.canary._replace(bundle=place(self.canary.bundle)),
            self.shadow and place(self.shadow),
        )

    def without(self, *bundles: Path) -> "Pointer":
        """The pointer with these bundles taken out of the places beside live."""
        return self._replace(
            canary=None if self.canary and self.canary.bundle in bundles else self.canary,
            shadow=None if self.shadow in bundles else self.shadow,
        )


def promote(bundle: Path, registry: Path, *, force: bool = False, why: str = "") -> Pointer:
    """Make a verified bundle the live one; the decision is recorded beside the pointer, with the reason given.

    Canary and shadow stay, unless the bundle was one of them. Raises BundleError when it is damaged, when it is not
    forced and the gate refused it or it does not read all that live reads, and when it is forced without a reason.
    """
    fingerprint = _allowed(bundle, registry, force=force, why=why)
    live = bundle.resolve()
    registry.mkdir(parents=True, exist_ok=True)
    with _changing(registry):
        before = _pointer(registry)
        if before is not None and before.live == live:
            return before
        if before is not None and before.live.exists() and not force:
            _require_to_read_all(live, before.live, "Give --force --why once nobody sends that any more.")
        record(Decision("promoted", str(live), fingerprint, (why,) if why else (), force), registry)
        after = Pointer(live) if before is None else before.without(live)._replace(live=live, previous=before.live)
        return write_pointer(after, registry)


def promote_canary(bundle: Path, registry: Path, share: float, *, force: bool = False, why: str = "") -> Pointer:
    """Let a verified bundle answer a share of all people in place of the live one.

    A canary that only gets another share keeps its key, and so its people. Raises BundleError as `promote` does, for a
    share that is none, when there is no live bundle, or it is this one, or this one does not read all that live reads.
    """
    _check_share(share)
    fingerprint = _allowed(bundle, registry, force=force, why=why)
    target = bundle.resolve()
    with _changing(registry):
        before = _besides(target, registry)
        _require_to_read_all(target, before.live, "Train it with the same data set.")
        key = before.canary.split.key if before.canary and before.canary.bundle == target else new_key()
        why = f"share {share:g}{': ' if why else ''}{why}"
        record(Decision("canary", str(target), fingerprint, (why,), force), registry)
        return write_pointer(before.without(target)._replace(canary=Canary(target, Split(share, key))), registry)


def promote_shadow(bundle: Path, registry: Path, *, why: str = "") -> Pointer:
    """Let a verified bundle be compared with the live one; nobody sees its answers, so the gate is not asked.

    Raises BundleError when it is damaged, when there is no live bundle, or it is this one.
    """
    fingerprint = verify_bundle(bundle)["fingerprint"]
    target = bundle.resolve()
    with _changing(registry):
        before = _besides(target, registry)
        record(Decision("shadow", str(target), fingerprint, (why,) if why else ()), registry)
        return write_pointer(before.without(target)._replace(shadow=target), registry)


def end(place: Beside, registry: Path) -> Pointer:
    """Take canary or shadow away; live stays. Raises BundleError when there is none."""
    with _changing(registry):
        pointer = read_pointer(registry)
        bundle = pointer.shadow if place == "shadow" else pointer.canary and pointer.canary.bundle
        if bundle is None:
            raise BundleError(f"{registry / REGISTRY} knows no {place}", hint="There is nothing to take away.")
        record(Decision("ended", str(bundle), "", (f"as {place}",)), registry)
        return write_pointer(pointer.without(bundle), registry)


def rollback(registry: Path, verify: Callable[[Path], dict[str, Any]] | None = None) -> Pointer:
    """Make the previous bundle live again and take canary and shadow away; a second rollback returns to this one.

    `verify` gives the manifest of a bundle that is whole, or raises BundleError; every file is hashed by default.

    Where nothing was live before, canary and shadow alone are taken away. Raises BundleError when there is nothing to
    take back, or the previous bundle is damaged.
    """
    with _changing(registry):
        pointer = read_pointer(registry)
        if pointer.previous is None:
            if pointer.canary is None and pointer.shadow is None:
                raise BundleError(
                    f"{registry / REGISTRY} knows no previous bundle", hint="Promote another one instead."
                )
            record(Decision("ended", str(pointer.live), "", ("canary and shadow, by a rollback",)), registry)
            return write_pointer(Pointer(pointer.live), registry)
        manifest = (verify or verify_bundle)(pointer.previous)
        record(Decision("rolled_back", str(pointer.previous), manifest["fingerprint"]), registry)
        return write_pointer(Pointer(pointer.previous, pointer.live), registry)


def read_pointer(registry: Path) -> Pointer:
    """The registry's content. Raises BundleError when it is absent or not readable."""
    path = registry / REGISTRY
    try:
        return parsed_pointer(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise BundleError(f"no {REGISTRY} in {registry}", hint="Run `tailorbird promote BUNDLE` first.") from None


def parsed_pointer(text: bytes, name: str) -> Pointer:
    """What the text of a registry's file says. Raises BundleError when it is none, naming it."""
    try:
        return _parsed(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BundleError(f"{name} is not a registry", hint="Promote a bundle again to rewrite it.") from None


def _parsed(content: dict[str, Any]) -> Pointer:
    """Raises as reading a wrong file does, and BundleError for a share that is none."""
    previous, canary, shadow = content["previous"], content.get("canary"), content.get("shadow")
    if canary is not None:
        _check_share(canary["share"])
        bytes.fromhex(canary["key"])
    return Pointer(
        Path(content["live"]),
        None if previous is None else Path(previous),
        None if canary is None else Canary(Path(canary["bundle"]), Split(float(canary["share"]), canary["key"])),
        None if shadow is None else Path(shadow),
    )


def dataset_of(path: Path) -> DatasetConfig:
    """What a bundle reads, without opening the rest. Raises BundleError when its schema is not there."""
    return DatasetConfig.parse(read_json(path / "schema.json")["dataset"])


def pointer_text(pointer: Pointer) -> str:
    """The text of a registry's file."""
    canary, shadow = pointer.canary, pointer.shadow
    content = {
        "live": str(pointer.live),
        "previous": None if pointer.previous is None else str(pointer.previous),
        **({"canary": {"bundle": str(canary.bundle), **canary.split._asdict()}} if canary else {}),
        **({"shadow": str(shadow)} if shadow else {}),
    }
    return json.dumps(content, indent=1)


def _allowed(bundle: Path, registry: Path, *, force: bool, why: str) -> str:
    """The fingerprint of a bundle that may answer people."""
    if force and not why.strip():
        raise BundleError(
            "a bundle is not forced without a reason", field="--why", hint="Say why: whoever is on call will ask."
        )
    fingerprint = str(verify_bundle(bundle)["fingerprint"])
    if not force:
        require_not_refused(fingerprint, registry)
    return fingerprint


def _require_to_read_all(bundle: Path, live: Path, hint: str) -> None:
    if gone := dataset_of(bundle).no_longer_read(dataset_of(live)):
        raise BundleError(
            f"{bundle} does not read what the live bundle reads: {', '.join(gone)}",
            hint=f"Requests that live answers would be errors. {hint}",
        )


def _check_share(share: float) -> None:
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise BundleError(
            f"the canary's share is {share}, and a share of people is from 0 to 1",
            field="--canary",
            hint="0.1 is a tenth of all people.",
        )


def _besides(bundle: Path, registry: Path) -> Pointer:
    """The pointer, beside whose live bundle another is to stand."""
    pointer = _pointer(registry)
    if pointer is None:
        raise BundleError(
            f"no bundle is live in {registry}, beside which {bundle} could stand",
            hint="Promote one first: `tailorbird promote BUNDLE`.",
        )
    if pointer.live == bundle:
        raise BundleError(f"{bundle} is the live bundle itself", hint="Name another bundle, or promote one first.")
    return pointer


def _pointer(registry: Path) -> Pointer | None:
    return read_pointer(registry) if (registry / REGISTRY).exists() else None


@contextmanager
def _changing(registry: Path) -> Iterator[None]:
    """One change at a time, so that none undoes another; where there is no registry, nothing can be undone."""
    if not registry.is_dir():
        yield
        return
    with in_turn(registry / f".{REGISTRY}.lock"):
        yield


def write_pointer(pointer: Pointer, registry: Path) -> Pointer:
    """Replace what a folder's registry says, atomically and durably; whoever calls this has decided it."""
    fresh = registry / f".{REGISTRY}.{os.getpid()}"
    with fresh.open("w", encoding="utf-8") as file:
        file.write(pointer_text(pointer))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(registry / REGISTRY)
    return pointer
