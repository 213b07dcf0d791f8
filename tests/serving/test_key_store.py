"""What every backend's store of API keys must do: one suite, each backend one line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from features.errors import StateError
from serving.state import KeyStore, open_key_store, open_state
from serving.state.audit_log import Deed
from serving.state.key_store import StoredKey

WEB = StoredKey("a1", "the web shop", ("recommend", "events"), b"\0" * 32, 5)
OPERATOR = StoredKey("b2", "Zażółć", ("admin",), b"\xff" * 32, 6, 99, 2.5, 10)


@pytest.fixture
def store(store_url: str) -> Iterator[KeyStore]:
    opened = open_key_store(store_url)
    yield opened
    opened.close()


def deed(action: str = "keys_create") -> Deed:
    return Deed(action, "root", 7)


def test_an_empty_store(store: KeyStore) -> None:
    assert list(store.keys()) == []
    assert store.version() == 0


def test_keys_come_back_as_they_were_and_in_order(store: KeyStore) -> None:
    store.add(WEB, deed())
    store.add(OPERATOR, deed())
    assert list(store.keys()) == [WEB, OPERATOR]


def test_a_key_ends_and_stays(store: KeyStore) -> None:
    store.add(WEB, deed())
    assert store.expire("a1", 50, deed("keys_revoke"))
    assert list(store.keys()) == [WEB._replace(expires=50)]


def test_an_end_never_moves_back(store: KeyStore) -> None:
    store.add(OPERATOR, deed())
    store.expire("b2", 500, deed())
    assert store.keys()[0].expires == 99
    store.expire("b2", 20, deed())
    assert store.keys()[0].expires == 20


def test_a_key_that_is_not_there_cannot_end(store: KeyStore) -> None:
    store.add(WEB, deed())
    version = store.version()
    assert not store.expire("zz", 50, deed())
    assert (list(store.keys()), store.version()) == ([WEB], version)


def test_the_version_grows_with_every_change(store: KeyStore) -> None:
    versions = [store.version()]
    for change in (
        lambda: store.add(WEB, deed()),
        lambda: store.add(OPERATOR, deed()),
        lambda: store.expire("a1", 1, deed()),
        lambda: store.expire("b2", 1, deed()),
        lambda: store.expire("b2", 1, deed()),
    ):
        change()
        versions.append(store.version())
    assert versions == sorted(set(versions))


def test_an_id_is_given_once(store: KeyStore) -> None:
    store.add(WEB, deed())
    again = deed()
    with pytest.raises(StateError):
        store.add(WEB, again)
    assert not again.noted


def test_a_closed_store_says_that_it_does_not_answer(store: KeyStore) -> None:
    store.close()
    with pytest.raises(StateError, match="did not answer"):
        store.version()


def test_what_happens_to_keys_stands_in_the_audit_log_of_the_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    store, state = open_key_store(url), open_state(url)
    store.add(WEB, deed())
    store.expire("a1", 50, deed("keys_revoke"))
    assert [(one.action, one.actor) for one in state.audit_log.after(0)] == [
        ("keys_create", "root"),
        ("keys_revoke", "root"),
    ]
    store.close()
    state.close()
