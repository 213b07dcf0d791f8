"""The floor: an endpoint of the same BentoML that does nothing, set up as the product is, `TAILORBIRD_WORKERS` too.

bentoml serve benchmarks.serving.floor_service:Floor
"""

import os

import bentoml


@bentoml.service(
    name="floor",
    workers=int(os.environ.get("TAILORBIRD_WORKERS", "1")),
    logging={"access": {"enabled": False}},
)
class Floor:
    """Answers nothing, as fast as it can."""

    @bentoml.api(route="/empty")  # type: ignore[untyped-decorator]  # BentoML has no types
    async def empty(self) -> dict[str, str]:
        """An empty object."""
        return {}
