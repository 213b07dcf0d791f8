"""Strict configuration: unknown keys are errors, values are immutable, text is the documentation.

Every config class of the project derives from `StrictConfig`. Paths and strings in YAML files may hold
`${NAME:-default}`, replaced from the environment.
"""

import os
import re
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from features.errors import ConfigError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class StrictConfig(BaseModel):
    """A frozen config section; the docstring behind each field is its help text."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @classmethod
    def parse(cls, content: Any, section: str | None = None) -> Self:
        """Validate plain data; the first error is told with its dotted path, below `section`, and its value."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise _first_error(error, section) from None


def read_yaml(path: Path | str) -> Any:
    """Read a YAML file with `${NAME:-default}` expanded. Raises `ConfigError` when it cannot be read."""
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no file {path}", hint="Check the path given to --config.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold a mapping of sections, such as `dataset:`")
    return expand_variables(content)


def expand_variables(content: Any) -> Any:
    """Replace `${NAME:-default}` in every string of a nested structure."""
    if isinstance(content, dict):
        return {key: expand_variables(value) for key, value in content.items()}
    if isinstance(content, list):
        return [expand_variables(value) for value in content]
    if isinstance(content, str):
        return _VARIABLE.sub(_variable, content)
    return content


def _variable(match: re.Match[str]) -> str:
    name, default = match.groups()
    value = os.environ.get(name, default)
    if value is None:
        raise ConfigError(
            f"the environment variable {name} is not set and has no default",
            hint=f"Set it, or write ${{{name}:-some/default}}.",
        )
    return value


def _first_error(error: ValidationError, section: str | None) -> ConfigError:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in (*([section] if section else []), *first["loc"]))
    if first["type"] == "extra_forbidden":
        return ConfigError("no such key", field=field, hint="See docs/configuration.md for the keys that exist.")
    if first["type"] == "value_error":
        return ConfigError(str(first["ctx"]["error"]), field=field)
    if first["type"] == "missing":
        return ConfigError("this key is required", field=field)
    message = first["msg"].removeprefix("Input ")
    return ConfigError(f"{message[:1].lower()}{message[1:]}; got {first['input']!r}", field=field)
