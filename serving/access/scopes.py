"""What a key may be good for. Each endpoint names one of these in its line of `serving/api/endpoints.py`."""

from typing import Literal, TypeAlias, get_args

Scope: TypeAlias = Literal["recommend", "events", "catalogue", "person", "admin"]
"""To ask for lists, to send what people did, to change items, to read and change what is known of people and what they
declared, to run the service."""
SCOPES: tuple[Scope, ...] = get_args(Scope)
AUDITED: frozenset[Scope] = frozenset({"person", "admin"})
"""Every call of these stands in the audit log."""
OF_TOKENS: frozenset[Scope] = frozenset({"recommend", "events", "person"})
"""What a person's own token may be good for."""
LOCAL, OPEN = "local", "open"
"""Who asks without a key: this machine itself while there is no key, and anybody when the service is open."""
