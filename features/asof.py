"""The as-of join: which value of a changing attribute held at each event, in any engine's table.

A union of events and changes, an ordered window that counts the changes so far, and a join on that count;
narwhals has no `join_asof` on every engine. In memory, `features.events.Changes` does the same.

Rows are sorted before each window, because narwhals 2.29 scatters the result of an ordered window over pandas rows
wrongly unless they already stand in that order (the search by hand in the tests finds it).
"""

import narwhals as nw

from features.frames import Frame

_IS_EVENT, _CHANGES = "__is_event", "__changes"


def as_of(events: Frame, changes: Frame, by: str, time: str, value: str) -> Frame:
    """The events with a column `value`: that of the newest change of the same `by` at or before `time`.

    Missing before the first change, and where the newest change is itself missing. Of several changes at one
    time the greatest value holds. `by` and `time` need one type on both sides; the order of rows is not kept.
    """
    changes = changes.group_by(by, time).agg(nw.col(value).max())
    numbered = changes.sort(by, time).select(
        by, value, nw.col(time).cum_count().over(by, order_by=time).alias(_CHANGES)
    )
    moments = nw.concat(
        [
            changes.select(by, time, nw.lit(0).alias(_IS_EVENT)),
            events.select(by, time).unique().with_columns(nw.lit(1).alias(_IS_EVENT)),
        ],
        how="vertical",
    )
    so_far = (1 - nw.col(_IS_EVENT)).cum_sum().over(by, order_by=(time, _IS_EVENT))
    counted = moments.sort(by, time, _IS_EVENT).with_columns(so_far.alias(_CHANGES)).filter(nw.col(_IS_EVENT) == 1)
    held = counted.join(numbered, on=[by, _CHANGES], how="left").select(by, time, value)
    return events.join(held, on=[by, time], how="left")
