"""docs/configuration.md: every key of a configuration file, written from the config classes themselves.

`make docs` writes the page; a test holds that the committed page is the one that the classes give.
"""

import sys
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from features.strict import StrictConfig
from training.config import TrainingConfig

NAME = "NAME"
"""Stands for a key that the user chooses, such as the name of a column."""
OPENING = """# Configuration

One YAML file per data set. Only `dataset` is required; everything else has a default. A key that does not exist, or a
value of the wrong kind, stops a command with the dotted name of the key. Any text may hold `${VARIABLE:-default}`,
which is taken from the environment. Below, `NAME` stands for a name that you choose.

This page is written by `make docs` from the classes that read the file: change the docstring there, not here.
"""
PLAIN = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}
TOP = "Top level"

Place = dict[type[StrictConfig], str]


class Section(NamedTuple):
    """A part of the file: its dotted path, and the class that reads it."""

    path: str
    config: type[StrictConfig]


def configuration_page() -> str:
    """The page as Markdown."""
    sections = list(sections_of(TrainingConfig))
    place: Place = {section.config: section.path for section in reversed(sections)}
    parts = [_section_text(section, place) for section in sections if place[section.config] == section.path]
    return "\n".join([OPENING, *parts])


def sections_of(config: type[StrictConfig], path: str = "") -> Iterator[Section]:
    """A class and, depth first, every config class within it, with the paths at which they stand."""
    yield Section(path or TOP, config)
    for key, field in fields_of(config):
        below = f"{path}.{key}" if path else key
        for inner, named in _configs_in(field.annotation):
            yield from sections_of(inner, f"{below}.{NAME}" if named else below)


def fields_of(config: type[StrictConfig]) -> Iterator[tuple[str, FieldInfo]]:
    """Each key as the file has it, with its field."""
    for name, field in config.model_fields.items():
        yield field.alias or name, field


def _configs_in(annotation: Any) -> Iterator[tuple[type[StrictConfig], bool]]:
    """The config classes that an annotation names, and whether a name of the user's stands above them."""
    if isinstance(annotation, type) and issubclass(annotation, StrictConfig):
        yield annotation, False
    for part in get_args(annotation):
        yield from ((config, get_origin(annotation) in (dict, Mapping)) for config, _ in _configs_in(part))


def _section_text(section: Section, place: Place) -> str:
    lines = [f"## {section.path}", "", _one_line(section.config.__doc__), ""]
    lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, field in fields_of(section.config):
        kind = ", ".join([_type_text(field.annotation, place), *_limits(field.metadata)])
        lines.append(f"| `{key}` | {kind} | {_default(field)} | {_one_line(field.description)} |")
    return "\n".join(lines) + "\n"


def _type_text(annotation: Any, place: Place) -> str:
    """What may stand behind a key, in words."""
    parts = get_args(annotation)
    match get_origin(annotation):
        case origin if origin is Literal:
            return ", ".join(f"`{part}`" for part in parts)
        case origin if origin in (Union, UnionType):
            return " or ".join(_type_text(part, place) for part in parts if part is not type(None))
        case origin if origin in (dict, Mapping):
            return f"names, each with {_type_text(parts[1], place)}"
        case origin if origin is Annotated:
            bounds = [bound for one in parts[1:] for bound in (one.metadata if isinstance(one, FieldInfo) else [one])]
            return ", ".join([_type_text(parts[0], place), *_limits(bounds)])
        case origin if origin is tuple:
            return f"list of {_type_text(parts[0], place)}"
    if annotation in place:
        return f"[{place[annotation]}](#{_anchor(place[annotation])})"
    return PLAIN[annotation]


def _limits(metadata: list[Any]) -> Iterator[str]:
    """The bounds of a value."""
    for bound in metadata:
        match bound:
            case annotated_types.Ge():
                yield f"from {bound.ge}"
            case annotated_types.Gt():
                yield f"above {bound.gt}"
            case annotated_types.Le():
                yield f"to {bound.le}"
            case annotated_types.Lt():
                yield f"below {bound.lt}"
            case annotated_types.MultipleOf():
                yield f"a multiple of {bound.multiple_of}"
            case annotated_types.MinLen():
                yield f"at least {bound.min_length}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if isinstance(field.default, StrictConfig):
        return "its defaults"
    if field.default is None or field.default in ({}, ()):
        return "none"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def _anchor(heading: str) -> str:
    """The address of a heading, as GitHub makes it."""
    return "".join(char for char in heading.lower().replace(" ", "-") if char.isalnum() or char in "-_")


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(configuration_page())
