"""The commands that say which bundles answer. Each is noted in the audit log of the store before anything changes."""

from pathlib import Path

from serving.access.administration import note
from serving.lifecycle.registry import Beside, Pointer, end, promote, promote_canary, promote_shadow, rollback


def make_live(bundle: Path, registry: Path, state: str, *, force: bool, why: str) -> Pointer:
    """`tailorbird promote BUNDLE`. Raises as `promote` does."""
    note(state, "promote", bundle=str(bundle.resolve()), registry=str(registry.resolve()), why=why)
    return promote(bundle, registry, force=force, why=why)


def make_canary(bundle: Path, registry: Path, state: str, share: float, *, force: bool, why: str) -> Pointer:
    """`tailorbird promote BUNDLE --canary SHARE`. Raises as `promote_canary` does."""
    note(state, "canary", bundle=str(bundle.resolve()), registry=str(registry.resolve()), why=why, share=f"{share:g}")
    return promote_canary(bundle, registry, share, force=force, why=why)


def make_shadow(bundle: Path, registry: Path, state: str, *, why: str) -> Pointer:
    """`tailorbird promote BUNDLE --shadow`. Raises as `promote_shadow` does."""
    note(state, "shadow", bundle=str(bundle.resolve()), registry=str(registry.resolve()), why=why)
    return promote_shadow(bundle, registry, why=why)


def make_undone(registry: Path, state: str, only: Beside | None) -> Pointer:
    """`tailorbird rollback`, or of canary or shadow alone. Raises as `rollback` and `end` do."""
    note(state, "rollback", registry=str(registry.resolve()), **({} if only is None else {"only": only}))
    return rollback(registry) if only is None else end(only, registry)


def told(pointer: Pointer) -> list[str]:
    """A pointer in lines, the live bundle first."""
    canary = pointer.canary
    return [
        f"live: {pointer.live}",
        *([f"canary: {canary.bundle}, answers {canary.split.share:.4g} of all people"] if canary else []),
        *([f"shadow: {pointer.shadow}"] if pointer.shadow else []),
    ]
