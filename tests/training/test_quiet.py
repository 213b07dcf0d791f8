"""Other libraries' chat is held back, their warnings are not, and bars go where somebody watches."""

import logging
import sys
import warnings

import pytest

from training.progress import ProgressBar
from training.quiet import LEVELS, quiet


def test_chat_is_held_back_and_warnings_pass() -> None:
    lightning, registration, optuna = (logging.getLogger(name) for name in LEVELS)
    before = lightning.level, registration.level
    with warnings.catch_warnings(record=True, action="always") as caught, quiet():
        warnings.warn("`isinstance(treespec, LeafSpec)` is deprecated", FutureWarning, stacklevel=1)
        warnings.warn("the loss is not finite", UserWarning, stacklevel=1)
        assert (lightning.isEnabledFor(logging.INFO), lightning.isEnabledFor(logging.WARNING)) == (False, True)
        assert not registration.isEnabledFor(logging.WARNING)
        assert not optuna.isEnabledFor(logging.INFO)
    assert [str(one.message) for one in caught] == ["the loss is not finite"]
    assert (lightning.level, registration.level) == before


@pytest.mark.parametrize("watched", [True, False])
def test_a_bar_is_drawn_on_stderr_where_somebody_watches(
    watched: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: watched)
    bar = ProgressBar("towers").init_train_tqdm()
    bar.set_description("towers, epoch 1")
    bar.close()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert ("towers, epoch 1" in shown.err) == watched
