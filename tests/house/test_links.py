"""What a page links to is there, and every page of docs/ can be reached from README."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")


def linked_from(page: Path) -> set[Path]:
    """Files that a page links to by a relative path; code blocks are no text."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {(page.parent / found).resolve() for found in LINK.findall(text) if "://" not in found}


@pytest.mark.parametrize("page", [README, *DOCS], ids=lambda page: page.name)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    assert [str(path) for path in linked_from(page) if not path.exists()] == []


def test_every_page_of_the_documentation_is_linked_from_readme() -> None:
    assert {page.name for page in DOCS} - {path.name for path in linked_from(README)} == set()


def test_links_are_read_from_text_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[a](b.md#c) [d](https://example.org)\n\n```sh\n[e](f.md)\n```\n", encoding="utf-8")
    assert linked_from(page) == {tmp_path / "b.md"}
