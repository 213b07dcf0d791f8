"""What an operator does on the command line with keys and the audit log; each change is noted under their account."""

import getpass
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import Any

from features.errors import ConfigError
from features.moments import HOUR, SECOND, to_moment, to_text
from serving.access.keys import NewKey, new_key
from serving.desk.desk import wall_clock
from serving.state import open_as_kept, open_key_store, open_state
from serving.state.audit_log import Deed, Entry, entries_of
from serving.state.key_store import StoredKey

_LENGTH = re.compile(r"(\d{1,5})([dhms])", re.ASCII)
_UNITS = {"d": 24 * HOUR, "h": HOUR, "m": 60 * SECOND, "s": SECOND}


def by_command(action: str, **detail: Any) -> Deed:
    """A deed of whoever runs a command. No id of a person belongs in the detail."""
    return Deed(action, _account(), wall_clock(), detail=detail)


def note(url: str, action: str, **detail: Any) -> None:
    """Note in the store of a URL what a command is about to do. Raises StateError."""
    with closing(open_as_kept(url)) as state:
        state.audit_log.note(by_command(action, **detail))


def end_after(text: str, now: int) -> int:
    """The moment of `90d`, `12h`, `30m`, `45s` from now, or of a time in RFC 3339. Raises ConfigError."""
    if shape := _LENGTH.fullmatch(text):
        return now + int(shape[1]) * _UNITS[shape[2]]
    try:
        return to_moment(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is no time", field="expires", hint="Write 90d, 12h, 30m, or 2027-01-01T00:00:00Z."
        ) from None


def store_key(url: str, key: NewKey) -> None:
    """Keep a key that was made, but for its text."""
    with closing(open_key_store(url)) as store:
        store.add(key.stored, by_command("keys_create", key=key.stored.key_id, scopes=list(key.stored.scopes)))


def made_key(
    scopes: Sequence[str],
    *,
    name: str = "",
    expires: str | None = None,
    rate: float | None = None,
    burst: int | None = None,
) -> NewKey:
    """Make a key, which is stored nowhere yet. Without a `burst`, two seconds' worth may come at once.

    Raises ConfigError for a scope or time that is none.
    """
    now = wall_clock()
    if rate is not None and burst is None:
        burst = max(1, round(2 * rate))
    ends = None if expires is None else end_after(expires, now)
    return new_key(scopes, now, name=name, expires=ends, rate=rate, burst=burst)


def revoke_key(url: str, key_id: str) -> None:
    """Let a key end now. Raises ConfigError when there is none of this id."""
    with closing(open_key_store(url)) as store:
        _known(store.keys(), key_id)
        store.expire(key_id, wall_clock(), by_command("keys_revoke", key=key_id))


def rotate_key(url: str, key_id: str, keep: str) -> NewKey:
    """Make a key in place of another, which ends after `keep`. Raises ConfigError when there is none of this id."""
    with closing(open_key_store(url)) as store:
        old, now = _known(store.keys(), key_id), wall_clock()
        ends = end_after(keep, now)
        key = new_key(old.scopes, now, name=old.name, rate=old.rate, burst=old.burst)
        store.add(key.stored, by_command("keys_rotate", key=key.stored.key_id, instead_of=key_id))
        store.expire(key_id, ends, by_command("keys_expire", key=key_id, at=to_text(ends)))
    return key


def list_keys(url: str) -> Sequence[StoredKey]:
    """All keys that were ever made."""
    with closing(open_key_store(url)) as store:
        return store.keys()


def keys_table(keys: Sequence[StoredKey], now: int) -> Iterator[str]:
    """One line for each key, and one above them."""
    yield f"{'id':<12}  {'until':<24}  {'rate':>8}  {'scopes':<40}  name"
    for key in keys:
        ends = "for ever" if key.expires is None else to_text(key.expires)
        until = "ended" if key.expires is not None and key.expires <= now else ends
        rate = "" if key.rate is None else f"{key.rate:g}/s"
        yield f"{key.key_id:<12}  {until:<24}  {rate:>8}  {','.join(key.scopes):<40}  {key.name}".rstrip()


def audit_entries(
    url: str, user_id: str | None, anonymous_id: str | None, after: int, limit: int
) -> Iterator[Mapping[str, Any]]:
    """Entries of the audit log in order as plain data, of one person or of all."""
    nobody = user_id is None and anonymous_id is None
    with closing(open_as_kept(url) if nobody else open_state(url)) as state:
        if nobody:
            found: Iterator[Entry] = iter(state.audit_log.after(after, limit))
        else:
            about = entries_of(state.audit_log, user_id, anonymous_id)
            found = islice((entry for entry in about if entry.number > after), limit)
        for entry in found:
            plain = {**entry._asdict(), "moment": to_text(entry.moment), "mark": entry.mark and entry.mark.hex()}
            yield {name: value for name, value in plain.items() if value not in (None, {})}


def _known(keys: Sequence[StoredKey], key_id: str) -> StoredKey:
    for key in keys:
        if key.key_id == key_id:
            return key
    raise ConfigError(
        f"there is no key {key_id}", hint="`tailorbird keys list` shows them; the id stands behind `tb_`."
    )


def _account() -> str:
    """Whoever runs this process, as the machine calls them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run as a number that has no name
        return f"account {os.getuid()}"
