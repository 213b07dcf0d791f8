"""What may be sent is bounded: every list, text and whole number of every endpoint, as docs/bounds.md says."""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.api.columns import MAX_CHARACTERS, MAX_VALUES
from serving.api.endpoints import ENDPOINTS
from serving.api.openapi import openapi

DOCUMENTS = openapi()["components"]["schemas"]
PAGE = Path(__file__).parents[2] / "docs" / "bounds.md"


def parts(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every part of a request, with where it stands."""
    if "$ref" in schema:
        yield from parts(DOCUMENTS[schema["$ref"].rpartition("/")[2]], path)
        return
    for one in (part for kind in ("anyOf", "oneOf", "allOf") for part in schema.get(kind, ())):
        yield from parts(one, path)
    if "type" in schema:
        yield path, schema
    if schema.get("type") == "array":
        yield from parts(schema.get("items", {}), f"{path}[]")
    for name, part in schema.get("properties", {}).items():
        yield from parts(part, f"{path}.{name}" if path else name)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from parts(schema["additionalProperties"], f"{path}.*")


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.path)
def test_every_list_text_and_whole_number_has_a_bound(endpoint: Any) -> None:
    """Numbers of a context are those that JSON holds exactly; attributes are held against their columns."""
    row = next(
        line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{endpoint.path}`")
    )
    told = {int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", row.split("|")[2])}
    for path, one in parts(DOCUMENTS[endpoint.request.__name__]):
        match one.get("type"):
            case "array":
                assert "maxItems" in one, path
                if not path.endswith((".*", "context.*")):
                    assert one["maxItems"] in told, f"{PAGE.name} does not tell {path}: {one['maxItems']}"
            case "string":
                assert {"maxLength", "enum", "const", "format"} & one.keys(), path
            case "integer":
                assert "maximum" in one or path.endswith("context.*"), path
            case "object":
                known = one.get("additionalProperties") is False
                by_column = path.endswith(("context", "attributes"))
                assert known or by_column or "maxProperties" in one, path


BIG = "x" * 257
WRONG: dict[str, tuple[str, Any, str]] = {
    "a long id": ("recommend", {"user_id": BIG}, "user_id"),
    "an empty id": ("recommend", {"user_id": ""}, "user_id"),
    "NUL in an id": ("recommend", {"user_id": "a\0b"}, "user_id"),
    "NUL in the id of an event": ("events", {"events": [{"event_id": "a\0b"}]}, "event_id"),
    "k below": ("recommend", {"k": 0}, "k"),
    "k beyond": ("recommend", {"k": 501}, "k"),
    "a huge k": ("recommend", {"k": 10**30}, "k"),
    "too many excluded": ("recommend", {"exclude": ["i1"] * 10_001}, "exclude"),
    "too many inline events": ("recommend", {"events": [{"item_id": "i1", "type": "view"}] * 101}, "events"),
    "a long word of the context": ("recommend", {"context": {"device": "x" * 1_001}}, "context.device"),
    "a long value of a context column": ("recommend", {"context": {"weather": "x" * 1_001}}, "context.weather"),
    "many values of a context column": ("recommend", {"context": {"weather": ["x"] * 101}}, "context.weather"),
    "a deep context": ("recommend", {"context": {"weather": [[["x"]]]}}, "context.weather"),
    "too many to rank": ("rank", {"item_ids": ["i1"] * 1_001}, "item_ids"),
    "too many to start from": ("similar", {"item_ids": ["i1"] * 101}, "item_ids"),
    "too many users": ("recommend/batch", {"user_ids": ["a"] * 1_001}, "user_ids"),
    "too many events": ("events", {"events": [{}] * 1_001}, "events"),
    "a huge quantity": ("events", {"events": [{"quantity": -1}]}, "quantity"),
    "too many items": ("items", {"items": [{}] * 1_001}, "items"),
    "a long text of an item": ("items", {"items": [{"item_id": "i", "attributes": {"genre": "x" * 20_001}}]}, "genre"),
    "many tags": ("items", {"items": [{"item_id": "i", "attributes": {"tags": ["x"] * 1_001}}]}, "tags"),
    "a long text of a user": ("users", {"users": [{"user_id": "a", "attributes": {"city": "x" * 20_001}}]}, "city"),
    "a deep attribute": ("users", {"users": [{"user_id": "a", "attributes": {"city": {"a": 1}}}]}, "city"),
    "a strength beyond": ("preferences", {"user_id": "a", "strength": 1.01}, "strength"),
    "many preferences": ("preferences", {"user_id": "a", "set": [{"item_id": "i", "say": "hide"}] * 201}, "set"),
    "many answers": ("consent", {"user_id": "a", "answers": {str(n): "denied" for n in range(101)}}, "answers"),
    "a long token": ("tokens", {"user_id": "a", "seconds": 3_601}, "seconds"),
    "a long past": ("profile", {"user_id": "a", "newest": 1_001}, "newest"),
    "a long filter": ("recommend", {"filter": "x" * 20_001}, "filter"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_lies_beyond_a_bound_is_refused_by_name(client: httpx.Client, case: str) -> None:
    path, body, field = WRONG[case]
    answer = client.post(f"/v1/{path}", json=body)
    if answer.status_code == 200:  # each record is answered for itself
        (told,) = [one for one in answer.json()["results"] if one["status"] == "rejected"][:1]
        assert field in (told.get("field") or told["message"]) or path == "events"
    else:
        assert answer.status_code == 400
        assert field in answer.json()["error"].get("field", "") + answer.json()["error"]["message"]


BODIES: dict[str, tuple[bytes, int]] = {
    "deep lists": (b"[" * 5_000 + b"]" * 5_000, 400),
    "deep objects": (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400),
    "NaN": (b'{"k": NaN}', 400),
    "Infinity": (b'{"k": Infinity}', 400),
    "a number beyond doubles": (b'{"k": 1e999}', 400),
    "a huge integer": (b'{"k": ' + b"9" * 5_000 + b"}", 400),
    "a lone surrogate": (b'{"user_id": "\\ud800"}', 400),
    "half a surrogate in UTF-8": (b'{"user_id": "\xed\xa0\x80"}', 400),
    "a NUL byte": (b'{"user_id": "a\x00"}', 400),
    "a mark of the byte order": (b'\xef\xbb\xbf{"k": 1}', 400),
    "UTF-16": ('{"k": 1}'.encode("utf-16"), 400),
    "a list": (b"[]", 400),
    "too large": (b'{"user_id": "' + b"x" * 1_000_000 + b'"}', 413),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_cannot_be_read_is_one_clear_error(client: httpx.Client, case: str) -> None:
    body, status = BODIES[case]
    for path in ("/v1/recommend", "/v1/events"):
        answer = client.post(path, content=body)
        assert answer.status_code == status
        assert {"code", "message", "request_id"} <= answer.json()["error"].keys()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP"])
def test_a_packed_body_is_not_unpacked(client: httpx.Client, encoding: str) -> None:
    body = gzip.compress(json.dumps({"k": 1}).encode())
    answer = client.post("/v1/recommend", content=body, headers={"content-encoding": encoding})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_encoding")
    assert client.post("/v1/recommend", json={"k": 1}, headers={"content-encoding": "identity"}).status_code == 200


def test_the_page_tells_the_bounds_of_columns() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f"{MAX_CHARACTERS:,}" in text
    assert f"{MAX_VALUES:,}" in text
