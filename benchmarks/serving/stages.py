"""The stages of one answer, in process and without HTTP: `python -m benchmarks.serving.stages JOB.json`.

A process of its own, opened as a worker of the service is. Body to bytes, over the same people as the load: their
sum is what an answer costs when nothing stands between the caller and the model.
"""

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import BaseModel, ConfigDict

from benchmarks.accuracy.results import write_atomically
from benchmarks.serving.samples import percentile
from benchmarks.serving.traffic import Call, recommends
from serving.api.endpoints import ENDPOINTS
from serving.desk.desk import Desk
from serving.http.wire import parse_json, to_json
from serving.lifecycle.opening import open_worker

WARM = 50


class StagesJob(BaseModel):
    """Over whom to measure."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle: Path
    state: str
    users: list[str]
    """The first `WARM` of them are asked and not counted."""


class Watched:
    """Stands before an object of the desk and adds up the milliseconds spent in some of its methods."""

    def __init__(self, inner: Any, *methods: str) -> None:
        self._inner = inner
        self._methods = methods
        self.spent = 0.0
        self.answer: Any = None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._timed(found) if name in self._methods else found

    def _timed(self, method: Any) -> Any:
        def timed(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            self.answer = method(*arguments, **named)
            self.spent += (time.perf_counter() - start) * 1000
            return self.answer

        return timed

    def taken(self) -> float:
        """Milliseconds since the last call of this."""
        spent, self.spent = self.spent, 0.0
        return spent


def measure(desk: Desk, calls: list[Call]) -> list[dict[str, float]]:
    """Milliseconds by stage of each request, in the order of the stages; `sum` is the whole."""
    endpoint = next(one for one in ENDPOINTS if one.path == "/v1/recommend")
    state = Watched(desk._state, "person", "known")
    pipeline = Watched(desk.pipeline, "recommend")
    desk._state, desk.pipeline = state, pipeline  # type: ignore[assignment]
    told = []
    for call in calls:
        body = json.dumps(call.body).encode()
        start = time.perf_counter()
        request = endpoint.request.model_validate(parse_json(body))
        parsed = time.perf_counter()
        reply = endpoint.answer(desk, request, "measured")
        replied = time.perf_counter()
        to_json(reply)
        end = time.perf_counter()
        reading, thinking, answer = state.taken(), pipeline.taken(), pipeline.answer
        told.append(
            {
                "parse": (parsed - start) * 1000,
                "state": reading,
                **answer.timings,
                "other": thinking - sum(answer.timings.values()),
                "reply": (replied - parsed) * 1000 - reading - thinking,
                "json": (end - replied) * 1000,
                "sum": (end - start) * 1000,
            }
        )
    return told


def summary(told: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """p50_ms and p99_ms of each stage."""
    names = list(dict.fromkeys(name for one in told for name in one))
    columns = {name: [one.get(name, 0.0) for one in told] for name in names}
    return {
        name: {"p50_ms": round(median(values), 4), "p99_ms": round(percentile(values, 99), 4)}
        for name, values in columns.items()
    }


def main() -> None:
    """Read the job, do it, and write what came of it beside it."""
    path = Path(sys.argv[1])
    job = StagesJob.model_validate_json(path.read_bytes())
    worker = open_worker({"TAILORBIRD_BUNDLE": str(job.bundle), "TAILORBIRD_STATE": job.state})
    told = measure(worker.desk, recommends(job.users))[WARM:]
    worker.close()
    write_atomically(path.with_suffix(".out.json"), json.dumps(summary(told)))


if __name__ == "__main__":
    main()
