"""The BentoML service: workers, health and metrics are BentoML's, every other answer is the door's.

bentoml serve serving.service:Tailorbird
"""

from typing import Any

import bentoml

from serving.api.openapi import ROUTES
from serving.http.balance import Balance, own_file
from serving.http.door import Door
from serving.http.reception import Reception
from serving.http.wire import Application
from serving.lifecycle.opening import open_worker, serving_config
from serving.service_native import Native

__all__ = ["ROUTES", "Tailorbird"]

CONFIG = serving_config()
RECEPTION = Reception(open_worker, CONFIG)


class WithDoor(bentoml.Service[Any]):  # type: ignore[misc]  # BentoML has no types
    """A service whose application stands behind our door."""

    def to_asgi(self, is_main: bool = True) -> Application:
        balance = Balance(own_file(), CONFIG.workers) if CONFIG.workers > 1 else None
        return Door(super().to_asgi(is_main), RECEPTION, balance)


@bentoml.service(
    name="tailorbird",
    service_class=WithDoor,
    workers=CONFIG.workers,
    envs=[{"name": "OMP_NUM_THREADS", "value": "1"}],  # FAISS and BLAS: a request is one thread's work, cores are few
    logging={"access": {"enabled": False}},
)
class Tailorbird(Native):
    """What should this person see here, now, and why?"""

    reception = RECEPTION
