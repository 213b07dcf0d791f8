"""Refused events tried again, after the configuration has changed; a second time nothing is doubled."""

from typing import NamedTuple

from features.dataset import DatasetConfig
from serving.api.replies import EventReply
from serving.desk.intake import Intake
from serving.state.dead_letters import DeadLetter
from serving.state.protocol import Admit, State, StoredEvent, everyone

AT_ONCE = 500


class Replayed(NamedTuple):
    """What became of refused events."""

    stored: int
    duplicates: int
    """That were stored meanwhile."""
    given_up: int
    """Of people who were erased, or of whom nothing may be stored."""
    left: int
    """That are refused still."""


def replay(state: State, dataset: DatasetConfig, now: int, admit: Admit = everyone) -> Replayed:
    """Store what is right by now, in the order of the letters, and drop its letters; the others stay.

    An event that says no time keeps that of its letter. Should this be broken off, what is stored is a duplicate the
    next time. Raises `StateError`.
    """
    intake, found, number = Intake(dataset), {"stored": 0, "duplicate": 0, "erased": 0, "not_stored": 0}, 0
    left = 0
    while letters := state.dead_letters.after(number, AT_ONCE):
        number = letters[-1].number
        checked = [(letter, _checked(intake, letter, now)) for letter in letters]
        right = [(letter, one) for letter, one in checked if not isinstance(one, EventReply)]
        for outcome in state.append([one for _, one in right], admit) if right else ():
            found[outcome] += 1
        state.dead_letters.drop([letter.number for letter, _ in right])
        left += len(letters) - len(right)
    return Replayed(found["stored"], found["duplicate"], found["erased"] + found["not_stored"], left)


def _checked(intake: Intake, letter: DeadLetter, now: int) -> StoredEvent | EventReply:
    content = letter.refused.content
    one = intake.posted(content, now)
    if isinstance(one, EventReply) or content.get("time") is not None:
        return one
    return one._replace(moment=letter.refused.moment)
