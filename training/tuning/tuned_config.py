"""The user's own configuration file with a few values changed, its text, comments and `${VARIABLES}` kept.

A value is replaced where it stands; a missing key is added at the head of its section, a missing section at the end of
the file. Where that does not read back as it was meant (an anchor, say), the file is written anew and says so.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml


class _Edit(NamedTuple):
    """Characters `start` to `stop` give way to a text."""

    start: int
    stop: int
    text: str


def write_tuned(source: Path, target: Path, changes: Mapping[str, Any]) -> None:
    """Write the file `source` with other values, by dotted key of two parts, to `target`."""
    text = source.read_text(encoding="utf-8")
    opening = f"# {source.name} with what `tailorbird tune` found."
    wanted = _merged(yaml.safe_load(text), changes)
    try:
        edited = f"{opening}\n{_edited(text, changes)}"
        as_wanted = yaml.safe_load(edited) == wanted
    except yaml.YAMLError:
        as_wanted = False
    if not as_wanted:
        edited = f"{opening} Its comments were lost.\n{yaml.safe_dump(wanted, sort_keys=False, allow_unicode=True)}"
    target.write_text(edited, encoding="utf-8")


def _merged(content: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    sections = {name: {**(content.get(name) or {}), **values} for name, values in _by_section(changes).items()}
    return {**content, **sections}


def _by_section(changes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    sections: dict[str, dict[str, Any]] = {}
    for key, value in changes.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, {})[name] = value
    return sections


def _edited(text: str, changes: Mapping[str, Any]) -> str:
    """The text with the changes; edits go from back to front, so that none moves another's place."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert root is not None, "a configuration has a `dataset` section"
    known = {key.value: value for key, value in root.value}
    edits, added = list[_Edit](), []
    for section, values in _by_section(changes).items():
        if isinstance(node := known.get(section), yaml.MappingNode) and node.value:
            edits += _edits_of(node, values)
        else:
            added.append(f"{section}: {{{_flow(values)}}}\n")
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.stop :]
    return "".join([text if text.endswith("\n") else f"{text}\n", *added])


def _edits_of(section: yaml.MappingNode, values: Mapping[str, Any]) -> list[_Edit]:
    """Values replaced where they stand, and the others before the first key."""
    standing = {key.value: value for key, value in section.value}
    edits = [
        _Edit(standing[key].start_mark.index, standing[key].end_mark.index, _scalar(value))
        for key, value in values.items()
        if key in standing
    ]
    first = section.value[0][0].start_mark
    missing = {key: value for key, value in values.items() if key not in standing}
    if missing and section.flow_style:
        edits.append(_Edit(first.index, first.index, f"{_flow(missing)}, "))
    elif missing:
        lines = [f"{key}: {_scalar(value)}\n{' ' * first.column}" for key, value in missing.items()]
        edits.append(_Edit(first.index, first.index, "".join(lines)))
    return edits


def _flow(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}: {_scalar(value)}" for key, value in values.items())


def _scalar(value: float) -> str:
    """As YAML writes it: its 2.0e-05 is a number, the 2e-05 of Python and JSON a text."""
    return str(yaml.safe_dump(value)).splitlines()[0]
