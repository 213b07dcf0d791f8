"""Some of the ranker's moments are those of people without a past; nothing else of them changes."""

import numpy as np
import pytest

from features.person import Events, Person, Taken
from training.moments import Moment, Shown
from training.strangers import with_strangers

PAST = Events(("i1", "i2"), ("view", "buy"), np.array([1, 2]), np.array([np.nan, 5.0], dtype=np.float32))


def moment(number: int, shown: Shown | None = None) -> Moment:
    taken = Taken(("i1", "i2"), ("view", "buy"), np.array([1, 2]))
    person = Person(PAST, taken, attributes={"city": "Gdynia"}, context={"device": "tv"})
    return Moment(f"u{number}", person, 10 + number, "i3", ("buy",), shown)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_the_moments_knows_nothing_of_what_was_done(share: float) -> None:
    before = [moment(number) for number in range(40)]
    after = with_strangers(before, share, seed=0)
    strange = [one for one in after if len(one.person.events) == 0]
    assert len(strange) == share * 40
    assert all(len(one.person.taken_until(one.moment).item_ids) == 0 for one in strange)
    assert all(one.person.attributes == {"city": "Gdynia"} and one.person.context == {"device": "tv"} for one in after)
    assert [one[2:] for one in after] == [one[2:] for one in before]
    again = with_strangers(before, share, seed=0)
    assert [len(one.person.events) for one in again] == [len(one.person.events) for one in after]


def test_a_list_that_was_shown_keeps_the_past_it_was_made_for() -> None:
    before = [moment(0, Shown({"i3": 1, "i4": 2})), moment(1)]
    after = with_strangers(before, 1.0, seed=0)
    assert [len(one.person.events) for one in after] == [2, 0]
