"""Start the service from the command line: check what can be checked, then hand over to `bentoml serve`."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from features.errors import ConfigError, StateError
from serving.access.listening import check_listening
from serving.lifecycle.opening import bundle_path, fetch_if_far, serving_config
from serving.manifest import verify_bundle
from serving.remote.settings import is_address
from serving.retrieval.device import require_provider
from serving.settings import pseudonyms_in
from serving.state import DEFAULT_URL, absolute_url, in_memory, open_as_kept, open_state

ROOT = Path(__file__).parents[2]
"""The folder of the packages: BentoML imports from its working directory, which must be ours."""
GRACE_SECONDS = 10
ACQUAINTED = 200
"""Users among whom one with a long history is looked for."""


def serve(
    bundle: Path | str | None = None,
    registry: Path | str | None = None,
    *,
    state: str = DEFAULT_URL,
    config: Path | str | None = None,
    host: str = "127.0.0.1",
    port: int = 3000,
    workers: int | None = None,
) -> NoReturn:
    """Become the server: this process is replaced, so that whoever stops it stops the workers too.

    Relative paths start at the working directory. Raises BundleError or ConfigError before anything is started.
    """
    environment = environment_of(bundle, registry, state=state, config=config, workers=workers)
    check_listening(host, serving_config(environment).access, environment)
    sys.stdout.flush()
    os.chdir(ROOT)
    os.execve(sys.executable, command_of(host, port), environment)


def launch(
    bundle: Path | str | None = None,
    registry: Path | str | None = None,
    *,
    state: str = DEFAULT_URL,
    config: Path | str | None = None,
    host: str = "127.0.0.1",
    port: int = 3000,
    workers: int | None = None,
) -> "subprocess.Popen[bytes]":
    """The same in a process of its own; it is ready once GET /readyz answers 200."""
    environment = environment_of(bundle, registry, state=state, config=config, workers=workers)
    check_listening(host, serving_config(environment).access, environment)
    return subprocess.Popen(command_of(host, port), cwd=ROOT, env=environment)


def environment_of(
    bundle: Path | str | None,
    registry: Path | str | None,
    *,
    state: str,
    config: Path | str | None,
    workers: int | None,
) -> dict[str, str]:
    """The environment from which the service takes what it serves; paths are absolute, the bundle is verified."""
    given = {
        "TAILORBIRD_BUNDLE": bundle and str(Path(bundle).resolve()),
        "TAILORBIRD_REGISTRY": registry and (str(registry) if is_address(registry) else str(Path(registry).resolve())),
        "TAILORBIRD_CONFIG": config and str(Path(config).resolve()),
        "TAILORBIRD_STATE": absolute_url(state),
        "TAILORBIRD_WORKERS": workers and str(workers),
    }
    ours = {name: value for name, value in given.items() if value}
    others = {name: value for name, value in os.environ.items() if name not in given}
    environment = {"BENTOML_DO_NOT_TRACK": "True", **others, **ours}
    fetch_if_far(environment)
    verify_bundle(bundle_path(environment))
    if in_memory(state) and serving_config(environment).workers > 1:
        raise ConfigError(
            "several workers cannot share a state in memory",
            field="state",
            hint="Name a file, such as sqlite:///var/state.db.",
        )
    require_provider(serving_config(environment).device)
    _check_key(state, config)
    return environment


def _check_key(state: str, config: Path | str | None) -> None:
    """Raises ConfigError when the pseudonyms' key is not that of the store, told before anything starts.

    A store that does not answer yet is left to the service, which tries until it does.
    """
    pseudonyms = pseudonyms_in(None if config is None else Path(config))
    with suppress(StateError):
        open_state(state, pseudonyms=pseudonyms).close()


def command_of(host: str, port: int) -> list[str]:
    """The command line of BentoML's server."""
    serving = [sys.executable, "-m", "bentoml", "serve", "serving.service:Tailorbird"]
    return [*serving, "--host", host, "--port", str(port), "--timeout-graceful-shutdown", str(GRACE_SECONDS)]


def announce(state: str, port: int, host: str = "127.0.0.1") -> str:
    """What a newcomer may try once the service is up: a page and a request, for somebody with a history."""
    store = open_as_kept(state)
    try:
        users = islice(store.user_ids(), ACQUAINTED)
        user = max(users, key=lambda one: len(store.person(one).events), default="somebody")
    finally:
        store.close()
    url = f"http://{host}:{port}"
    request = json.dumps({"user_id": user, "k": 5, "explain": True}).replace("'", "\\u0027")
    return f"page: {url}/?user={quote(user)}\ntry:  curl -s {url}/v1/recommend -d '{request}'"
