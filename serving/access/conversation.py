"""Whether both ends of a conversation are this machine, which is who is answered while there is no key."""

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
"""What the machine calls itself in a URL."""


def is_loopback(host: str) -> bool:
    """Whether an address to listen on, or a name for one, is reached from this machine alone."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_local(scope: Any) -> bool:
    """Whether an ASGI connection stays within this machine, and no web page from elsewhere is behind it.

    A page that a browser on this machine has open can send requests here, by our address or by a name of its own that
    it lets point to us: the first gives itself away by its `Origin`, the second by `Host`.
    """
    ends = [scope.get("client"), scope.get("server")]
    headers = [(name, value.decode("latin-1")) for name, value in scope["headers"] if name in (b"host", b"origin")]
    return all(end is not None and is_loopback(str(end[0])) for end in ends) and all(
        _host(value if name == b"origin" else f"//{value}") in NAMES for name, value in headers
    )


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
