"""Where a registry lies, for the commands that change it: a folder, or an address with a folder here for bundles."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from features.errors import BundleError, RegistryError
from serving.lifecycle.decisions import DECISIONS
from serving.lifecycle.lock import in_turn
from serving.lifecycle.registry import REGISTRY, Pointer, pointer_text, read_pointer
from serving.manifest import MANIFEST, verify_bundle
from serving.remote.address import Address
from serving.remote.cache import BUNDLES, CHANGING, Cache
from serving.remote.pulling import PULLING, Found, look, pull
from serving.remote.settings import cache_folder, is_address


class Place(Protocol):
    """A registry that can be read and changed."""

    @property
    def name(self) -> str:
        """As people know it."""

    def pointer(self) -> Pointer | None:
        """What it says now, with its bundles here; None where nothing was promoted yet.

        Raises BundleError and RegistryError.
        """

    @contextmanager
    def changing(self) -> Iterator[Path]:
        """A folder in which to change it; the change holds when the block ends without an error."""

    def admitted(self, bundle: Path) -> Path:
        """A bundle at the path by which the registry may name it. Raises BundleError when it is damaged."""

    def verified(self, bundle: Path) -> dict[str, Any]:
        """The manifest of a bundle that the registry names. Raises BundleError when it is not whole."""


def place_of(registry: str | Path, cache: Path | None = None) -> Place:
    """The registry of a folder's path or an address. Raises ConfigError for an address that nothing here reads."""
    if is_address(registry):
        return AtAddress(Address(str(registry)), cache or cache_folder(str(registry)))
    return InFolder(Path(registry))


class InFolder:
    """A registry in a folder, which names bundles wherever they lie."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def name(self) -> str:
        """The folder."""
        return str(self._folder.resolve())

    def pointer(self) -> Pointer | None:
        """What the folder says."""
        return read_pointer(self._folder) if (self._folder / REGISTRY).exists() else None

    @contextmanager
    def changing(self) -> Iterator[Path]:
        """The folder itself: each change of it is atomic."""
        yield self._folder

    def admitted(self, bundle: Path) -> Path:
        """The bundle where it is."""
        return bundle

    def verified(self, bundle: Path) -> dict[str, Any]:
        """Every file is hashed."""
        return verify_bundle(bundle)


class AtAddress:
    """A registry at an address, which holds the bundles that it names."""

    def __init__(self, address: Address, folder: Path) -> None:
        self._address = address
        self._cache = Cache(folder)

    @property
    def name(self) -> str:
        """The address."""
        return self._address.name

    def pointer(self) -> Pointer | None:
        """What it says, once its bundles are here."""
        if look(self._address).pointer is None:
            return None
        pull(self._address, self._cache, keep=1)
        return read_pointer(self._cache.folder)

    @contextmanager
    def changing(self) -> Iterator[Path]:
        """A folder that nobody serves from; bundles, decisions and at last the pointer go up when the block ends.

        Raises RegistryError when somebody else changed the registry meanwhile: then nothing is written.
        """
        with (
            in_turn(self._cache.folder / PULLING),
            TemporaryDirectory(dir=self._cache.folder, prefix=CHANGING) as desk,
        ):
            folder, before = Path(desk), look(self._address)
            if before.pointer is not None:
                text = pointer_text(before.here(self._address, self._cache))
                (folder / REGISTRY).write_text(text, encoding="utf-8")
            if before.decisions is not None:
                (folder / DECISIONS).write_bytes(before.decisions)
            try:
                yield folder
            except BundleError as error:
                message = error.message.replace(str(folder), self.name)
                raise BundleError(message, field=error.field, hint=error.hint) from None
            self._push(folder, before)

    def admitted(self, bundle: Path) -> Path:
        """The bundle in the cache, under its fingerprint."""
        return self._cache.admit(bundle)

    def verified(self, bundle: Path) -> dict[str, Any]:
        """Every file is there by its name: a machine that serves holds each against its hash before it answers."""
        source = f"{BUNDLES}/{bundle.name}"
        manifest, there = self._address.read(f"{source}/{MANIFEST}"), self._address.sizes(source)
        content = json.loads(manifest) if manifest else {}
        if not content.get("files") or content["files"].keys() - there.keys():
            raise BundleError(f"{self.name} has no whole bundle {bundle.name}", hint="Promote another one instead.")
        return {**content, "fingerprint": bundle.name}

    def _push(self, folder: Path, before: Found) -> None:
        pointer = read_pointer(folder) if (folder / REGISTRY).exists() else None
        known = before.here(self._address, self._cache).bundles if before.pointer else []
        for bundle in pointer.bundles if pointer else ():
            if bundle not in known:
                self._upload(bundle)
        if look(self._address) != before:
            raise RegistryError(
                f"{self.name} was changed by somebody else meanwhile, and nothing of this was written",
                hint="Look at what it says now, then do it again.",
            )
        decisions = (folder / DECISIONS).read_bytes() if (folder / DECISIONS).exists() else None
        if decisions is not None and decisions != before.decisions:
            self._address.write(DECISIONS, decisions)
        text = None if pointer is None else _as_named_there(pointer)
        if text is not None and text != before.pointer:
            self._address.write(REGISTRY, text)

    def _upload(self, bundle: Path) -> None:
        """Its manifest last, by which a bundle is known to be whole; one that is there is never written again."""
        target = f"{BUNDLES}/{bundle.name}"
        if MANIFEST in self._address.sizes(target):
            return
        for path in sorted(bundle.rglob("*")):
            if path.is_file() and path != bundle / MANIFEST:
                self._address.upload(path, f"{target}/{path.relative_to(bundle).as_posix()}")
        self._address.write(f"{target}/{MANIFEST}", (bundle / MANIFEST).read_bytes())


def _as_named_there(pointer: Pointer) -> bytes:
    return pointer_text(pointer.moved(lambda bundle: Path(BUNDLES) / bundle.name)).encode()
