"""The sections of `serving` that say how long what is kept, and what an erasure looks through."""

from typing import Annotated

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
    statements: Days | None = None
    """Days after which a consent or preference is removed that a later one took the place of."""


FOR_EVER = RetentionConfig()
"""Everything is kept until it is erased."""


class PrivacyConfig(StrictConfig):
    """What an erasure looks through beside the store, the registry and the run folder of the bundle."""

    exports: tuple[str, ...] = ()
    """Folders of exported logs, out of which an erased person's rows are taken; relative to the folder of the config
    file if they are there, else to the working one."""
    search: tuple[str, ...] = ()
    """Further files and folders in which an erased person's ids are looked for; nothing is changed in them."""
