"""The one place where the service's collaborators are made: bundle, pipeline, state, desk, and what keeps them fresh.

Everything comes from the environment, which is how one image serves any company: TAILORBIRD_BUNDLE or
TAILORBIRD_REGISTRY, TAILORBIRD_STATE, and TAILORBIRD_CONFIG with a `serving` section.
"""

import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from features.errors import ConfigError
from features.moments import HOUR
from features.pseudonyms import pseudonyms_of
from features.strict import read_yaml
from serving.access import guard as access
from serving.access.guard import Guard
from serving.access.keys import keys_from_environment
from serving.access.tokens import tokens_from
from serving.bundle import open_bundle, open_verified
from serving.desk import input_watch
from serving.desk.desk import Desk, wall_clock
from serving.events import effect_watch
from serving.events.served import FLUSH_SECONDS
from serving.golden import check_golden
from serving.items import changes, merging
from serving.items.changes import ItemFollower, up_to_date
from serving.items.merging import MergeMapper, MergeStarter, with_merges
from serving.items.snapshot import Snapshot
from serving.lifecycle import swap
from serving.lifecycle.live import Live
from serving.lifecycle.memory import leave_alone
from serving.lifecycle.registry import read_pointer
from serving.lifecycle.repeating import Repeating
from serving.lifecycle.swap import RegistryWatcher, machine_lock
from serving.lifecycle.trial import Trial
from serving.lifecycle.worker import Worker
from serving.person import housekeeping
from serving.person.housekeeping import Finisher, Keeper, check_retention
from serving.person.reach import reach_of
from serving.pipeline import Pipeline
from serving.remote import following
from serving.remote.following import Follower, fetch_registry
from serving.remote.settings import cache_folder, is_address
from serving.retrieval.device import Device
from serving.settings import ServingConfig
from serving.shadow.answering import Opened
from serving.shadow.shadow import Shadow
from serving.state import (
    DEFAULT_URL,
    ItemLog,
    KeyStore,
    State,
    absolute_url,
    in_memory,
    open_item_log,
    open_key_store,
    open_state,
)

_LOG = logging.getLogger("bentoml.tailorbird")
READ_SHARE = 0.25
"""Share of the deadline that a read of the store may wait for its lock."""
BETWEEN_GOLDEN = 0.02
"""Seconds between two golden requests of a bundle that is opened under traffic."""
PACKED_BUNDLE = Path(__file__).parents[2] / "bundle"
"""Where a Bento carries its bundle."""


def serving_config(environment: Mapping[str, str] = os.environ) -> ServingConfig:
    """The `serving` section of the file that TAILORBIRD_CONFIG names, or the defaults.

    TAILORBIRD_WORKERS overrides the number of workers, TAILORBIRD_DEVICE the device. Raises ConfigError.
    """
    path = environment.get("TAILORBIRD_CONFIG")
    content = (read_yaml(path).get("serving") or {}) if path else {}
    asked = {name: environment.get(f"TAILORBIRD_{name.upper()}") for name in ("workers", "device")}
    return ServingConfig.parse({**content, **{name: value for name, value in asked.items() if value}})


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
        return read_pointer(registry_folder(registry, environment)).live
    if PACKED_BUNDLE.is_dir():
        return PACKED_BUNDLE
    raise ConfigError("no bundle is named", hint="Set TAILORBIRD_BUNDLE or TAILORBIRD_REGISTRY.")


def registry_folder(registry: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of a registry: the one named, or the one that stands here for an address. Raises ConfigError."""
    if not is_address(registry):
        return Path(registry)
    return cache_folder(registry, serving_config(environment).cache, environment)


def fetch_if_far(environment: Mapping[str, str] = os.environ) -> None:
    """Bring here what a registry at an address names. Raises BundleError, ConfigError or RegistryError when it must."""
    registry = environment.get("TAILORBIRD_REGISTRY")
    if registry and is_address(registry) and not environment.get("TAILORBIRD_BUNDLE"):
        fetch_registry(registry, registry_folder(registry, environment), serving_config(environment).cache)


def open_worker(environment: Mapping[str, str] = os.environ) -> Worker:
    """Open everything, verified, warm and up to date. Raises BundleError, ConfigError or StateError.

    With a registry, the worker follows its pointer from then on; a bundle that was named itself is never replaced.
    The collector is told to leave alone what is loaded (the p99 of an empty answer falls from 60 ms to 5 ms).
    """
    config, url = serving_config(environment), environment.get("TAILORBIRD_STATE", DEFAULT_URL)
    patience = config.write_deadline_ms / 1000
    place = environment.get("TAILORBIRD_CONFIG")
    state = open_state(
        url,
        patience=patience,
        read_patience=READ_SHARE * config.deadline_ms / 1000,
        pseudonyms=pseudonyms_of(config.pseudonyms, Path(place).resolve().parent if place else Path(), environment),
    )
    log = open_item_log(url, patience=patience)
    keys = open_key_store(url, patience=patience)
    try:
        return _worker(environment, config, state, log, keys)
    except BaseException:
        keys.close()
        log.close()
        state.close()
        raise


def guard_of(environment: Mapping[str, str], config: ServingConfig, keys: KeyStore) -> Guard:
    """Who may ask, by the keys of the store and of TAILORBIRD_KEYS. Raises ConfigError or StateError."""
    fixed = keys_from_environment(environment.get("TAILORBIRD_KEYS", ""))
    return Guard(keys, fixed, tokens_from(environment, config.access.token_seconds), config.access)


def _worker(
    environment: Mapping[str, str], config: ServingConfig, state: State, log: ItemLog, keys: KeyStore
) -> Worker:
    fetch_if_far(environment)
    address = environment.get("TAILORBIRD_REGISTRY")
    path, registry = bundle_path(environment), registry_folder(address, environment) if address else None
    open_checked = partial(open_snapshot, log=log, newest_events=config.newest_events, device=config.device)
    snapshot = up_to_date(open_checked(path), log)
    guard = guard_of(environment, config, keys)
    place = environment.get("TAILORBIRD_CONFIG")
    reach = reach_of(Path(place) if place else None, _run_and_registry(path, registry))
    desk = Desk(
        snapshot.pipeline,
        state,
        log,
        config.newest_events,
        tokens=guard.tokens,
        languages=config.languages,
        consent=config.consent,
        retention=config.retention,
        log_served=config.log_served,
        attribution=round(config.attribution_hours * HOUR),
        retraining=reach.retraining,
    )
    live = Live(snapshot, desk)
    leave_alone()
    lock, url = machine_lock(registry or path), environment.get("TAILORBIRD_STATE", DEFAULT_URL)
    starter = None if in_memory(url) else MergeStarter(live, absolute_url(url), config.merge_items)
    trial = Trial(config.device)
    trial.passed(snapshot.main)
    watcher = follower = None
    if registry:
        open_beside, new_shadow = partial(open_checked, trial=trial), _shadows(url, config)
        watcher = RegistryWatcher(registry, live, log, open_beside, lock, new_shadow, trial.stop)
    if registry and address and is_address(address):
        follower = Follower(address, registry, config.cache)
    check_retention(config.retention, live.desk.schema.types, timed=live.desk.schema.timed)
    finisher = Finisher(state, reach, machine_lock(Path(f"{url}.erasing")), wall_clock)
    keeper = Keeper(state, config.retention, config.consent, machine_lock(Path(f"{url}.expiring")), wall_clock)
    served = desk.served
    if watcher:
        watcher.follow()  # who is a canary's must be from the first answer on
    threads = [
        *([Repeating("served", served.flush, FLUSH_SECONDS)] if served else []),
        *([Repeating("effects", desk.effects.look, effect_watch.LOOK_SECONDS)] if desk.effects else []),
        Repeating("inputs", desk.inputs.look, input_watch.LOOK_SECONDS),
        Repeating("erasures", finisher.look, housekeeping.FINISH_SECONDS, housekeeping.STOP_SECONDS),
        Repeating("retention", keeper.look, housekeeping.EXPIRE_SECONDS),
        Repeating("keys", guard.look, access.LOOK_SECONDS),
        Repeating("items", ItemFollower(live, log, open_checked).look, changes.LOOK_SECONDS),
        Repeating("merges", MergeMapper(live, log, lock).look, merging.LOOK_SECONDS),
        *([Repeating("merging", starter.look, merging.LOOK_SECONDS)] if starter else []),
        *([Repeating("address", follower.look, following.LOOK_SECONDS)] if follower else []),
        *([Repeating("registry", watcher.look, swap.LOOK_SECONDS)] if watcher else []),
    ]
    return Worker(live, guard, threads, watcher, starter, _told_losses(state), follower)


def _shadows(url: str, config: ServingConfig) -> Callable[[Path], Shadow]:
    """How this worker begins a shadow."""

    def begun(path: Path) -> Shadow:
        opened = Opened(path, open_snapshot, absolute_url(url), config.newest_events, config.device)
        return Shadow(path, opened, config.shadow)

    return begun


def _told_losses(state: State) -> str | None:
    """What a crash can take of what the store acknowledges, said in the log too."""
    may_lose = state.may_lose()
    if may_lose:
        _LOG.warning("a crash or a power loss can take from the store: %s", may_lose)
    return may_lose


def _run_and_registry(bundle: Path, registry: Path | None) -> list[Path]:
    """What an erasure searches by itself: the folder of the run that made the bundle, and the registry."""
    run = bundle.resolve().parent
    return [*([run] if (run / "run.json").exists() else []), *([registry] if registry else [])]


def open_snapshot(
    path: Path, log: ItemLog, newest_events: int, device: Device = "cpu", trial: Trial | None = None
) -> Snapshot:
    """Open a bundle with what was merged beside it. Raises BundleError or ConfigError when it must not answer.

    The golden answers are given once, by the bundle as it was trained, so that a wrong one never serves and a right
    one is warm. Under traffic a `trial` has first hashed the files and asked the same elsewhere.
    """
    bundle = open_bundle(path, device) if trial is None else open_verified(path, trial(path), device)
    longest = bundle.settings.max_events
    if newest_events < longest:
        raise ConfigError(
            f"{newest_events} events are fewer than the {longest} that the bundle's models read",
            field="serving.newest_events",
            hint=f"Set it to {longest} or more, or train with a smaller pipeline.max_events.",
        )
    check_golden(Pipeline(bundle), 0.0 if trial is None else BETWEEN_GOLDEN)
    return with_merges(bundle, log)
