"""Texts in the bytes of a SQLite file that no row owns: unused parts of pages, and pages on the free list.

Run as a program, because a process that closes a file gives up all locks that it has on it, those of SQLite too:
`python unused_bytes.py FILE` reads a JSON list of texts and prints how often they stand there, by the file's name.
The form of pages is that of https://www.sqlite.org/fileformat.html, sections 1.3 to 1.6, and of the log section 4.1.
"""

import json
import mmap
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

SHORTEST = 4
"""Shorter texts stand in any file by chance, and are not looked for."""
FILE_HEADER = 100
LOG_HEADER = 32
FRAME_HEADER = 24
INNER_PAGES, LEAF_PAGES = (2, 5), (10, 13)

Bytes: TypeAlias = mmap.mmap | bytes


class Layout(NamedTuple):
    """Where the pages of a file lie."""

    first: int
    """Where the first one begins, in bytes."""
    step: int
    """From one beginning to the next, in bytes."""
    size: int
    """Bytes of a page."""

    def start(self, place: int) -> int | None:
        """The beginning of the page around a place; None between pages."""
        if place < self.first:
            return None
        start = place - (place - self.first) % self.step
        return start if place < start + self.size else None


def search_in_process(path: Path, texts: Sequence[str]) -> dict[str, int]:
    """How often any of the texts stands in unused bytes of the store at a path, by file; an empty dict when nowhere.

    Raises OSError and `subprocess.CalledProcessError` when the files cannot be read.
    """
    call = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(path)]
    done = subprocess.run(call, input=json.dumps(list(texts)), capture_output=True, text=True, check=True)
    found: dict[str, int] = json.loads(done.stdout)
    return found


def search(path: Path, texts: Sequence[str]) -> dict[str, int]:
    """The same, read in this process, which must not have the file open as a store."""
    long_enough = [text for text in texts if len(text) >= SHORTEST]
    needles = sorted({form.encode() for text in long_enough for form in (text, json.dumps(text)[1:-1])})
    with path.open("rb") as file, _mapped(file.fileno(), path.stat().st_size) as content:
        size = _page_size(content)
        free = frozenset(_free_pages(content, size))
        found = {path.name: _count(content, Layout(0, size, size), needles, free)}
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size > LOG_HEADER:
        frames = Layout(LOG_HEADER + FRAME_HEADER, size + FRAME_HEADER, size)
        found[log.name] = _count(log.read_bytes(), frames, needles, frozenset())
    return {name: count for name, count in found.items() if count}


def _mapped(descriptor: int, size: int) -> mmap.mmap:
    return mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)


def _page_size(content: Bytes) -> int:
    size = _number(content, 16, 2)
    return 65_536 if size == 1 else size


def _free_pages(content: Bytes, size: int) -> Iterator[int]:
    """Where the pages of the free list begin."""
    trunk = _number(content, 32, 4)
    while trunk:
        start = (trunk - 1) * size
        yield start
        for place in range(_number(content, start + 4, 4)):
            yield (_number(content, start + 8 + 4 * place, 4) - 1) * size
        trunk = _number(content, start, 4)


def _count(content: Bytes, layout: Layout, needles: Sequence[bytes], free: frozenset[int]) -> int:
    count = 0
    for needle in needles:
        place = content.find(needle)
        while place >= 0:
            start = layout.start(place)
            if start is not None:
                count += start in free or _unused(content, start, place)
            place = content.find(needle, place + 1)
    return count


def _unused(content: Bytes, start: int, place: int) -> bool:
    """Whether a place of a tree's page lies in its gap or in a free block; other pages are used as a whole."""
    header = start + (FILE_HEADER if content[start : start + 6] == b"SQLite" else 0)
    if content[header] not in (*INNER_PAGES, *LEAF_PAGES):
        return False
    cells = _number(content, header + 3, 2)
    begin = header + (12 if content[header] in INNER_PAGES else 8) + 2 * cells
    end = start + (_number(content, header + 5, 2) or 65_536)
    if begin <= place < end:
        return True
    block = _number(content, header + 1, 2)
    while block:
        if start + block <= place < start + block + _number(content, start + block + 2, 2):
            return True
        following = _number(content, start + block, 2)
        block = following if following > block else 0
    return False


def _number(content: Bytes, place: int, width: int) -> int:
    return int.from_bytes(content[place : place + width], "big")


if __name__ == "__main__":
    json.dump(search(Path(sys.argv[1]), json.load(sys.stdin)), sys.stdout)
