"""Before anything listens: an address that others reach needs somebody who was given a key."""

from collections.abc import Mapping

from features.errors import ConfigError
from serving.access.conversation import is_loopback
from serving.access.keys import keys_from_environment
from serving.access.settings import AccessConfig
from serving.state import DEFAULT_URL, open_key_store


def check_listening(host: str, settings: AccessConfig, environment: Mapping[str, str]) -> None:
    """Raises ConfigError when others reach the address, nobody has a key, and nobody opened the service on purpose."""
    if is_loopback(host) or settings.open or keys_from_environment(environment.get("TAILORBIRD_KEYS", "")):
        return
    url = environment.get("TAILORBIRD_STATE", DEFAULT_URL)
    store = open_key_store(url)
    try:
        made = store.version() > 0
    finally:
        store.close()
    if not made:
        raise ConfigError(
            f"others reach {host}, and nobody has a key: whoever finds the address could read and erase what is known "
            "of people",
            field="host",
            hint="Make a key: tailorbird keys create --scopes recommend,events. Or listen on 127.0.0.1, where without "
            "keys only this machine is answered. Or, when something else guards the service, say so: "
            "`serving: {access: {open: true, why: ...}}`.",
        )
