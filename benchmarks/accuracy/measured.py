"""Running a process and measuring it whole: wall time, and the peak memory of it and all that it starts.

Memory is the sum of PSS over the tree of processes, so that pages which workers share count once. What is measured
is written while the process runs: a run that is broken off and taken up again adds its parts.
"""

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from benchmarks.accuracy.results import write_atomically

SAMPLE_SECONDS = 0.5
"""Between two looks at the memory, at least."""
LOOKING_SHARE = 0.02
"""Share of the time that may be spent on looking: a process of 9 GB stands still for a tenth of a second."""
WRITE_SECONDS = 10.0
PR_SET_PDEATHSIG = 1


class BenchmarkError(RuntimeError):
    """A measured process ended with an error, or could not start."""


class Measure(NamedTuple):
    """What all runs of one command took together."""

    seconds: float = 0.0
    """Wall time, over all attempts."""
    peak_mb: float = 0.0
    """Highest sum of PSS of the tree of processes, in MiB."""
    load: float = 0.0
    """Mean load of the machine while it ran: above the threads used, something else ran too."""
    attempts: int = 0
    commits: tuple[str, ...] = ()
    """Versions of the code that ran, oldest first."""
    done: bool = False

    @classmethod
    def read(cls, path: Path) -> "Measure":
        """What was measured so far."""
        if not path.exists():
            return cls()
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**content, "commits": tuple(content["commits"])})

    def after(self, seconds: float, peak_mb: float, loads: Sequence[float]) -> "Measure":
        """With one more attempt's figures."""
        load = sum(loads) / len(loads) if loads else self.load
        total = self.seconds + seconds
        return self._replace(
            seconds=round(total, 1),
            peak_mb=round(max(self.peak_mb, peak_mb), 1),
            load=round((self.load * self.seconds + load * seconds) / total, 2) if total else 0.0,
        )


def run_measured(
    command: Sequence[str | Path], log: Path, record: Path, *, cwd: Path, environment: Mapping[str, str], commit: str
) -> Measure:
    """Run a command to its end, its output appended to `log`; the measure lies in `record` too.

    Raises BenchmarkError when it fails, or when it is already running for the same record.
    """
    before = Measure.read(record)
    commits = tuple(dict.fromkeys([*before.commits, commit]))
    before = before._replace(attempts=before.attempts + 1, commits=commits)
    record.parent.mkdir(parents=True, exist_ok=True)
    with alone(record.with_suffix(".lock")) as lock, log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command], stdout=output, stderr=output, cwd=cwd, env=dict(environment),
            pass_fds=[lock.fileno()],
            preexec_fn=_end_with_parent,
        )  # fmt: skip
        try:
            measure = _watch(process, before, record)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    measure = measure._replace(done=process.returncode == 0)
    _write(record, measure)
    if not measure.done:
        raise BenchmarkError(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{_tail(log)}")
    return measure


@contextmanager
def alone(path: Path) -> Iterator[IO[str]]:
    """Hold a file's lock; a child that inherits the file holds on to it. Raises BenchmarkError when another has it."""
    with path.open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BenchmarkError(f"{path.parent} is in use by another run: wait for its end, or stop it") from None
        yield file


def _end_with_parent() -> None:
    """Linux: nothing goes on unmeasured when the benchmark is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _watch(process: subprocess.Popen[bytes], before: Measure, record: Path) -> Measure:
    started = written = time.monotonic()
    peak, loads, running, pause = 0.0, list[float](), True, SAMPLE_SECONDS
    while running:
        try:
            process.wait(pause)
            running = False
        except subprocess.TimeoutExpired:
            look = time.monotonic()
            peak = max(peak, tree_mb(process.pid))
            loads.append(os.getloadavg()[0])
            pause = max(SAMPLE_SECONDS, (time.monotonic() - look) / LOOKING_SHARE)
        now = time.monotonic()
        if not running or now - written > WRITE_SECONDS:
            _write(record, before.after(now - started, peak, loads))
            written = now
    return before.after(time.monotonic() - started, peak, loads)


def tree_mb(root: int) -> float:
    """PSS of a process and its descendants, in MiB; one that has just ended counts nothing."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        if (parent := _parent(status)) is not None:
            children.setdefault(parent, []).append(int(status.parent.name))
    total, waiting = 0.0, [root]
    while waiting:
        one = waiting.pop()
        total += _pss_mb(one)
        waiting += children.get(one, [])
    return total


def _parent(status: Path) -> int | None:
    try:
        return int(status.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
    except OSError:
        return None


def _pss_mb(process: int) -> float:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def _write(record: Path, measure: Measure) -> None:
    write_atomically(record, json.dumps(measure._asdict(), indent=1))


def _tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
