"""Mapped arrays: what is given back comes again from the file."""

from pathlib import Path

import numpy as np

from features.arrays import Halved, halved, let_go, mapped


def resident_kb(path: Path) -> int:
    """How much of a mapped file this process holds, in KB."""
    lines = Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines()
    starts = [place for place, line in enumerate(lines) if line.endswith(str(path))]
    return sum(int(next(line for line in lines[start:] if line.startswith("Rss:")).split()[1]) for start in starts)


def test_a_mapped_array_that_was_let_go_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "numbers.npy"
    np.save(path, np.arange(500_000))
    array = mapped(path)
    total = array[2:].sum()
    assert resident_kb(path) > 3_000
    let_go(array[2:])
    assert resident_kb(path) < 1_000
    assert array[2:].sum() == total


def test_an_array_in_memory_stays() -> None:
    array = np.arange(10)
    let_go(array)
    assert array.tolist() == list(range(10))


def test_halved_values_are_read_as_they_were_rounded(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    rounded = halved(vectors)
    assert np.allclose(rounded, vectors, rtol=1e-3)
    assert np.array_equal(halved(rounded), rounded)
    np.save(tmp_path / "vectors.npy", rounded.astype(np.float16))
    held = Halved(mapped(tmp_path / "vectors.npy"))
    rows = np.array([3, 3, 49])
    assert held[rows].dtype == np.asarray(held).dtype == np.float32
    assert np.array_equal(held[rows], rounded[rows])
    assert np.array_equal(np.asarray(held), rounded)
    assert np.asarray(held, dtype=np.float64).dtype == np.float64
    assert len(held) == 50
