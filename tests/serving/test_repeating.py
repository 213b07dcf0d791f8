"""A look that fails is told once and looks again; stopping ends it, and nothing else does."""

import logging
import threading

import pytest

from features.errors import StateError
from serving.lifecycle.repeating import Repeating


def test_it_looks_until_it_is_stopped() -> None:
    looked = threading.Semaphore(0)
    thread = Repeating("items", looked.release, 0.001)
    thread.start()
    for _ in range(3):
        assert looked.acquire(timeout=10)
    thread.stop()
    while looked.acquire(blocking=False):
        pass
    assert not looked.acquire(timeout=0.02)


def test_a_look_that_may_be_broken_off_holds_up_no_stop() -> None:
    looked, ended = threading.Semaphore(0), threading.Event()

    def look() -> None:
        looked.release()
        ended.wait(10)

    thread = Repeating("erasures", look, 0.001, stop_seconds=0.01)
    thread.start()
    assert looked.acquire(timeout=10)
    thread.stop()
    assert not ended.is_set()
    ended.set()


def test_it_can_be_stopped_before_it_began() -> None:
    looked = threading.Event()
    Repeating("items", looked.set, 0.001).stop()
    assert not looked.wait(0.02)


@pytest.mark.parametrize(
    ("error", "told"), [(StateError("no answer"), "items: no answer"), (KeyError("secret"), "items: KeyError")]
)
def test_a_trouble_is_told_once_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture, error: Exception, told: str
) -> None:
    looks = iter([error, error, None, None])
    ended = threading.Event()

    def look() -> None:
        trouble = next(looks, "over")
        if isinstance(trouble, Exception):
            raise trouble
        if trouble == "over":
            ended.set()

    with caplog.at_level(logging.INFO, "bentoml.tailorbird"):
        thread = Repeating("items", look, 0.001)
        thread.start()
        assert ended.wait(10)
        thread.stop()
    assert [record.message.split("\n")[0] for record in caplog.records] == [told, "items: works again"]
    assert "secret" not in caplog.text
