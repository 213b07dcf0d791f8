"""What the guard costs a request, beside a service that is open: `python -m benchmarks.person.access`.

One process, the kinds in turn in every round, the median of the rounds; nothing of HTTP or of an answer is in it.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from serving.access.guard import Guard
from serving.access.keys import new_key
from serving.access.scopes import SCOPES
from serving.access.settings import AccessConfig
from serving.access.tokens import Token, Tokens
from serving.api.endpoints import ENDPOINTS
from serving.state import open_key_store
from serving.state.audit_log import Deed

MEMORY = "sqlite://:memory:"
KEYS = 1_000
"""Keys that the guard holds."""
ROUNDS, CALLS = 51, 1_000
OFTEN = 1e9


def sent(text: str = "") -> dict[str, Any]:
    """The ASGI scope of a request as a server gives it, with what a usual client sends."""
    headers = [(b"host", b"shop.example"), (b"user-agent", b"client/1"), (b"accept", b"*/*")]
    headers += [(b"content-type", b"application/json"), (b"content-length", b"20")]
    headers += [(b"authorization", b"Bearer " + text.encode())] if text else []
    return {"type": "http", "client": ("203.0.113.9", 1), "server": ("192.0.2.1", 3000), "headers": headers}


def kinds() -> dict[str, Callable[[], Any]]:
    """What is compared."""
    store, tokens = open_key_store(MEMORY), Tokens(["s" * 32])
    keys = [new_key(SCOPES, 0) for _ in range(KEYS)]
    limited = new_key(SCOPES, 0, rate=OFTEN, burst=1_000)
    for key in (*keys, limited):
        store.add(key.stored, Deed("keys_create", "benchmark", 0))
    guard = Guard(store, tokens=tokens, settings=AccessConfig(token_rate=OFTEN))
    everybody = Guard(open_key_store(MEMORY), settings=AccessConfig(open=True, why="to compare with"))
    now = int(time.time())
    token = tokens.sign(Token("u00007", None, keys[0].stored.key_id, ("recommend",), now, now + 3_600))
    scopes = {"key": sent(keys[500].text), "key with a rate": sent(limited.text), "token": sent(token)}
    endpoint, nobody = ENDPOINTS[0], sent()
    return {
        "open": lambda: everybody.enter(endpoint, nobody),
        **{name: (lambda scope=scope: guard.enter(endpoint, scope)) for name, scope in scopes.items()},  # type: ignore[misc]
    }


def measured() -> dict[str, float]:
    """Microseconds of one request by kind."""
    asked = kinds()
    seconds: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(ROUNDS):
        for name, ask in asked.items():
            start = time.perf_counter()
            for _ in range(CALLS):
                ask()
            seconds[name].append(time.perf_counter() - start)
    return {name: median(each) / CALLS * 1e6 for name, each in seconds.items()}


if __name__ == "__main__":
    for name, microseconds in measured().items():
        print(f"{name:<16} {microseconds:6.1f} µs")
