"""The errors that Tailorbird tells its users: what happened, where, and what to do.

Each error carries the field (a dotted path into a config, a column, or a request field) and a hint.
No message ever holds a person's attributes or events.
"""

MASK = "•••"
"""Stands where a person's id or attribute would."""


class TailorbirdError(Exception):
    """An error meant for the reader; `str()` is one or two plain sentences."""

    code = "error"

    def __init__(self, message: str, *, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.hint = hint

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        stop = "" if self.message.endswith((".", "!", "?", ":")) else "."
        return f"{where}{self.message}" + (f"{stop} {self.hint}" if self.hint else "")


class ConfigError(TailorbirdError):
    """The configuration cannot be what was meant."""

    code = "invalid_config"


class DataError(TailorbirdError):
    """A table breaks a rule that training depends on."""

    code = "invalid_data"


class BundleError(TailorbirdError):
    """A bundle is damaged, incomplete, or made for another schema."""

    code = "invalid_bundle"


class RequestError(TailorbirdError):
    """A request cannot be answered as it was written."""

    code = "invalid_request"


class StateError(TailorbirdError):
    """The store of what is known of people did not answer."""

    code = "state_unavailable"


class RegistryError(TailorbirdError):
    """The address at which a registry lies did not answer, or was changed by somebody else meanwhile."""

    code = "registry_unavailable"
