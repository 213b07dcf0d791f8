"""Pseudonyms: a keyed hash in the place of an outside id, so that nothing that is written down names a person.

HMAC-SHA-256, cut to 128 bits: without the key nobody can try out ids, with it the same id gives the same pseudonym in
the store, in exported logs and in the tables of a training, so that they join.
"""

import hmac
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from features.errors import ConfigError
from features.strict import StrictConfig

PREFIX = "tbp_"
"""How a pseudonym begins. What has its form is one already and stays as it is: logs that were exported with pseudonyms
join tables in which the same people stand under their ids."""
DIGITS = 32
"""Hex digits of a pseudonym: two of a thousand million people share one with a chance below 1e-20."""
VARIABLE = "TAILORBIRD_PSEUDONYM_KEY"
"""The environment variable with the key; with `_FILE` behind it, the one with the path of its file."""
LEAST_CHARACTERS = 32
"""Of a key: as many as HMAC-SHA-256 has bytes of strength."""
_FORM = re.compile(rf"{PREFIX}[0-9a-f]{{{DIGITS}}}")


class PseudonymsConfig(StrictConfig):
    """Ids of people are replaced by a keyed hash; here stands where the key lies, and never the key.

    With neither of both, the key is that of the environment: TAILORBIRD_PSEUDONYM_KEY, or the file that
    TAILORBIRD_PSEUDONYM_KEY_FILE names.
    """

    key_file: str | None = None
    """File with the key, at least 32 characters; a relative path starts at the folder of this configuration file."""
    key_variable: str | None = None
    """Environment variable with the key."""


@dataclass(frozen=True)
class Pseudonyms:
    """Makes pseudonyms with one key."""

    key: bytes = field(repr=False)

    def of(self, outside_id: str) -> str:
        """The pseudonym of an id of a user or visitor; a pseudonym stays as it is."""
        if _FORM.fullmatch(outside_id):
            return outside_id
        return PREFIX + self._digest(f"person:{outside_id}")

    def of_any(self, outside_id: str | None) -> str | None:
        """The same for an id that may be absent."""
        return None if outside_id is None else self.of(outside_id)

    @property
    def fingerprint(self) -> str:
        """Tells one key from another and nothing else of it: 32 hex digits."""
        return self._digest("fingerprint")

    def _digest(self, text: str) -> str:
        return hmac.digest(self.key, text.encode("utf-8", "surrogatepass"), "sha256").hex()[:DIGITS]


def pseudonyms_of(
    config: PseudonymsConfig | None, folder: Path, environment: Mapping[str, str] = os.environ
) -> Pseudonyms | None:
    """The pseudonyms that a section names, whose relative paths start at `folder`; None without a section.

    Raises ConfigError when the key is not there or too short.
    """
    if config is None:
        return None
    if config.key_file is not None:
        return Pseudonyms(_long_enough(_content(folder / config.key_file), "pseudonyms.key_file"))
    if config.key_variable is not None:
        text = environment.get(config.key_variable, "")
        return Pseudonyms(_long_enough(text, f"pseudonyms.key_variable: {config.key_variable}"))
    found = pseudonyms_of_environment(environment)
    return found or Pseudonyms(_long_enough("", VARIABLE))


def pseudonyms_of_environment(environment: Mapping[str, str] = os.environ) -> Pseudonyms | None:
    """The pseudonyms of the environment's key; None when it names none. Raises ConfigError as `pseudonyms_of` does."""
    text, path = environment.get(VARIABLE, ""), environment.get(f"{VARIABLE}_FILE")
    if text:
        return Pseudonyms(_long_enough(text, VARIABLE))
    return Pseudonyms(_long_enough(_content(Path(path)), f"{VARIABLE}_FILE")) if path else None


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the key of the pseudonyms cannot be read: {type(error).__name__}",
            field="pseudonyms",
            hint=f"Is {path} there, and may this account read it?",
        ) from None


def _long_enough(text: str, where: str) -> bytes:
    key = text.strip()
    if len(key) < LEAST_CHARACTERS:
        raise ConfigError(
            f"the key of the pseudonyms has {len(key)} characters; it needs {LEAST_CHARACTERS}, or ids could be "
            "guessed from their pseudonyms",
            field=where,
            hint="Make one, and keep it as long as the store: openssl rand -hex 32",
        )
    return key.encode()
