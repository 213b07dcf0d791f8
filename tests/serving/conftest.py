"""A small shop without a model: a stand-in for the pipeline, a desk before it, and a server with real sockets.

The stand-in says "the item after the one that you took last, then the others": enough to see what reaches it.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import numpy as np
import pytest
import redis
import uvicorn

from benchmarks.person.redis_server import redis_program as installed_redis
from benchmarks.person.redis_server import running_redis
from features.consent import ConsentRules, Purpose
from features.dataset import DatasetConfig
from features.events import AttributeTable, Changes, EventTable
from features.person import Person
from features.preferences import Category
from features.schema import fit_schema
from features.vocabulary import RESERVED
from serving.access.guard import Guard
from serving.access.settings import AccessConfig
from serving.answers import Answer, Obstacle, Query, RankedItem, Reason, Shortfall, Standing
from serving.bundle import open_bundle
from serving.catalogue import Catalogue
from serving.desk.desk import Desk
from serving.http.door import Door
from serving.http.reception import Reception
from serving.items.snapshot import Snapshot
from serving.lifecycle.live import Live
from serving.lifecycle.worker import Worker
from serving.pipeline import Pipeline
from serving.settings import ServingConfig
from serving.state import ItemLog, open_item_log, open_key_store, open_state
from serving.state.protocol import State

ITEMS = 30
MEMORY = "sqlite://:memory:"
AGREED = ConsentRules.parse({purpose.value: {"unknown": "granted", "basis": "a test"} for purpose in Purpose})
"""Rules for tests that are about something else: who was not asked agrees to everything."""
SHOP = DatasetConfig.parse(
    {
        "order": {"time": "time"},
        "events": {"type": "type", "context": {"weather": {"role": "categorical", "static": True}}},
        "types": {
            "view": {"repeat": "always"},
            "buy": {"weight": 3, "repeat": "never"},
            "shown": {"sign": "exposure", "repeat": "always"},
        },
        "items": {
            "title": "title",
            "columns": {
                "genre": {"role": "categorical", "static": True},
                "tags": {"role": "multi_categorical", "static": True, "separator": "|"},
                "price": {"role": "numeric", "static": True},
                "made": {"role": "time", "static": True},
            },
            "available": {"from": "opens", "to": "closes"},
        },
        "users": {
            "columns": {
                "city": {"role": "categorical", "static": True},
                "born": {"role": "birth_date", "static": True},
                "plan": {"role": "categorical", "time": "since"},
            },
        },
    }
)


class BundleOf(SimpleNamespace):
    """Has what it is given; unlike its base it may be referred to weakly, as a bundle may."""


class StandIn:
    """Answers like a pipeline, from the order of item numbers; remembers what it was asked."""

    def __init__(self) -> None:
        ids = np.array([f"i{number}" for number in range(ITEMS)], dtype=object)
        empty = np.empty(0, dtype=np.int64)
        events = EventTable(
            users=np.empty(0, dtype=object),
            items=ids,
            types=tuple(SHOP.types),
            user_codes=empty,
            item_codes=empty,
            type_codes=empty,
            moments=empty,
            values=np.empty(0, dtype=np.float32),
            event_ids=np.empty(0, dtype=object),
            contexts={"weather": np.empty(0, dtype=object)},
        )
        none = AttributeTable(ids=np.empty(0, dtype=object), columns={}, changes={})
        columns = {name: np.full(ITEMS, None, dtype=object) for name in SHOP.items.columns}
        users = AttributeTable(
            ids=none.ids,
            columns=dict.fromkeys(("city", "born"), none.ids),
            changes={"plan": Changes(empty, empty, none.ids)},
        )
        schema = fit_schema(SHOP, events, users, AttributeTable(ids=ids, columns=columns, changes={}))
        rows = ITEMS + RESERVED
        catalogue = Catalogue.of(
            vectors=np.zeros((rows, 1), dtype=np.float32),
            id_vectors=np.zeros((rows, 1), dtype=np.float32),
            codes=np.zeros((rows, 0), dtype=np.int32),
            available_from=np.zeros(rows, dtype=np.int64),
            available_to=np.zeros(rows, dtype=np.int64),
            titles=("", "", *(f"Title {one}" for one in schema.items.ids)),
        )
        self.bundle = BundleOf(name="standin", schema=schema, catalogue=catalogue)
        self.asked: list[tuple[Person, int]] = []

    def recommend(self, person: Person, query: Query, moment: int) -> Answer:
        self.asked.append((person, moment))
        past = person.events.until(moment)
        last = next((item for item in reversed(past.item_ids) if item in self.bundle.schema.items), None)
        bought = {item for item, kind in zip(past.item_ids, past.types, strict=True) if kind == "buy"}
        start = int(last[1:]) + 1 if last else 0
        order = [f"i{(start + step) % ITEMS}" for step in range(ITEMS)]
        left = [item for item in order if item not in bought and item not in query.exclude]
        reasons = (
            (Reason("transitions", 0.5, 2, item_id=last, title=f"Title {last}", times=1),)
            if last and query.explain
            else ()
        )
        items = tuple(self._item(item, 1.0 / (1 + place), reasons) for place, item in enumerate(left[: query.k]))
        short = Shortfall(query.k, len(items), "no more items") if len(items) < query.k else None
        return Answer(items, short, {"rank": 0.1})

    def recommend_all(self, asked: Sequence[tuple[Person, int]], query: Query) -> list[Answer]:
        return [self.recommend(person, query, moment) for person, moment in asked]

    def rank(self, person: Person, item_ids: Sequence[str], query: Query, moment: int) -> Answer:
        self.asked.append((person, moment))
        known = sorted(item for item in set(item_ids) if item in self.bundle.schema.items)
        items = tuple(self._item(item, -place) for place, item in enumerate(known))
        return Answer(items, None, {}, unknown=tuple(item for item in item_ids if item not in known))

    def explain(self, person: Person, item_id: str, query: Query, moment: int) -> Standing:
        order = [one.item_id for one in self.recommend(person, replace(query, k=ITEMS), moment).items]
        if item_id not in order:
            return Standing(item_id, query.k, (Obstacle("excluded" if item_id in query.exclude else "unknown"),))
        place = order.index(item_id) + 1
        low = Obstacle("ranked_low", needed=1.0 / query.k)
        title, found = f"Title {item_id}", () if place <= query.k else (low,)
        return Standing(item_id, query.k, found, title, place, 1.0 / place)

    def similar(self, item_ids: Sequence[str], kind: str, query: Query, moment: int) -> Answer:
        left = [one for one in self.bundle.schema.items.ids if one not in item_ids and one not in query.exclude]
        return Answer(tuple(self._item(one, 1.0) for one in left[: query.k]))

    def _item(self, item: str, score: float, reasons: tuple[Reason, ...] = ()) -> RankedItem:
        return RankedItem(item, float(score), {"view": 0.5}, ("transitions",), f"Title {item}", reasons)


@pytest.fixture(scope="session")
def redis_program() -> str:
    """The server's program, where one is installed."""
    program = installed_redis()
    if program is None:
        pytest.skip("no redis-server is installed: the store in Redis stays untested (tests/system-packages.sh)")
    return program


@pytest.fixture(scope="session")
def start_redis(redis_program: str) -> Callable[..., AbstractContextManager[str]]:
    """Starts a server of its own in a folder, with further settings, until the end of a `with`; gives its URL."""
    return partial(running_redis, redis_program)


@pytest.fixture(scope="session")
def redis_server(redis_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real server of this session, without a port and without files."""
    with running_redis(redis_program, tmp_path_factory.mktemp("redis")) as url:
        yield url


def emptied(url: str) -> str:
    """The same server without anything in it."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return url


@pytest.fixture(scope="session")
def new_redis_url(redis_server: str) -> Callable[[], str]:
    """Gives the URL of a new store in Redis; what was in the one before is gone."""
    return partial(emptied, redis_server)


@pytest.fixture(params=["sqlite file", "redis"])
def shared_store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new store that every opening of its URL shares, once for each backend."""
    if request.param == "redis":
        return emptied(request.getfixturevalue("redis_server"))
    return f"sqlite:///{tmp_path}/state.db"


@pytest.fixture(params=["sqlite file", "sqlite memory", "redis"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new store, once for each backend."""
    if request.param == "redis":
        return emptied(request.getfixturevalue("redis_server"))
    return f"sqlite:///{tmp_path}/state.db" if request.param == "sqlite file" else MEMORY


@pytest.fixture(scope="session", params=["sqlite memory", "redis"])
def new_store_url(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Gives the URL of a new store as often as it is called, for tests that need many; once for each backend."""
    if request.param == "redis":
        url = request.getfixturevalue("redis_server")
        return lambda: emptied(url)
    return lambda: MEMORY


@pytest.fixture(scope="session")
def new_stand_in() -> Callable[[], StandIn]:
    """Makes stand-ins for fixtures that last longer than a test."""
    return StandIn


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture(scope="session")
def pipeline(trained: Any) -> Pipeline:
    """Of the trained bundle, for all who only ask."""
    return Pipeline(open_bundle(trained.bundle))


@pytest.fixture(scope="session")
def now(pipeline: Pipeline) -> int:
    """The newest moment that `pipeline` was trained on."""
    return pipeline.bundle.statistics.newest


@pytest.fixture(scope="session")
def category(pipeline: Pipeline, now: int) -> Category:
    """The commonest category of what somebody unknown is shown."""
    column: Any = pipeline.bundle.filterable.items.attributes.columns["category"]
    shown = [one.item_id for one in pipeline.recommend(Person(), Query(k=10), now).items]
    codes = column.codes[pipeline.bundle.schema.items.rows(shown)]
    return Category("category", column.texts[int(np.bincount(codes[codes >= 0]).argmax())])


@pytest.fixture
def state() -> Iterator[State]:
    opened = open_state(MEMORY)
    yield opened
    opened.close()


@pytest.fixture
def item_log() -> Iterator[ItemLog]:
    opened = open_item_log(MEMORY)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def agreed() -> ConsentRules:
    """`AGREED`, for tests that make their own desk."""
    return AGREED


@pytest.fixture
def desk(stand_in: StandIn, state: State, item_log: ItemLog) -> Desk:
    """A desk whose present is the year 2026-01-01T00:00:00Z."""
    return Desk(cast("Pipeline", stand_in), state, item_log, clock=lambda: 1_767_225_600_000, consent=AGREED)


async def nothing_else(scope: Any, receive: Any, send: Any) -> None:
    """What stands for BentoML's application: it starts and stops, and answers /livez."""
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"native"})


def open_guard() -> Guard:
    """A guard that lets everybody in: what stands behind it is tested, whoever asks."""
    return Guard(open_key_store(MEMORY), settings=AccessConfig(open=True, why="a test of what stands behind"))


def worker_before(desk: Desk, guard: Guard | None = None) -> Worker:
    """A worker of one desk that nothing replaces; without a guard it is open to everybody."""
    bundle = SimpleNamespace(name="standin", manifest={}, inputs={}, schema=SimpleNamespace(timed=False, dataset=SHOP))
    nothing = Snapshot(cast("Any", bundle), merged=0, delta=cast("Any", ()), pipeline=cast("Any", None), number=0)
    return Worker(Live(nothing, desk), guard or open_guard())


class Running:
    """A server on a free port, in a thread."""

    def __init__(self, door: Door) -> None:
        self.server = uvicorn.Server(uvicorn.Config(door, log_config=None, lifespan="on", ws="none", http="httptools"))
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]})
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)
        self.socket.close()


@pytest.fixture
def new_worker() -> Callable[..., Worker]:
    """Makes workers of a desk and a guard."""
    return worker_before


@pytest.fixture
def worker(desk: Desk) -> Worker:
    """A worker of that desk."""
    return worker_before(desk)


@pytest.fixture(scope="module")
def run_door() -> Iterator[Callable[..., str]]:
    """Start a door before a desk opener, with these keys of the `serving` section; gives its URL. Open by default."""
    running: list[Running] = []

    def start(open_desk: Callable[[], Desk], guard: Guard | None = None, **serving: Any) -> str:
        config = ServingConfig(**{"max_waiting": 8, "deadline_ms": 20_000, **serving})
        running.append(Running(Door(nothing_else, Reception(lambda: worker_before(open_desk(), guard), config))))
        return running[-1].url

    yield start
    for one in running:
        one.stop()


@pytest.fixture(scope="module")
def client(run_door: Callable[..., str]) -> Iterator[httpx.Client]:
    """A client of a server that is ready, one for all tests of a module."""
    url = run_door(lambda: Desk(cast("Pipeline", StandIn()), open_state(MEMORY), open_item_log(MEMORY), consent=AGREED))
    with httpx.Client(base_url=url, timeout=20) as opened:
        while opened.get("/readyz").status_code != 200:
            time.sleep(0.01)
        yield opened
