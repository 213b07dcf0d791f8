"""Starting the load generator and reading what it measured."""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.accuracy.datasets import ROOT
from benchmarks.accuracy.environments import clean_environment
from benchmarks.accuracy.measured import BenchmarkError
from benchmarks.serving.load import Job
from benchmarks.serving.samples import BROKEN, Sample, told
from benchmarks.serving.traffic import Call, write_calls

CONNECTIONS = 64
BUSY = 0.8
"""Share of a core from which on a generator may have been what limited a run."""


class Outcome(NamedTuple):
    """One run of the generator."""

    samples: list[Sample]
    seconds: float
    """From the first request that was due to the last answer."""
    began: float
    """When the first was due, by the clock of the machine (`time.perf_counter`)."""
    generator_cpu: float
    """Cores that the generator itself used."""

    def told(self) -> dict[str, Any]:
        """Figures of all samples, with a note when the generator was too slow."""
        figures = {**told(self.samples, self.seconds), "generator_cpu": self.generator_cpu}
        if self.generator_cpu > BUSY:
            figures["note"] = "the generator was busy; the service may be faster than this"
        if all(one.status == BROKEN for one in self.samples):
            raise BenchmarkError("the service gave no answer at all; its log stands in the folder of the run")
        return figures


class Generator:
    """A generator at work."""

    def __init__(self, process: "subprocess.Popen[bytes]", outcome: Path) -> None:
        self._process = process
        self._outcome = outcome

    def stop(self) -> None:
        """Send no more requests."""
        self._process.send_signal(signal.SIGTERM)

    def outcome(self) -> Outcome:
        """Wait for the end. Raises BenchmarkError when the generator failed."""
        _, errors = self._process.communicate()
        if self._process.returncode:
            raise BenchmarkError(f"the load generator failed:\n{errors.decode(errors='replace')[-2000:]}")
        content = json.loads(self._outcome.read_text(encoding="utf-8"))
        samples = [Sample(*one) for one in content["samples"]]
        return Outcome(samples, content["wall"], content["began"], content["generator_cpu"])


@contextmanager
def generating(calls: Sequence[Call], **job: Any) -> Iterator[Generator]:
    """Requests that are sent while something else is done; `job` as in `load.Job`."""
    with tempfile.TemporaryDirectory(prefix="bench-load-") as name:
        path = Path(name) / "job.json"
        write_calls(calls, path.with_name("calls.jsonl"))
        wanted = Job.model_validate({"connections": CONNECTIONS, **job, "calls": path.with_name("calls.jsonl")})
        path.write_text(wanted.model_dump_json(), encoding="utf-8")
        command = [sys.executable, "-m", "benchmarks.serving.load", str(path)]
        with subprocess.Popen(command, cwd=ROOT, env=clean_environment(), stderr=subprocess.PIPE) as process:
            try:
                yield Generator(process, path.with_suffix(".out.json"))
            finally:
                process.kill()


def drive(calls: Sequence[Call], **job: Any) -> Outcome:
    """One run of the generator, from its start to its end."""
    with generating(calls, **job) as generator:
        return generator.outcome()
