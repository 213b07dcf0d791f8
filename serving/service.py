"""The BentoML service: workers, health and metrics are BentoML's, every other answer is the door's.

bentoml serve serving.service:Tailorbird
"""

import os
from typing import Any

import bentoml
import click

from features.errors import TailorbirdError
from serving.access.listening import check_listening
from serving.api.openapi import ROUTES
from serving.http.balance import Balance, own_file
from serving.http.door import Door
from serving.http.reception import Reception
from serving.http.wire import Application
from serving.lifecycle.opening import open_worker, serving_config
from serving.lifecycle.process import settle_process
from serving.service_logging import log_as
from serving.service_native import Native

__all__ = ["ROUTES", "Tailorbird"]


def _check_address() -> None:
    """End `bentoml serve` before it listens where others reach it and nobody has a key.

    Only the process that was started knows the address; it imports this file within its command, of which the workers
    that it starts are none. However else they are started, they answer no one but the machine itself without keys.
    """
    context = click.get_current_context(silent=True)
    if context is not None and "host" in context.params:
        try:
            check_listening(context.params["host"] or EVERYWHERE, CONFIG.access, os.environ)
        except TailorbirdError as error:
            raise SystemExit(f"tailorbird: {error}") from None


EVERYWHERE = "0.0.0.0"  # BentoML's own choice when it is given none
settle_process()
CONFIG = serving_config()
log_as(CONFIG.logging)
_check_address()
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
