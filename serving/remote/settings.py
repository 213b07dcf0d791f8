"""The `serving.cache` section: what a machine keeps of a registry that lies at an address."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from features.strict import StrictConfig


class CacheConfig(StrictConfig):
    """What is kept here of a registry at an address such as s3://bucket/prefix."""

    folder: str | None = None
    """Where bundles are kept, with room for the live one, the one before it, a canary, a shadow and the next. By
    default TAILORBIRD_CACHE, or .cache/tailorbird in the home folder."""
    keep: int = Field(default=1, ge=0, le=100)
    """Bundles that stay although the registry no longer names them, newest first."""
    poll_seconds: float = Field(default=2.0, ge=0.1, le=3600)
    """Seconds between two looks at the address, by one process for all workers of a machine."""


def is_address(registry: str | Path) -> bool:
    """Whether a registry lies at an address, and not in a folder."""
    return "://" in str(registry)


def cache_folder(address: str, config: CacheConfig | None = None, environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of an address: one of its own, so that two registries never mix."""
    given = (config and config.folder) or environment.get("TAILORBIRD_CACHE")
    parent = Path(given).expanduser() if given else Path.home() / ".cache" / "tailorbird"
    return parent.resolve() / hashlib.sha256(address.rstrip("/").encode()).hexdigest()[:16]
