"""A registry at an address: on any file system that fsspec knows, an S3-compatible store above all.

    registry.json                     the pointer, which names bundles as bundles/FINGERPRINT; written last
    decisions.jsonl                   what was decided about bundles
    bundles/FINGERPRINT/…             the files of a bundle; its manifest.json is written last

Whatever is wrong between here and there is one `RegistryError`, which says nothing of keys or passwords.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs

from features.errors import ConfigError, RegistryError

_USER = re.compile(r"//[^/@]*@")


class Address:
    """The files below an address. Raises RegistryError wherever it does not answer."""

    def __init__(self, url: str) -> None:
        """Raises ConfigError when no installed package reads such an address."""
        self.name = _USER.sub("//", url)
        """The address without the name and password of an account."""
        try:
            self._files, root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ConfigError(
                f"{self.name} cannot be read here: {error}",
                field="registry",
                hint="For s3:// install the extra `s3`; for others the package that fsspec names.",
            ) from None
        self._root = str(root).rstrip("/")

    def read(self, name: str) -> bytes | None:
        """The content of a file; None where there is none."""
        with self._reaching(f"reading {name}"):
            self._files.invalidate_cache()
            try:
                return bytes(self._files.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> None:
        """Replace a file whole: whoever reads it has the old content or the new one."""
        with self._reaching(f"writing {name}"):
            self._files.makedirs(self._parent(name), exist_ok=True)
            if "file" not in _protocols(self._files):  # an object is there once it is whole
                self._files.pipe_file(self._path(name), content)
                return
            fresh = self._path(f"{name}.new")
            self._files.pipe_file(fresh, content)
            self._files.mv(fresh, self._path(name))

    def download(self, name: str, target: Path) -> None:
        """Copy a file to this machine. Raises FileNotFoundError too, and OSError when there is no room for it."""
        with self._reaching(f"reading {name}"):
            self._files.get_file(self._path(name), str(target))

    def upload(self, source: Path, name: str) -> None:
        """Copy a file of this machine to the address."""
        with self._reaching(f"writing {name}"):
            self._files.makedirs(self._parent(name), exist_ok=True)
            self._files.put_file(str(source), self._path(name))

    def sizes(self, folder: str) -> dict[str, int]:
        """All files below a folder with their bytes, by their paths within it; none where there is no such folder."""
        with self._reaching(f"listing {folder}"):
            self._files.invalidate_cache()
            found: dict[str, dict[str, Any]] = self._files.find(self._path(folder), detail=True)
            start = self._path(folder) + "/"
            return {path.removeprefix(start): int(one["size"] or 0) for path, one in found.items()}

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _parent(self, name: str) -> str:
        return self._path(name).rpartition("/")[0]

    @contextmanager
    def _reaching(self, what: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
                raise
            raise RegistryError(
                f"{self.name} did not answer: {what} ended with {type(error).__name__}",
                hint="Look at the network, the address and the permissions of this machine's account.",
            ) from None


def _protocols(files: Any) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)
