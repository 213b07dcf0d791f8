"""The world as a company hands it over: Parquet tables of events, users, items, plans, prices and logins.

Ids are strings. Before a person has joined, events stand under an anonymous id, which has no row in the table
of users; `links.parquet` says who it was. Events are written batch by batch, so that memory stays bounded:
they are in order within a person, not across people.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.arrays import BoolArray, IntArray
from features.moments import DAY, YEAR
from training.simulator.catalogue import CATEGORIES, FOREVER
from training.simulator.latent import RealArray
from training.simulator.log import EVENT_TYPES, RETURN, EventLog
from training.simulator.people import COUNTRIES, GENDERS, PLANS
from training.simulator.sessions import DEVICES, Sessions
from training.simulator.world import World

TIME = pa.timestamp("us", tz="UTC")
EVENTS_SCHEMA = pa.schema(
    {
        "event_id": pa.string(),
        "user_id": pa.string(),
        "item_id": pa.string(),
        "event_type": pa.string(),
        "timestamp": TIME,
        "value": pa.float64(),
        "session_id": pa.string(),
        "device": pa.string(),
        "position": pa.int32(),
        "request_id": pa.string(),
    }
)


class EventWriter:
    """Writes `events.parquet`, one row group for each batch, and knows who came as an anonymous visitor."""

    def __init__(self, world: World, path: Path) -> None:
        self._world = world
        self._users, self._visitors = (names(letter, len(world.people)) for letter in "ua")
        self._items = names("i", len(world.catalogue))
        self._writer = pq.ParquetWriter(path, EVENTS_SCHEMA)
        self._sessions_before = 0
        self.rows = 0
        """Events written so far."""
        self.seen_before_login: BoolArray = np.zeros(len(world.people), dtype=bool)
        """[U]: whether a person has events under an anonymous id."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def write(self, log: EventLog, sessions: Sessions) -> None:
        """Append one batch; session ids go on counting where the batch before ended."""
        anonymous = log.moments < self._world.people.joined_at[log.users]
        self.seen_before_login[log.users[anonymous]] = True
        if len(log):
            self._writer.write_table(self._table(log, sessions, anonymous))
        self.rows += len(log)
        self._sessions_before += len(sessions)

    def _table(self, log: EventLog, sessions: Sessions, anonymous: BoolArray) -> pa.Table:
        outside = log.types == RETURN
        on_slate = (log.slots >= 0) & ~outside
        numbers = log.sessions + self._sessions_before
        ids = np.where(anonymous, log.users + len(self._users), log.users)
        columns = [
            _numbered("e", np.arange(self.rows, self.rows + len(log))),
            pa.concat_arrays([self._users, self._visitors]).take(pa.array(ids)),
            self._items.take(pa.array(log.items)),
            pa.array(EVENT_TYPES).take(pa.array(log.types)),
            times(log.moments),
            _reals(log.values(self._world)),
            _masked(_numbered("s", numbers), outside),
            _masked(pa.array(DEVICES).take(pa.array(sessions.devices[log.sessions])), outside),
            pa.array(log.slots + 1, type=pa.int32(), mask=~on_slate),
            _masked(_numbered("r", numbers), ~on_slate),
        ]
        return pa.Table.from_arrays(columns, schema=EVENTS_SCHEMA)


def write_people(world: World, seen_before_login: BoolArray, directory: Path) -> None:
    """Write `users.parquet`, `user_plans.parquet` and `links.parquet`."""
    people = world.people
    ids, everybody = names("u", len(people)), np.arange(len(people))
    users = {
        "user_id": ids,
        "gender": pa.array(GENDERS).take(pa.array(people.genders)),
        "birth_date": pa.array(_birth_dates(world)),
        "country": pa.array(COUNTRIES).take(pa.array(people.countries)),
        "joined_at": times(people.joined_at),
    }
    pq.write_table(pa.table(users), directory / "users.parquet")
    changed = np.flatnonzero(people.plan_changed_at < FOREVER)
    plans = {
        "user_id": ids.take(pa.array(np.r_[everybody, changed])),
        "plan": pa.array(PLANS).take(pa.array(np.r_[people.plans, people.later_plans[changed]])),
        "changed_at": times(np.r_[people.joined_at, people.plan_changed_at[changed]]),
    }
    pq.write_table(pa.table(plans), directory / "user_plans.parquet")
    visitors = pa.array(np.flatnonzero(seen_before_login))
    links = {
        "anonymous_id": names("a", len(people)).take(visitors),
        "user_id": ids.take(visitors),
        "linked_at": times(people.joined_at[seen_before_login]),
    }
    pq.write_table(pa.table(links), directory / "links.parquet")


def write_items(world: World, directory: Path) -> None:
    """Write `items.parquet` and `item_prices.parquet`."""
    catalogue = world.catalogue
    ids = names("i", len(catalogue))
    items = {
        "item_id": ids,
        "title": pa.array(catalogue.titles),
        "kind": pa.array(("shop", "streaming")).take(pa.array(catalogue.streamed.astype(np.int64))),
        "category": pa.array(CATEGORIES).take(pa.array(catalogue.categories)),
        "creator": pa.array(catalogue.creators),
        "tags": pa.array(catalogue.tags),
        "duration": pa.array(catalogue.duration, mask=~catalogue.streamed),
        "published_at": times(catalogue.published_at),
        "available_until": times(catalogue.available_until),
    }
    pq.write_table(pa.table(items), directory / "items.parquet")
    pq.write_table(_prices(world, ids), directory / "item_prices.parquet")


def _prices(world: World, ids: pa.Array) -> pa.Table:
    """A row for the price at publication, and one for each change: the sale begins, the sale ends."""
    catalogue, end = world.catalogue, world.settings.end_moment
    sold = np.flatnonzero(~catalogue.streamed)
    begun = np.flatnonzero((catalogue.sale_from < end) & (catalogue.sale_until > catalogue.published_at))
    over = begun[catalogue.sale_until[begun] < end]
    begins = np.maximum(catalogue.sale_from[begun], catalogue.published_at[begun])
    later = begins > catalogue.published_at[begun]
    rows = np.r_[sold, begun[later], over]
    moments = np.r_[catalogue.published_at[sold], begins[later], catalogue.sale_until[over]]
    columns = {
        "item_id": ids.take(pa.array(rows)),
        "price": pa.array(catalogue.price(rows, moments)),
        "changed_at": times(moments),
    }
    return pa.table(columns)


def _birth_dates(world: World) -> list[str]:
    """RFC 3339 dates."""
    start = world.settings.start_moment
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    births = (start - world.people.ages * YEAR) // DAY
    return [(epoch + timedelta(days=float(days))).date().isoformat() for days in births]


def names(letter: str, count: int) -> pa.Array:
    """`count` outside ids, such as u00012."""
    return _numbered(letter, np.arange(count), width=5)


def times(moments: IntArray) -> pa.Array:
    """Timestamps of moments; null where FOREVER."""
    endless = moments == FOREVER
    return pa.array(np.where(endless, 0, moments) * 1_000, type=pa.int64(), mask=endless).cast(TIME)


def _numbered(letter: str, numbers: IntArray, width: int = 8) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")
    return pc.binary_join_element_wise(pa.scalar(letter), digits, "")


def _masked(values: pa.Array, missing: BoolArray) -> pa.Array:
    return pc.if_else(pa.array(missing), pa.scalar(None, values.type), values)


def _reals(values: RealArray) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))
