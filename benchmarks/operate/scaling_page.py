"""Sections of docs/scaling.md that commands write: what stands between two marks, and nothing else of the page."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy.datasets import ROOT
from benchmarks.accuracy.measured import BenchmarkError
from benchmarks.accuracy.results import write_atomically

DOCS = ROOT / "docs"


def fill(name: str, lines: Sequence[str], docs: Path = DOCS) -> None:
    """Put lines between the marks of a section. Raises BenchmarkError when the page has none."""
    path, begin, end = docs / "scaling.md", f"<!-- {name}: written by a command -->", f"<!-- end of {name} -->"
    page = path.read_text(encoding="utf-8")
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise BenchmarkError(f"{path} has no section {begin} ... {end}")
    write_atomically(path, f"{before}{begin}\n" + "\n".join(lines).strip() + f"\n{end}{after}")
