"""What stands beside the bundle that answers: a canary for some of the people, a shadow for nobody."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from serving.desk.assignment import Split
from serving.shadow.shadow import Shadow

if TYPE_CHECKING:  # a desk has others beside it
    from serving.desk.desk import Desk


class CanaryDesk(NamedTuple):
    """Another bundle's desk, and whom it answers."""

    present: Callable[[], "Desk"]
    split: Split

    @property
    def desk(self) -> "Desk":
        """As it is now: item changes make another one."""
        return self.present()


class Beside(NamedTuple):
    """Either may be absent."""

    canary: CanaryDesk | None = None
    shadow: Shadow | None = None


ALONE = Beside()
