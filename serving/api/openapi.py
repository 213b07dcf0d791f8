"""The OpenAPI document, made from the same classes that check requests and write answers."""

from functools import cache
from http import HTTPStatus
from typing import Any

from pydantic.json_schema import models_json_schema

from serving.api.endpoints import ENDPOINTS, Endpoint
from serving.api.replies import ErrorReply, ReadyReply, Reply
from serving.api.reply_schemas import reply_schemas
from serving.api.requests import REFERENCE, Event
from serving.items.requests import PostedItem
from serving.person.users import PostedUser

_WAIT = {"headers": {"Retry-After": {"description": "Seconds.", "required": True, "schema": {"type": "integer"}}}}
_CHALLENGE = {
    "headers": {"WWW-Authenticate": {"description": "RFC 6750.", "required": True, "schema": {"type": "string"}}}
}
_JSON = "application/json"
_ERRORS: dict[HTTPStatus, tuple[str, dict[str, Any]]] = {
    HTTPStatus.BAD_REQUEST: ("The request is malformed or invalid; `field` names what to mend.", {}),
    HTTPStatus.UNAUTHORIZED: (
        "No key or token came with the request, or one that is not or no longer valid.",
        _CHALLENGE,
    ),
    HTTPStatus.FORBIDDEN: ("The key has not the scope, or the token speaks for another person.", {}),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("The body is over 1 MB.", {}),
    HTTPStatus.TOO_MANY_REQUESTS: ("Too many requests wait for an answer, or come with this key; come again.", _WAIT),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("A fault of ours; the log has the `request_id`.", {}),
    HTTPStatus.SERVICE_UNAVAILABLE: ("The bundle is not loaded yet, or the store does not answer.", _WAIT),
}
_SECURITY = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key, made by `tailorbird keys create`."},
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A person's own token, made by `/v1/tokens`; for requests about that person alone.",
    },
}
_OTHERWISE = {
    "/readyz": (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE),
    "/metrics": (HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE),
}
_PLAIN = {
    "/livez": ("The process runs.", "text/plain", {"type": "string"}),
    "/readyz": (
        "The bundle is loaded and its golden answers are right; `degraded` names what answers must do without.",
        _JSON,
        {"$ref": f"{REFERENCE}{ReadyReply.__name__}"},
    ),
    "/metrics": ("Counters and times of all workers, for Prometheus.", "text/plain", {"type": "string"}),
    "/openapi.json": ("This document.", _JSON, {"type": "object"}),
    "/schema.json": ("The same in BentoML's own form, for its clients.", _JSON, {"type": "object"}),
    "/": ("A page that shows a person's history and personal picks.", "text/html", {"type": "string"}),
}
ROUTES = (*(endpoint.path for endpoint in ENDPOINTS), *_PLAIN)
"""Every path that the service answers."""


@cache
def openapi() -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    requests = dict.fromkeys([*(endpoint.request for endpoint in ENDPOINTS), Event, PostedItem, PostedUser])
    models = [(one, "validation") for one in requests]
    _, definitions = models_json_schema(models, ref_template=f"{REFERENCE}{{model}}")  # type: ignore[arg-type]
    replies: list[type[Reply]] = [*(endpoint.reply for endpoint in ENDPOINTS), ErrorReply, ReadyReply]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tailorbird", "version": "1", "description": "What should this person see, and why?"},
        "paths": {
            **{endpoint.path: {"post": _post(endpoint)} for endpoint in ENDPOINTS},
            **{path: {"get": _get(path, *said)} for path, said in _PLAIN.items()},
        },
        "components": {
            "securitySchemes": _SECURITY,
            "schemas": {**definitions["$defs"], **reply_schemas(replies, f"{REFERENCE}{{name}}")},
        },
    }


def _post(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "summary": (endpoint.answer.__doc__ or "").split("\n", 1)[0],
        "operationId": endpoint.name,
        "security": [{"key": [endpoint.scope]}, *([{"token": [endpoint.scope]}] if endpoint.by_token else [])],
        "requestBody": {"required": True, **_json(endpoint.request)},
        "responses": {"200": {"description": "The answer.", **_content(endpoint)}, **_errors(*_ERRORS)},
    }


def _get(path: str, text: str, media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    answer = {"description": text, "content": {media_type: {"schema": schema}}}
    errors = _errors(*_OTHERWISE.get(path, ()))
    security: dict[str, Any] = (
        {"security": [{"key": []}, {}]} if path == "/metrics" else {}
    )  # {}: the machine itself needs none
    return {"summary": text, "responses": {"200": answer, **errors}, **security}


def _errors(*statuses: HTTPStatus) -> dict[str, Any]:
    said = {str(int(status)): _ERRORS[status] for status in statuses}
    return {status: {"description": text, **more, **_json(ErrorReply)} for status, (text, more) in said.items()}


def _content(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.media_type == _JSON:
        return _json(endpoint.reply)
    return {"content": {endpoint.media_type: {"schema": {"type": "string", "format": "binary"}}}}


def _json(model: type) -> dict[str, Any]:
    return {"content": {_JSON: {"schema": {"$ref": f"{REFERENCE}{model.__name__}"}}}}
