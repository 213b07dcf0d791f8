"""What becomes of a training when nothing more can be written: one sentence, and no half of a file."""

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from features.errors import BundleError, DataError
from training.full_disk import told_when_full
from training.whole_file import unfinished, write_whole


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_what_the_system_calls_full_is_told(tmp_path: Path, number: int) -> None:
    with pytest.raises(DataError, match=r"the disk of .*runs is full \(OSError\)\. Make room"):  # noqa: SIM117
        with told_when_full(tmp_path / "runs"):
            raise OSError(number, "as the system says it")


@pytest.mark.parametrize(("free", "told"), [(0, DataError), (10**9, RuntimeError)])
def test_a_library_that_fails_while_there_is_no_room_failed_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, told: type[Exception]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(told), told_when_full(tmp_path / "runs" / "not there yet"):
        raise RuntimeError("[enforce fail at inline_container.cc]")


def test_an_error_that_has_its_sentence_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(BundleError, match="damaged"), told_when_full(tmp_path):
        raise BundleError("damaged")


def half_written(path: Path) -> None:
    path.write_text("half of the sec")
    raise OSError(errno.ENOSPC, "full")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "run.json"
    write_whole(path, "first")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "second \ud800")
    with pytest.raises(OSError, match="full"), unfinished(path) as fresh:
        half_written(fresh)
    assert path.read_text() == "first"
    assert [one.name for one in path.parent.iterdir()] == ["run.json"]
