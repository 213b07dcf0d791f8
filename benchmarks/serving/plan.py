"""What a measurement needs: the built world of a size, its people, and for how long each run goes."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.accuracy.measured import BenchmarkError
from benchmarks.serving.crowd import Crowd
from benchmarks.serving.servers import Service


class NotYetError(RuntimeError):
    """A part that the product cannot do, as far as its own description of its routes tells."""


class Plan(NamedTuple):
    """One size, ready to be measured."""

    size: str
    items: int
    folder: Path
    """Of this size: bundle, state and logs."""
    bundle: Path
    state: str
    item_ids: list[str]
    crowd: Crowd
    seconds: float
    """Length of each run."""
    workers: int = 2
    bulk_users: int = 20_000
    memory_requests: int = 10_000
    """Requests to each worker before its memory is read."""
    swaps: int = 1

    @property
    def logs(self) -> Path:
        """Where services write."""
        return self.folder / "logs"

    def saturation(self, results: Path) -> float:
        """What a run with everything waiting gave. Raises BenchmarkError when that was not measured."""
        rows = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
        measured = rows.get(self.size, {}).get("saturation_rps")
        if measured is None:
            raise BenchmarkError(f"{self.size}: this part needs the saturation: measure --part saturation first")
        return float(measured)


def require_route(service: Service, path: str) -> None:
    """Raises NotYetError when the service has no such route."""
    if path not in service.schema().get("paths", {}):
        raise NotYetError(f"the service has no {path} yet")


def require_field(service: Service, path: str, field: str) -> None:
    """Raises NotYetError when requests to a route have no such field."""
    require_route(service, path)
    schema = service.schema()
    content = schema["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    if field not in _resolved(content, schema).get("properties", {}):
        raise NotYetError(f"requests to {path} have no field {field!r} yet")


def _resolved(part: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = part.get("$ref", "")
    return schema["components"]["schemas"][reference.rpartition("/")[2]] if reference else part
