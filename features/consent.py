"""Consent by purpose: what a person allows, what their silence means, and the one function that decides.

An answer is a statement of kind "consent" whose key is the purpose and whose value is `granted` or `denied`. Ingestion,
serving, batch and training all ask `decide`; nothing else reads an answer.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Literal, NamedTuple, Self, TypeAlias

from pydantic import Field, model_validator

from features.statements import Statement, in_force
from features.strict import StrictConfig

ConsentAnswer: TypeAlias = Literal["granted", "denied"]
ConsentState: TypeAlias = Literal["granted", "denied", "unknown"]
MERGED = "merge: the stricter answer"
"""The source of an answer that two people get who turn out to be one."""


class Purpose(StrEnum):
    """What a person's data may be used for; a config may name further purposes, which Tailorbird only keeps."""

    PERSONALIZE = "personalize"
    """What they did and what they are decides what they are shown."""
    TRAIN = "train"
    """Models and counts are fitted on it."""
    MEASURE = "measure"
    """What they were shown and did is counted, to judge the service."""
    MARKETING = "marketing"
    """They may be addressed: audiences and campaign lists."""
    SHARE_DEMOGRAPHICS = "share_demographics"
    """Protected attributes and ages are inputs where another purpose is granted."""


STORING = (Purpose.PERSONALIZE, Purpose.TRAIN, Purpose.MEASURE)
"""An event is stored for these: one granted is enough, and each use asks for its own again."""


DESCRIBING = (Purpose.PERSONALIZE, Purpose.TRAIN)
"""An attribute is stored for these; measuring counts what people did, and needs none."""


class Silence(StrictConfig):
    """What it means that a person never answered."""

    unknown: ConsentAnswer = "denied"
    """`granted` treats them as if they had agreed, and needs a `basis`."""
    basis: str | None = Field(default=None, min_length=1)
    """Why that is lawful, such as a contract or a legitimate interest, in words for the person."""

    @model_validator(mode="after")
    def _grant_has_a_basis(self) -> Self:
        if self.unknown == "granted" and self.basis is None:
            raise ValueError("`unknown: granted` needs a `basis`: why nobody has to be asked")
        return self


class ConsentRules(StrictConfig):
    """What silence means, by purpose; the default is opt-in: who was not asked has not agreed."""

    personalize: Silence = Silence()
    """Lists made from what a person did and is."""
    train: Silence = Silence()
    """Models, popularity, trends and transitions fitted on it."""
    measure: Silence = Silence()
    """Counting what was shown and done."""
    marketing: Silence = Silence()
    """Audiences and campaigns."""
    share_demographics: Silence = Silence()
    """Protected attributes and ages as inputs."""
    further: dict[str, Silence] = {}
    """Purposes of your own by name; their answers are kept and shown, and yours to ask."""

    @model_validator(mode="after")
    def _further_are_new(self) -> Self:
        known = [name for name in self.further if name in set(Purpose)]
        if known:
            raise ValueError(f"further.{known[0]}: is no further purpose; write it one level higher")
        return self

    @property
    def purposes(self) -> tuple[str, ...]:
        """Every purpose that there is an answer to."""
        return (*Purpose, *self.further)

    def silence(self, purpose: str) -> Silence:
        """What silence means for a purpose. Raises ValueError for one that nobody named."""
        return self.further[purpose] if purpose in self.further else getattr(self, Purpose(purpose).value)


OPT_IN = ConsentRules()
"""Silence denies; also the rule of imported tables, whose assumption is a statement of everybody."""


class Decision(NamedTuple):
    """Whether a purpose is allowed, and by what."""

    purpose: str
    state: ConsentState
    """What the person says."""
    allowed: bool
    source: str | None
    """Who gave the answer, or the basis on which silence is taken for one."""
    since: int | None
    """From when the answer holds, ms since the epoch; None for silence."""


def decide(purpose: str, statements: Iterable[Statement], rules: ConsentRules, moment: int) -> Decision:
    """Whether one person's data may be used for a purpose at a moment (ms since the epoch).

    `statements` are all of theirs, in any order; for two ids at a login those of `State.statements`, where the stricter
    answer stands. `rules` are those of the source of the data: `serving.consent` for live people, `OPT_IN` for tables.
    """
    answers = (one for one in statements if one.kind == "consent" and one.key == purpose)
    answer = in_force(answers, moment).get(("consent", purpose))
    if answer is None:
        silence = rules.silence(purpose)
        return Decision(purpose, "unknown", silence.unknown == "granted", silence.basis, None)
    granted = answer.value == "granted"
    return Decision(purpose, "granted" if granted else "denied", granted, answer.source, answer.moment)


def storable(statements: Sequence[Statement], rules: ConsentRules, moment: int) -> bool:
    """Whether anything of this person may be stored: some purpose that stores is allowed."""
    return any(decide(purpose, statements, rules, moment).allowed for purpose in STORING)


def describable(statements: Sequence[Statement], rules: ConsentRules, moment: int, *, demographic: bool) -> bool:
    """Whether an attribute of this person may be stored: for lists or for training, the only uses of what people are.

    A demographic one needs that they share it, too.
    """
    asked = (Purpose.SHARE_DEMOGRAPHICS,) if demographic else ()
    return all(decide(one, statements, rules, moment).allowed for one in asked) and any(
        decide(one, statements, rules, moment).allowed for one in DESCRIBING
    )


def stricter(first: Iterable[Statement], second: Iterable[Statement]) -> list[Statement]:
    """What two people who turn out to be one must be taken to say, beside all that they said: denied beats granted.

    A purpose on which one was silent keeps the other's answer. A new statement has the newest moment of its purpose,
    so that it is in force once it comes after the others of that moment.
    """
    both = [[one for one in each if one.kind == "consent"] for each in (first, second)]
    found = []
    for purpose in sorted({one.key for each in both for one in each}):
        said = [[one for one in each if one.key == purpose] for each in both]
        last = max(one.moment for each in said for one in each)
        newest = {one.value for each in said for one in each if one.moment == last}
        if newest != {"denied"} and any(_in_force(each, last) == "denied" for each in said):
            found.append(Statement("consent", purpose, "denied", last, MERGED))
    return found


def _in_force(answers: Iterable[Statement], moment: int) -> ConsentAnswer | None:
    """The answer of one person to one purpose."""
    return next((one.value for one in in_force(answers, moment).values()), None)
