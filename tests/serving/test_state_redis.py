"""What only the store in Redis promises: every key has an owner and an end, what can be lost, and bytes on disk."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import redis

from features.errors import StateError
from features.statements import Statement
from serving.person.erasing import finish, verify
from serving.person.reach import Reach
from serving.state import open_event_log, open_item_log, open_state
from serving.state.erasures import Scrubbed
from serving.state.item_log import ItemEdit
from serving.state.protocol import State, StoredEvent, UserAttributes

DAY = 86_400
STORE_KEYS = {"tb:version", "tb:number", "tb:persons", "tb:people", "tb:users", "tb:log", "tb:exported"} | {
    *("tb:settings", "tb:erased", "tb:erasures", "tb:erased_events", "tb:receipts", "tb:unfinished")
}


def event(number: int, **given: Any) -> StoredEvent:
    return StoredEvent(f"event-{number}", f"i{number}", "view", number, "ann")._replace(**given)


def visit(number: int) -> StoredEvent:
    return event(number, user_id=None, anonymous_id="cookie")


@pytest.fixture
def url(redis_server: str) -> str:
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    with redis.Redis.from_url(url, decode_responses=True) as opened:
        yield opened


@pytest.fixture
def state(url: str) -> Iterator[State]:
    opened = open_state(f"{url}?keep_days=10&repeat_days=3")
    yield opened
    opened.close()


def fill(state: State) -> None:
    state.append([event(1), visit(2)])
    state.set_attributes([UserAttributes("ann", {"gender": "F"}), UserAttributes("ann", {"plan": "pro"}, 5)])
    state.declare(None, "cookie", [Statement("consent", "train", "granted", 3, "person")])
    state.link("cookie", "ann")
    state.link("later", "ann")


def test_every_key_of_a_person_ends_and_is_gone_after_an_erasure(state: State, client: Any) -> None:
    fill(state)
    keys = set(client.scan_iter())
    owned = keys - STORE_KEYS
    assert len(owned) == 13
    for key in owned:
        longest = (3 if key.startswith("tb:e:") else 10) * DAY
        assert longest - 10 < client.ttl(key) <= longest, key
    erased = state.erase("ann", moment=9)
    state.finish(erased.receipt_id, {})
    assert set(client.scan_iter()) <= STORE_KEYS
    content = str([client.hgetall("tb:receipts"), client.zrange("tb:erasures", 0, -1)])
    assert not any(one in content for one in ("ann", "cookie", "event-1"))
    assert client.zcard("tb:people") == client.zcard("tb:users") == client.xlen("tb:log") == 0


def test_once_a_day_a_write_renews_all_of_a_person(state: State, client: Any) -> None:
    fill(state)
    mine = [key for key in client.scan_iter() if key not in STORE_KEYS and not key.startswith("tb:e:")]
    for key in mine:
        client.expire(key, 9 * DAY + 100)
    state.append([event(3)])
    assert [key for key in mine if client.ttl(key) > 9 * DAY + 100] == []
    for key in mine:
        client.expire(key, 9 * DAY - 100)
    state.append([event(4)])
    assert [key for key in mine if client.ttl(key) < 9 * DAY and not key.endswith(":into")] == []


def test_whoever_expired_is_a_stranger_and_in_no_list(state: State, client: Any, url: str) -> None:
    state.append([event(1), event(2, user_id="bob", moment=1)])
    for key in ("tb:id:u:ann", *(f"tb:p:1:{table}" for table in ("ids", "events", "order", "taken"))):
        assert client.delete(key) == 1
    assert len(state.person("ann").events) == 0
    assert list(state.user_ids()) == ["bob"]
    assert state.newest_event() == 1
    log = open_event_log(url)
    assert [one.number for one in log.after(0, 9)] == [2]
    log.close()


def test_an_event_id_is_known_again_for_a_time(state: State, client: Any) -> None:
    assert state.append([event(1)]) == ["stored"]
    client.delete("tb:e:event-1")
    assert state.known(["event-1"]) == set()
    assert state.append([event(1)]) == ["stored"]


def test_what_was_exported_leaves_the_log_and_nothing_else_does(state: State, client: Any, url: str) -> None:
    log = open_event_log(url)
    state.append([event(number) for number in range(5)])
    log.mark_exported(3)
    assert [one.number for one in log.after(0, 9)] == [4, 5]
    assert client.xlen("tb:log") == 2
    log.close()


def test_a_store_of_another_version_is_refused(url: str, client: Any) -> None:
    client.set("tb:version", 99)
    with pytest.raises(StateError, match="version 99; this program reads version 1"):
        open_state(url)


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="did not answer"):
        open_state(f"unix://{tmp_path}/none.sock")


def test_a_silent_server_costs_no_more_than_the_patience() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.perf_counter()
        with pytest.raises(StateError, match="did not answer: Timeout"):
            open_state(f"redis://127.0.0.1:{silent.getsockname()[1]}", patience=0.2)
        assert time.perf_counter() - start < 2


def test_a_read_waits_no_longer_than_its_own_patience(url: str, client: Any) -> None:
    state = open_state(url, patience=5, read_patience=0.05)
    client.client_pause(400)
    start = time.perf_counter()
    with pytest.raises(StateError, match="did not answer"):
        state.person("ann")
    assert time.perf_counter() - start < 0.4
    assert state.append([event(1)]) == ["stored"]
    assert list(state.person("ann").events.item_ids) == ["i1"]
    state.close()


def test_a_closed_store_says_that_it_does_not_answer(state: State) -> None:
    state.check()
    state.close()
    with pytest.raises(StateError, match="did not answer: it was closed"):
        state.check()


Server = Callable[..., AbstractContextManager[str]]


@pytest.fixture
def redis_on_disk(redis_server: str, start_redis: Server, tmp_path: Path) -> Server:
    def start(*settings: str) -> AbstractContextManager[str]:
        return start_redis(tmp_path, *settings)

    return start


def test_the_password_comes_from_the_url_or_the_environment_and_is_never_told(
    redis_on_disk: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis_on_disk("--requirepass", "secret") as url:
        monkeypatch.setenv("TAILORBIRD_STATE_PASSWORD", "wrong-secret")
        with pytest.raises(StateError, match="did not answer") as told:
            open_state(url)
        assert "secret" not in str(told.value)
        monkeypatch.setenv("TAILORBIRD_STATE_PASSWORD", "secret")
        open_state(url).close()
        monkeypatch.delenv("TAILORBIRD_STATE_PASSWORD")
        open_state(url.replace("unix://", "unix://:secret@")).close()


@pytest.mark.parametrize(
    ("settings", "lost"),
    [
        (("--appendonly", "yes", "--appendfsync", "always"), None),
        (("--appendonly", "yes"), "up to about two seconds"),
        (("--appendonly", "yes", "--appendfsync", "no"), "what the system has not yet written"),
        (("--save", "60", "1"), "all writes since the last snapshot"),
        ((), "everything, at every restart"),
        (("--maxmemory-policy", "allkeys-lru"), "people, when memory is short"),
        (("--rename-command", "CONFIG", ""), "does not say what it can lose"),
    ],
)
def test_what_a_server_can_lose_is_told(redis_on_disk: Server, settings: tuple[str, ...], lost: str | None) -> None:
    with redis_on_disk(*settings) as url:
        state = open_state(url)
        told = state.may_lose()
        assert told is None if lost is None else lost in str(told)
        state.close()


def test_an_erased_person_is_in_no_byte_of_the_files(redis_on_disk: Server, tmp_path: Path) -> None:
    with redis_on_disk("--appendonly", "yes", "--appendfsync", "always", "--save", "1", "1") as url:
        state = open_state(url)
        state.load(
            event(number, user_id=f"person-{number % 5}-id", event_id=f"{number % 5}-event-{number}")
            for number in range(500)
        )
        with redis.Redis.from_url(url) as client:
            client.save()
            client.bgrewriteaof()  # one that runs already may hold who is erased now
        assert bytes_with(tmp_path, b"person-3-id")
        erased = state.erase("person-3-id", moment=999)
        state.finish(erased.receipt_id, {})
        assert state.scrub([]).status == "rewritten"
        assert not bytes_with(tmp_path, b"person-3-id")
        assert not bytes_with(tmp_path, b"3-event-8")
        assert bytes_with(tmp_path, b"person-2-id")
        state.close()


def test_a_receipt_says_what_the_server_did_and_no_more(redis_on_disk: Server, tmp_path: Path) -> None:
    with redis_on_disk("--appendonly", "yes", "--appendfsync", "always") as url:
        state = open_state(url)
        state.append([event(1, user_id="person-1-id"), event(2, user_id="person-2-id")])
        erased = state.erase("person-1-id", moment=9)
        (store, *_) = finish(state, erased, Reach(), 9)["places"]
        assert not bytes_with(tmp_path, b"person-1-id"), "not even in the receipt"
        assert (store["status"], store.get("count")) == ("rewritten", None)
        found = verify(state, "person-1-id", None, Reach())
        assert {place.place: place.status for place in found.places}["the store's files"] == "not_reached"
        assert found.clean
        state.close()


def test_a_rewrite_that_takes_too_long_leaves_the_receipt_pending(
    redis_on_disk: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis_on_disk("--appendonly", "yes") as url, redis.Redis.from_url(url) as client:
        state = open_state(url)
        state.append([event(1)])
        erased = state.erase("ann", moment=9)
        client.config_set("rdb-key-save-delay", 2_000_000)
        monkeypatch.setattr("serving.state.redis.durability.REWRITE_SECONDS", 0.0)
        with pytest.raises(StateError, match="not done with writing its files anew"):
            finish(state, erased, Reach(), 9)
        assert [one.receipt_id for one in state.unfinished()] == [erased.receipt_id]
        assert state.receipts("ann")[0].report is None
        state.close()


def test_a_rewrite_that_fails_is_told(redis_on_disk: Server, tmp_path: Path) -> None:
    settings = ("--save", "3600 1000000", "--enable-protected-configs", "yes")
    with redis_on_disk(*settings) as url, redis.Redis.from_url(url) as client:
        state = open_state(url)
        state.append([event(1)])
        (tmp_path / "gone").mkdir()
        client.config_set("dir", str(tmp_path / "gone"))
        (tmp_path / "gone").rmdir()
        with pytest.raises(StateError, match="could not write its files anew"):
            state.scrub([])
        state.close()


def test_a_server_without_files_has_nothing_to_write(state: State) -> None:
    assert state.scrub([]) == Scrubbed("absent", "the server writes no files")


def test_a_server_that_refuses_to_rewrite_is_told_in_the_log(
    redis_on_disk: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_on_disk("--appendonly", "yes", "--rename-command", "BGREWRITEAOF", "") as url:
        state = open_state(url)
        state.append([event(1)])
        assert state.erase("ann", moment=9).removed["events"] == 1
        (store, *_) = finish(state, state.erase("ann", moment=10), Reach(), 10)["places"]
        assert store["status"] == "not_reached"
        assert "refuses to write its files anew" in store["note"]
        assert "stays in the files of Redis" in caplog.text
        state.close()


def test_what_was_acknowledged_outlives_the_server(redis_on_disk: Server, tmp_path: Path) -> None:
    settings = ("--appendonly", "yes", "--appendfsync", "always")
    with redis_on_disk(*settings) as url:
        state, log = open_state(url), open_item_log(url)
        fill(state)
        log.change([ItemEdit("tea", {"price": 1})], 5)
        before, identity = state.export("ann"), log.identity
    with redis_on_disk(*settings) as url:
        wait_until_loaded(url)
        assert state.export("ann") == before, "and the same connections find it again"
        assert open_item_log(url).identity == identity
        assert log.newest() == 1
        assert state.append([event(1)]) == ["duplicate"]
        state.close()
        log.close()


def wait_until_loaded(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        end = time.monotonic() + 10
        while client.info("persistence")["loading"]:
            assert time.monotonic() < end, "waited for 10 seconds in vain"
            time.sleep(0.01)


def bytes_with(folder: Path, needle: bytes) -> bool:
    found = False
    for path in folder.rglob("*"):
        try:
            found |= path.is_file() and needle in path.read_bytes()
        except FileNotFoundError:  # renamed by the server meanwhile
            return True
    return found
