"""The URL of a store: what names none is told, and nothing repeats a password."""

from pathlib import Path

import pytest

from features.errors import ConfigError
from serving.state import absolute_url, in_memory, open_state, without_password


@pytest.mark.parametrize(
    "url",
    [
        "",
        "var/state.db",
        "redis://",
        "redis://host/name",
        "redis://host?x=1",
        "redis://host?keep_days=0",
        "sqlite://",
        "sqlite:///",
        "sqlite://x.db",
        "sqlite:///:memory:",
    ],
)
def test_a_url_that_names_no_store_is_told(url: str) -> None:
    with pytest.raises(ConfigError, match="names no store"):
        open_state(url)


def test_no_error_repeats_a_password() -> None:
    with pytest.raises(ConfigError, match="names no store") as told:
        open_state("redis://me:secret@host:1/name")
    assert "secret" not in str(told.value)
    assert without_password("redis://me:secret@host:1/0?keep_days=9") == "redis://•••@host:1/0?keep_days=9"
    assert without_password("sqlite:///var/state.db") == "sqlite:///var/state.db"


def test_a_url_can_be_made_independent_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_url("sqlite:///var/state.db") == f"sqlite:///{tmp_path}/var/state.db"
    assert absolute_url(f"sqlite:///{tmp_path}/state.db") == f"sqlite:///{tmp_path}/state.db"
    assert absolute_url("sqlite://:memory:") == "sqlite://:memory:"
    assert [in_memory(url) for url in ("sqlite://:memory:", "sqlite:///x.db")] == [True, False]
