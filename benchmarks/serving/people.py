"""The store of a shop's people: histories of 0 to 200 events, their lengths uniform in the logarithm.

Events lie in the store in the order of time, as they would have come in, so that a person's own are scattered over it.
U users, T events of one, N events of all.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.accuracy.results import write_atomically
from benchmarks.serving.claim import claim_of, holds, put
from benchmarks.serving.crowd import user_id
from benchmarks.serving.shop import COUNTRIES, NEWEST, SHOP, Shop
from benchmarks.serving.walk import Walk
from features.arrays import IntArray
from features.consent import Purpose
from features.moments import HOUR
from features.statements import BEGINNING, Statement
from serving.state import open_state
from serving.state.protocol import StoredEvent, UserAttributes, UserStatement

USERS = 100_000
LONGEST = 200
STAY = 0.8
"""Chance that the next item is of the same group."""
AGREED = Statement("consent", Purpose.PERSONALIZE.value, "granted", BEGINNING, "assumed: simulated people")
SOURCES = (
    "benchmarks/serving/people.py",
    "benchmarks/serving/shop.py",
    "benchmarks/serving/walk.py",
    "serving/state/protocol.py",
    "serving/state/sqlite*.py",
)


class Histories(NamedTuple):
    """What people did, in the order of time."""

    users: IntArray
    """int64 [N]"""
    items: IntArray
    """int64 [N] codes into the shop's items."""
    types: IntArray
    """int64 [N]"""
    moments: IntArray
    """int64 [N], ascending."""


def build_people(shop: Shop, folder: Path, users: int = USERS, *, seed: int = 0, fresh: bool = False) -> str:
    """Build `folder`/state.db, or find it; the URL of the store."""
    claim = claim_of({"items": len(shop.item_ids), "users": users, "seed": seed}, SOURCES)
    path, marker = folder / "state.db", folder / "state.claim.json"
    url = f"sqlite:///{path.resolve()}"
    if not fresh and path.exists() and holds(marker, claim):
        return url
    for old in folder.glob("state.db*"):
        old.unlink()
    print(f"loading {users:,} people into {path}", flush=True)
    started = time.monotonic()
    stored = _load(shop, url, users, seed)
    report = {"users": users, "events": stored, "seconds": round(time.monotonic() - started, 1)}
    write_atomically(folder / "people.json", json.dumps(report, indent=1))
    put(marker, claim)
    return url


def _load(shop: Shop, url: str, users: int, seed: int) -> int:
    past = histories(shop, users, seed)
    store = open_state(url)
    try:
        countries = np.random.default_rng(seed).integers(0, len(COUNTRIES), users).tolist()
        store.set_attributes(
            UserAttributes(user_id(number), {"country": COUNTRIES[code]}) for number, code in enumerate(countries)
        )
        store.load_statements(UserStatement(user_id(number), AGREED) for number in range(users))
        return store.load(_stored(shop, past)).stored
    finally:
        store.close()


def histories(shop: Shop, users: int, seed: int) -> Histories:
    """Walks through the shop, one a user, that end at its newest moment or a while before."""
    draw = np.random.default_rng(seed)
    lengths = np.exp(draw.random(users) * np.log(LONGEST + 1)).astype(np.int64)
    lengths = np.minimum(lengths, LONGEST + 1) - 1
    walk = Walk.over(shop.groups, shop.popularity)
    items = np.zeros((users, LONGEST), dtype=np.int32)
    for place in range(LONGEST):
        going = np.flatnonzero(lengths > place)
        found = walk.popular(len(going), draw)
        if place:
            stay = draw.random(len(going)) < STAY
            found[stay] = walk.near(items[going[stay], place - 1], draw)
        items[going, place] = found
    kept = np.arange(LONGEST) < lengths[:, None]
    gaps = np.where(kept, draw.lognormal(1.0, 1.5, kept.shape) * HOUR, 0.0)
    ages = gaps[:, ::-1].cumsum(axis=1)[:, ::-1]
    moments = (NEWEST - ages[kept]).astype(np.int64)
    order = np.argsort(moments, kind="stable")
    people = np.repeat(np.arange(users), lengths)
    types = draw.choice(len(SHOP.types), len(order), p=(0.8, 0.15, 0.05))
    return Histories(people[order], items[kept][order].astype(np.int64), types, moments[order])


def _stored(shop: Shop, past: Histories) -> Iterator[StoredEvent]:
    ids, names = shop.item_ids.tolist(), list(SHOP.types)
    columns = zip(*(column.tolist() for column in past), strict=True)
    for number, (user, item, kind, moment) in enumerate(columns):
        yield StoredEvent(f"e{number:09d}", ids[item], names[kind], moment, user_id(user))
