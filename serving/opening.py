"""The one place where the service's collaborators are made: bundle, pipeline, state and desk.

Everything comes from the environment, which is how one image serves any company: TAILORBIRD_BUNDLE or
TAILORBIRD_REGISTRY, TAILORBIRD_STATE, and TAILORBIRD_CONFIG with a `serving` section.
"""

import gc
import os
from collections.abc import Mapping
from pathlib import Path

from features.errors import ConfigError
from features.strict import read_yaml
from serving.bundle import open_bundle
from serving.desk import Desk
from serving.golden import check_golden
from serving.pipeline import Pipeline
from serving.registry import read_pointer
from serving.settings import ServingConfig
from serving.state import DEFAULT_URL, open_item_log, open_state

PACKED_BUNDLE = Path(__file__).parents[1] / "bundle"
"""Where a Bento carries its bundle."""


def serving_config(environment: Mapping[str, str] = os.environ) -> ServingConfig:
    """The `serving` section of the file that TAILORBIRD_CONFIG names, or the defaults.

    TAILORBIRD_WORKERS overrides the number of workers. Raises ConfigError.
    """
    path = environment.get("TAILORBIRD_CONFIG")
    content = (read_yaml(path).get("serving") or {}) if path else {}
    if workers := environment.get("TAILORBIRD_WORKERS"):
        content = {**content, "workers": workers}
    return ServingConfig.parse(content)


def bundle_path(environment: Mapping[str, str] = os.environ) -> Path:
    """The bundle to serve. Raises ConfigError unless the environment names exactly one."""
    bundle, registry = environment.get("TAILORBIRD_BUNDLE"), environment.get("TAILORBIRD_REGISTRY")
    if bundle and registry:
        raise ConfigError(
            "both a bundle and a registry are named", hint="Set only TAILORBIRD_BUNDLE or only TAILORBIRD_REGISTRY."
        )
    if bundle:
        return Path(bundle)
    if registry:
        return read_pointer(Path(registry)).live
    if PACKED_BUNDLE.is_dir():
        return PACKED_BUNDLE
    raise ConfigError("no bundle is named", hint="Set TAILORBIRD_BUNDLE or TAILORBIRD_REGISTRY.")


def open_desk(environment: Mapping[str, str] = os.environ) -> Desk:
    """Open everything, verified and warm. Raises BundleError, ConfigError or StateError.

    The golden answers are given once, so that a wrong bundle never serves and a right one is warm; then the
    collector is told to leave what is loaded alone (the p99 of an empty answer falls from 60 ms to 5 ms).
    """
    config = serving_config(environment)
    pipeline = Pipeline(open_bundle(bundle_path(environment)))
    longest = pipeline.bundle.settings.max_events
    if config.newest_events < longest:
        raise ConfigError(
            f"{config.newest_events} events are fewer than the {longest} that the bundle's models read",
            field="serving.newest_events",
            hint=f"Set it to {longest} or more, or train with a smaller pipeline.max_events.",
        )
    check_golden(pipeline)
    url = environment.get("TAILORBIRD_STATE", DEFAULT_URL)
    state = open_state(url)
    gc.collect()
    gc.freeze()
    return Desk(pipeline, state, open_item_log(url), config.newest_events)
