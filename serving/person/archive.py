"""Everything that is held on a person as one zip archive: a JSON file for each kind, and a README for its reader."""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from features.moments import to_text
from serving.state.audit_log import entries_of
from serving.state.protocol import State

FIRST_TIME = 10**11
"""A smaller moment, before 1973, is no time but a place in an order."""
_KINDS = {
    "ids": "The ids under which you are known, of users and of visitors before a login.",
    "events": "What you did, oldest first.",
    "taken": "Each item with what you did with it, and when last; it follows from the events and decides what is not "
    "shown to you again.",
    "attributes": "What is known of you that does not change.",
    "changes": "What is known of you that changes, each value with the moment from which it held.",
    "statements": "What you declared, or was declared for you: consent and preferences, with their history.",
    "audit": "Who looked at or changed your data by the person's endpoints, and when.",
}
_MORE = "Records of the kind that the file's name says."


def archive_of(state: State, user_id: str | None, anonymous_id: str | None, moment: int) -> bytes:
    """The bytes of the archive; of a stranger it holds empty files."""
    held = dict(state.export(user_id, anonymous_id))
    ids = {"user_ids": held.pop("user_ids"), "anonymous_ids": held.pop("anonymous_ids")}
    entries = entries_of(state.audit_log, user_id, anonymous_id)
    audit = [
        {"moment": one.moment, "actor": one.actor, "action": one.action, "request_id": one.request_id}
        for one in entries
    ]
    return _zipped({"ids": ids, **held, "audit": audit}, moment)


def _zipped(kinds: Mapping[str, Any], moment: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", _readme(kinds, moment))
        for name, content in kinds.items():
            text = json.dumps(_dated(content), indent=1, ensure_ascii=False)
            archive.writestr(f"{name}.json", text)
    return file.getvalue()


def _readme(kinds: Mapping[str, Any], moment: int) -> str:
    lines = [
        f"Everything that Tailorbird holds on one person, as of {to_text(moment)}.",
        "Each file is JSON in UTF-8. `moment` counts milliseconds since 1970, UTC; `time` is the same as text.",
        "",
        *(f"{name}.json  ({len(content)} entries)  {_KINDS.get(name, _MORE)}" for name, content in kinds.items()),
        "",
        "Not in here: weights of trained models and counts by item, in which nobody can be told apart.",
    ]
    return "\n".join(lines) + "\n"


def _dated(content: Any) -> Any:
    """Plain data in which each moment stands as text too."""
    if isinstance(content, list):
        return [_dated(one) for one in content]
    if not isinstance(content, dict):
        return content
    dated = {name: _dated(value) for name, value in content.items()}
    moment = dated.get("moment")
    return {**dated, "time": to_text(moment)} if isinstance(moment, int) and moment >= FIRST_TIME else dated
