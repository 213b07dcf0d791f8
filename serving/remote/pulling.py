"""From an address into the folder that stands for it: bundles first, the pointer last, as a swap needs them."""

from pathlib import Path
from typing import NamedTuple

from features.errors import BundleError, TailorbirdError
from serving.lifecycle.decisions import DECISIONS
from serving.lifecycle.lock import in_turn
from serving.lifecycle.registry import REGISTRY, Pointer, parsed_pointer, pointer_text, write_pointer
from serving.remote.address import Address
from serving.remote.cache import Cache, named_at_address

PULLING = ".pulling.lock"


class Found(NamedTuple):
    """What an address says, as it was read."""

    pointer: bytes | None
    """None where nothing was promoted yet."""
    decisions: bytes | None

    def here(self, address: Address, cache: Cache) -> Pointer:
        """The pointer with the paths that its bundles have here. Raises BundleError when there is none, or no pointer.

        A path of the address never reaches the disk: only fingerprints do.
        """
        if self.pointer is None:
            raise BundleError(f"no {REGISTRY} at {address.name}", hint="Run `tailorbird promote BUNDLE` first.")
        named = parsed_pointer(self.pointer, f"{address.name}/{REGISTRY}")
        return named.moved(lambda bundle: cache.place(named_at_address(bundle)))


def look(address: Address) -> Found:
    """Read the small files. Raises RegistryError."""
    return Found(address.read(REGISTRY), address.read(DECISIONS))


def pull(address: Address, cache: Cache, keep: int, *, suspicious: bool = False) -> str | None:
    """Bring the folder up to date, and say what beside the live bundle could not be had.

    The pointer moves once the live bundle is here and whole: until then, and when anything about it is wrong, what was
    live before goes on. A canary or shadow that cannot be had is left out; the bundle for a rollback is fetched last.
    When `suspicious`, bundles that are here are hashed again. Raises BundleError and RegistryError.
    """
    with in_turn(cache.folder / PULLING):
        found = look(address)
        pointer = found.here(address, cache)
        if suspicious:
            for one in {*pointer.bundles}:
                cache.forget_damaged(one.name)
        cache.fetch(address, pointer.live.name)
        troubles: list[str] = []

        def had(bundle: Path) -> bool:
            try:
                return cache.fetch(address, bundle.name).exists()
            except TailorbirdError as error:
                troubles.append(str(error))
                return False

        beside = [one for one in (pointer.canary and pointer.canary.bundle, pointer.shadow) if one is not None]
        _move(pointer.without(*(one for one in beside if not had(one))), found, cache)
        if pointer.previous is not None:
            had(pointer.previous)
        cache.tidy(pointer.bundles, keep)
        return troubles[0] if troubles else None


def _move(pointer: Pointer, found: Found, cache: Cache) -> None:
    """Write only what is another: workers look at the file's stamp."""
    _replace_if(cache.folder / DECISIONS, found.decisions or b"")
    path = cache.folder / REGISTRY
    if not path.exists() or path.read_text(encoding="utf-8") != pointer_text(pointer):
        write_pointer(pointer, cache.folder)


def _replace_if(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_bytes(content)
        fresh.replace(path)
