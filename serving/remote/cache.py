"""The folder that stands for a registry at an address: its pointer and its bundles, each verified before it is named.

A bundle is laid in a staging folder, every file is held against the manifest's hash, and only then is it renamed into
place: what stands under `bundles/` was whole when it came, and nothing of it was parsed before that.
"""

import errno
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from features.errors import BundleError, RegistryError
from serving.manifest import MANIFEST, read_manifest, verify_bundle
from serving.remote.address import Address

BUNDLES = "bundles"
CHANGING = ".changing-"
SPARE_BYTES = 64 * 2**20
"""What stays free on the disk beside a bundle that is fetched."""
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class Cache:
    """Bundles by fingerprint. Used under a lock."""

    def __init__(self, folder: Path) -> None:
        """Raises RegistryError when the folder cannot be made or written to."""
        self.folder = folder.resolve()
        try:
            (folder / BUNDLES).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RegistryError(
                f"{folder}, which is to keep bundles, cannot be made: {error.strerror}",
                hint="Name a folder on a disk of this machine as `serving.cache.folder` or in TAILORBIRD_CACHE.",
            ) from None

    def place(self, fingerprint: str) -> Path:
        """Where a bundle lies, or would."""
        return self.folder / BUNDLES / fingerprint

    def fetch(self, address: Address, fingerprint: str) -> Path:
        """A bundle of the address, here and whole; copied only if it is not here yet.

        Raises BundleError when what lies there is not that bundle or there is no room for it, RegistryError when the
        address does not answer.
        """
        target = self.place(fingerprint)
        if not target.exists():
            staging = self._staging(fingerprint)
            try:
                self._copy(address, fingerprint, staging)
                staging.rename(target)
            except FileNotFoundError:
                raise BundleError(
                    f"a file of {address.name}/{BUNDLES}/{fingerprint} went away while it was read",
                    hint="Promote the bundle again; what answers now goes on.",
                ) from None
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise _full(self.folder, fingerprint) from None
            finally:
                shutil.rmtree(staging, ignore_errors=True)
        return target

    def admit(self, bundle: Path) -> Path:
        """A verified bundle of this machine, in the cache too; files are linked where the disk allows it.

        Raises BundleError when it is damaged.
        """
        fingerprint = str(verify_bundle(bundle)["fingerprint"])
        target = self.place(fingerprint)
        if not target.exists():
            staging = self._staging(fingerprint)
            shutil.copytree(bundle, staging, copy_function=_linked, dirs_exist_ok=True)
            staging.rename(target)
        return target

    def forget_damaged(self, fingerprint: str) -> None:
        """Take a bundle away whose files are no longer those that came, so that it is fetched again."""
        try:
            verify_bundle(self.place(fingerprint))
        except BundleError:
            shutil.rmtree(self.place(fingerprint), ignore_errors=True)

    def tidy(self, named: Iterable[Path], keep: int) -> None:
        """Take away what is not named, but for the newest `keep`; a bundle goes with the item tables merged beside it.

        A worker that still has files of one mapped keeps them until it lets them go.
        """
        for left_over in (*(self.folder / BUNDLES).glob(".*.fetched"), *self.folder.glob(f"{CHANGING}*")):
            shutil.rmtree(left_over, ignore_errors=True)  # of a process that was ended: whoever is here holds the lock
        names = {one.name for one in named}
        here = [one for one in (self.folder / BUNDLES).iterdir() if _FINGERPRINT.fullmatch(one.name)]
        left = sorted((one for one in here if one.name not in names), key=lambda one: one.stat().st_mtime_ns)
        for one in left[: max(0, len(left) - keep)]:
            for path in (one, *one.parent.glob(f"{one.name}.items-*")):
                shutil.rmtree(path, ignore_errors=True)

    def _staging(self, fingerprint: str) -> Path:
        staging = self.folder / BUNDLES / f".{fingerprint}.fetched"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        return staging

    def _copy(self, address: Address, fingerprint: str, staging: Path) -> None:
        source = f"{BUNDLES}/{fingerprint}"
        manifest = address.read(f"{source}/{MANIFEST}")
        if manifest is None:
            raise BundleError(
                f"{address.name} has no whole bundle {fingerprint}: {MANIFEST}, which is written last, is missing",
                hint="Promote it again; what answers now goes on.",
            )
        (staging / MANIFEST).write_bytes(manifest)
        content = read_manifest(staging)
        if content["fingerprint"] != fingerprint:
            raise BundleError(f"{address.name}/{source} holds another bundle, {content['fingerprint']}")
        names = [_within(name, f"{address.name}/{source}") for name in content["files"]]
        sizes = address.sizes(source)
        if missing := next((name for name in names if name not in sizes), None):
            raise BundleError(f"{missing} is missing: {address.name}/{source}", hint="Promote the bundle again.")
        if sum(sizes[name] for name in names) + SPARE_BYTES > shutil.disk_usage(staging).free:
            raise _full(self.folder, fingerprint)
        for name in names:
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            address.download(f"{source}/{name}", staging / name)
        verify_bundle(staging)


def named_at_address(bundle: Path) -> str:
    """The fingerprint in the pointer of an address. Raises BundleError for a path that is not one below `bundles`."""
    folder, _, fingerprint = str(bundle).partition("/")
    if folder != BUNDLES or not _FINGERPRINT.fullmatch(fingerprint):
        raise BundleError(
            f"the registry names {bundle}, which is not {BUNDLES}/FINGERPRINT", hint="Promote a bundle again."
        )
    return fingerprint


def _within(name: str, bundle: str) -> str:
    """A file's name, which stays in its folder. Raises BundleError for any other."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or str(path) != name:
        raise BundleError(f"the manifest names {name!r}, which is no file within the bundle: {bundle}")
    return name


def _full(folder: Path, fingerprint: str) -> BundleError:
    return BundleError(
        f"there is no room in {folder} for the bundle {fingerprint}",
        hint="Make room, or lower `serving.cache.keep`; it is tried again at the next look.",
    )


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or a file system without links
        shutil.copy2(source, target)
