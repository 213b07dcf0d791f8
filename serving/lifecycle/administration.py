"""The commands that say which bundles answer. Each is noted in the audit log of the store before anything changes."""

from pathlib import Path

from serving.access.administration import note
from serving.lifecycle.registry import Beside, Pointer, end, promote, promote_canary, promote_shadow, rollback
from serving.remote.place import Place


def make_live(bundle: Path, registry: Place, state: str, *, force: bool, why: str) -> Pointer:
    """`tailorbird promote BUNDLE`. Raises as `promote` does, and RegistryError."""
    note(state, "promote", bundle=str(bundle.resolve()), registry=registry.name, why=why)
    with registry.changing() as folder:
        return promote(registry.admitted(bundle), folder, force=force, why=why)


def make_canary(bundle: Path, registry: Place, state: str, share: float, *, force: bool, why: str) -> Pointer:
    """`tailorbird promote BUNDLE --canary SHARE`. Raises as `promote_canary` does, and RegistryError."""
    note(state, "canary", bundle=str(bundle.resolve()), registry=registry.name, why=why, share=f"{share:g}")
    registry.pointer()  # it is held against what the live bundle reads
    with registry.changing() as folder:
        return promote_canary(registry.admitted(bundle), folder, share, force=force, why=why)


def make_shadow(bundle: Path, registry: Place, state: str, *, why: str) -> Pointer:
    """`tailorbird promote BUNDLE --shadow`. Raises as `promote_shadow` does, and RegistryError."""
    note(state, "shadow", bundle=str(bundle.resolve()), registry=registry.name, why=why)
    with registry.changing() as folder:
        return promote_shadow(registry.admitted(bundle), folder, why=why)


def make_undone(registry: Place, state: str, only: Beside | None) -> Pointer:
    """`tailorbird rollback`, or of canary or shadow alone. Raises as `rollback` and `end` do, and RegistryError."""
    note(state, "rollback", registry=registry.name, **({} if only is None else {"only": only}))
    with registry.changing() as folder:
        return rollback(folder, registry.verified) if only is None else end(only, folder)


def told(pointer: Pointer) -> list[str]:
    """A pointer in lines, the live bundle first."""
    canary = pointer.canary
    return [
        f"live: {pointer.live}",
        *([f"canary: {canary.bundle}, answers {canary.split.share:.4g} of all people"] if canary else []),
        *([f"shadow: {pointer.shadow}"] if pointer.shadow else []),
    ]
