"""A lock between processes: one holder, and none once the holder is gone."""

import subprocess
import sys
from pathlib import Path

import pytest

from serving.lifecycle.lock import only_one

HOLD = """
import sys
from pathlib import Path
from serving.lifecycle.lock import only_one
with only_one(Path(sys.argv[1])) as ours:
    print(ours, flush=True)
    sys.stdin.read()
"""


def test_only_one_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with only_one(path) as first, only_one(path) as second:
        assert first
        assert not second
    with only_one(path) as again:
        assert again


def test_it_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        with only_one(path) as ours:
            assert not ours
        holder.kill()
    with only_one(path) as ours:
        assert ours


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"), only_one(tmp_path / "lock"):
        pass
    assert not (tmp_path / "elsewhere").exists()
