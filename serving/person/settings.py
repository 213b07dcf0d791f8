"""The sections of `serving` that say how long what is kept, and what an erasure looks through."""

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import Field

from features.strict import StrictConfig

Days = Annotated[float, Field(gt=0)]


class RetentionConfig(StrictConfig):
    """How long what is known of people is kept, in days; what is not named is kept until it is erased.

    A service removes what is older in the background, `tailorbird state expire` at once.
    """

    events: dict[str, Days] = {}
    """By event type: days after which an event is removed, with what was taken by it alone; a person of whom nothing is
    left is forgotten. Needs events with a time."""
    purposes: dict[Literal["personalize", "train", "measure"], Days] = {}
    """By purpose: days after which an event is removed that its person allows for this purpose alone. Of several that
    they allow the longest counts, and one that is not named here has no end; who allows none of them any more has the
    shortest. Needs events with a time."""
    served: Days | None = None
    """Days after which an answer leaves the log of what was served."""
    dead_letters: Days | None = None
    """Days after which a refused event is no longer kept to be tried again, from the time that it says."""
    statements: Days | None = None
    """Days after which a consent or preference is removed that a later one took the place of."""

    def days_by_purpose(self, allowed: Collection[str]) -> float | None:
        """Days for which events are kept of somebody who allows some of the purposes that store; None for no end."""
        named = {str(one): days for one, days in self.purposes.items()}
        if not named or any(one not in named for one in allowed):
            return None
        return max((named[one] for one in allowed), default=min(named.values()))


FOR_EVER = RetentionConfig()
"""Everything is kept until it is erased."""


class PrivacyConfig(StrictConfig):
    """What an erasure looks through beside the store, the registry and the run folder of the bundle."""

    exports: tuple[str, ...] = ()
    """Folders of exported logs, out of which an erased person's rows are taken; relative to the folder of the config
    file if they are there, else to the working one."""
    search: tuple[str, ...] = ()
    """Further files and folders in which an erased person's ids are looked for; nothing is changed in them."""
