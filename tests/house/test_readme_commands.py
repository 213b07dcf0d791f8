"""The commands on the pages are real: each `make` target, each `tailorbird` command, and each option given to it."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import tailorbird

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
END = re.compile(r"[|;&<>()]+|#.*")


def shell_lines(markdown: str) -> Iterator[str]:
    """Lines of shell blocks, continued lines joined, and whatever stands between single backticks."""
    blocks = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL)
    for block in blocks:
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", markdown, flags=re.MULTILINE | re.DOTALL))


def calls(markdown: str, program: str) -> list[list[str]]:
    """The arguments of each call of a program, up to the end of its command or a comment."""
    found = []
    for line in shell_lines(markdown):
        words = re.split(r"\s+", line.strip().removeprefix("$ "))
        names = [Path(word).name for word in words]
        if program in names:
            arguments = words[names.index(program) + 1 :]
            end = next((place for place, word in enumerate(arguments) if END.match(word)), len(arguments))
            found.append(arguments[:end])
    return found


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def unknown_words(arguments: list[str]) -> list[str]:
    """What in a call of `tailorbird` is neither a command that exists nor an option that it takes."""
    command: click.Command = tailorbird.main
    words = list(arguments)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        found = command.get_command(click.Context(command), name)
        if found is None:
            return [name]
        command = found
    options = {"--help", "--version"}.union(*(option.opts + option.secondary_opts for option in command.params))
    return [word for word in words if word.startswith("-") and word.partition("=")[0] not in options]


def test_calls_are_read_from_blocks_and_backticks() -> None:
    block = "```sh\n$ .venv/bin/tailorbird train \\\n  --config c.yaml | tee log\nmake a # b\n```\n"
    text = block + "or `make c`, make sure\n"
    assert calls(text, "tailorbird") == [["train", "--config", "c.yaml"]]
    assert calls(text, "make") == [["a"], ["c"]]


def test_readme_says_how_to_begin() -> None:
    named = {word for arguments in calls(README.read_text(encoding="utf-8"), "make") for word in arguments}
    assert {"demo", "test"} <= named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_exists(page: Path) -> None:
    found = calls(page.read_text(encoding="utf-8"), "make")
    assert {arguments[0] for arguments in found if arguments and "=" not in arguments[0]} - make_targets() == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_exists(page: Path) -> None:
    assert isinstance(tailorbird.main, click.Group)
    found = calls(page.read_text(encoding="utf-8"), "tailorbird")
    assert [(call, unknown) for call in found if (unknown := unknown_words(call))] == []


@pytest.mark.parametrize("arguments", [["no-such-command"], ["train", "--no-such-option"]])
def test_an_invented_command_would_be_found(arguments: list[str]) -> None:
    assert unknown_words(arguments) == arguments[-1:]
