"""Work in several processes: results in order, bounded, and every way in which it can end."""

import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from features.errors import ConfigError
from serving.bulk.processes import AHEAD, ProcessError, cores, in_order
from serving.state import open_state


def opener(function: Callable[..., Any], *first: Any) -> Callable[[], Callable[[Any], Any]]:
    """What a process can open without this file: a function with its first arguments."""
    return partial(partial, function, *first)


@pytest.mark.parametrize("processes", [1, 3])
def test_results_come_in_the_order_of_the_inputs(processes: int) -> None:
    inputs = [0.03, 0.0, 0.01, 0.0, 0.02, *[0.0] * 20]
    assert list(in_order(opener(max, 0.005), inputs, processes)) == [max(0.005, one) for one in inputs]


def test_nobody_gets_far_ahead() -> None:
    begun = 0

    def inputs() -> Iterator[int]:
        nonlocal begun
        while begun < 1_000:
            begun += 1
            yield begun

    results = in_order(opener(operator.neg), inputs(), 2)
    assert next(results) == -1
    assert begun <= 2 * AHEAD + 1
    results.close()  # type: ignore[attr-defined]


def test_no_input_gives_no_result() -> None:
    assert list(in_order(opener(operator.neg), [], 2)) == []


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_meant_for_the_reader_arrives_whole(processes: int) -> None:
    with pytest.raises(ConfigError, match="names no store") as told:
        list(in_order(opener(open_state), ["mysql://there"], processes))
    assert told.value.hint


def test_a_fault_is_told_without_its_values() -> None:
    with pytest.raises(ProcessError, match="ValueError") as told:
        list(in_order(opener(int), ["secret"], 2))
    assert "secret" not in str(told.value)


def test_a_process_that_dies_is_told() -> None:
    with pytest.raises(ProcessError, match="ended with exit status 3"):
        list(in_order(opener(os._exit), [3, 3, 3], 2))


def test_a_process_that_is_killed_is_told() -> None:
    with pytest.raises(ProcessError, match="ended by SIGKILL"):
        list(in_order(opener(signal.raise_signal), [signal.SIGKILL], 2))


def test_a_process_that_dies_before_its_first_input_is_told() -> None:
    """The input is larger than what a line holds, so that giving it fails rather than waiting for its result."""
    with pytest.raises(ProcessError, match="ended with exit status 4"):
        list(in_order(partial(os._exit, 4), [b"x" * 10_000_000] * 3, 2))


SLEEPS = """
import signal, time
from functools import partial
from serving.bulk.processes import in_order
signal.signal(signal.SIGINT, signal.default_int_handler)  # who is started in the background inherits that it is ignored
print("begun", flush=True)
list(in_order(partial(partial, time.sleep), [60, 60], 2))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whoever_asked_takes_all_along(how: signal.Signals) -> None:
    """Also when it has no time to tell anybody."""
    command = [sys.executable, "-c", SLEEPS]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as asking:
        assert asking.stdout
        asking.stdout.readline()
        workers = wait_for(lambda: children(asking.pid), 2)
        asking.send_signal(how)
        asking.wait(20)
    assert wait_for(lambda: [one for one in workers if not running(one)], 2)


def wait_for(find: Callable[[], list[int]], count: int) -> list[int]:
    until = time.monotonic() + 20
    while len(found := find()) < count:
        assert time.monotonic() < until, "waited for 20 seconds in vain"
        time.sleep(0.05)
    return found


def children(process: int) -> list[int]:
    told = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [int(one) for one in told.split()]


def running(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_there_is_at_least_one_core() -> None:
    assert cores() >= 1
