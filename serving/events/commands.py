"""What the commands `events`, `effect` and `export-log` do, given a configuration file and the URL of a store."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

from features.config import read_config
from features.errors import MASK, ConfigError, DataError, StateError
from features.moments import HOUR, SECOND, to_moment, to_text
from serving.desk.permission import admitting
from serving.events.effect import as_lines, effects_of
from serving.events.export_folder import ExportFolder
from serving.events.exporting import Exported, export_log
from serving.events.replaying import AT_ONCE, Replayed, replay
from serving.lifecycle.lock import only_one
from serving.person.erasing import EXPORT_LOCK
from serving.settings import ServingConfig, dataset_as_kept, pseudonyms_in
from serving.state import open_as_kept, open_event_log, open_item_log, open_state


def rejected_lines(url: str, show_ids: bool) -> Iterator[str]:
    """A line for each refused event that a store keeps: its number, time, field and cause, and what was sent."""
    state, number = open_as_kept(url), 0
    try:
        while letters := state.dead_letters.after(number, AT_ONCE):
            number = letters[-1].number
            for letter in letters:
                refused = letter.refused
                sent = json.dumps(refused.content, ensure_ascii=False) if show_ids else MASK
                yield f"{letter.number}  {to_text(refused.moment)}  {refused.field or '-'}: {refused.message}  {sent}"
    finally:
        state.close()


def replay_rejected(config: Path, url: str) -> Replayed:
    """Try a store's refused events again, by the event types, columns and consent rules of a configuration."""
    file, now = read_config(config), _now()
    state = open_state(url, pseudonyms=pseudonyms_in(config))
    rules = ServingConfig.parse(file.content.get("serving") or {}, "serving").consent
    try:
        return replay(state, file.dataset, now, admitting(rules, now))
    finally:
        state.close()


def export_logs(config: Path, url: str, output: Path, since: str | None) -> Exported:
    """Add to a folder what a store's logs have got since its last export.

    Raises ConfigError for a `since` that is no time, DataError for a folder of another store, and StateError, also
    while another export writes the folder.
    """
    file = read_config(config)
    rules = ServingConfig.parse(file.content.get("serving") or {}, "serving").consent
    moment = None if since is None else _moment(since)
    state = open_state(url, pseudonyms=pseudonyms_in(config))
    log, items = open_event_log(url), open_item_log(url)
    try:
        output.mkdir(parents=True, exist_ok=True)
        with only_one(output / EXPORT_LOCK) as ours:
            if not ours:
                raise StateError(f"another export writes {output}", hint="Wait until it has ended.")
            folder = ExportFolder(output, items.identity)
            return export_log(
                state, log, folder, dataset_as_kept(file), rules, home=file.folder, now=_now(), since=moment
            )
    finally:
        for one in (items, log, state):
            one.close()


def effect_lines(config: Path, url: str, since: str | None) -> list[str]:
    """What became of what was shown, by bundle and placement, as a table.

    Raises ConfigError for a `since` that is no time, DataError when no answer is in the log, and StateError.
    """
    file = read_config(config)
    settings = ServingConfig.parse(file.content.get("serving") or {}, "serving")
    moment = 0 if since is None else _moment(since)
    state, log = open_as_kept(url), open_event_log(url)
    try:
        found = effects_of(state.served_log, log, file.dataset, round(settings.attribution_hours * HOUR), since=moment)
    finally:
        log.close()
        state.close()
    if not found:
        raise DataError(
            "no answer of which an item was seen is in the log",
            hint="Send exposure events with the request_id of their answer; people who do not allow `measure` are not "
            "logged.",
        )
    return as_lines(found)


def _moment(text: str) -> int:
    try:
        return to_moment(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is no time", field="since", hint="Write RFC 3339, such as 2026-05-01T00:00:00Z."
        ) from None


def _now() -> int:
    return int(time.time() * SECOND)
