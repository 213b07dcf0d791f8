"""The OpenAPI document, made from the same models that check requests and write answers."""

from functools import cache
from http import HTTPStatus
from typing import Any

from pydantic.json_schema import models_json_schema

from serving.endpoints import ENDPOINTS, Endpoint
from serving.item_requests import PostedItem
from serving.replies import ErrorReply
from serving.requests import Event

_SCHEMAS = "#/components/schemas/{model}"
_ERRORS = {
    HTTPStatus.BAD_REQUEST: "The request is malformed or invalid; `field` names what to mend.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is over 1 MB.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests wait for an answer; come again.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The bundle is not loaded yet, or the store does not answer.",
}
_PLAIN = {
    "/livez": "The process runs.",
    "/readyz": "The bundle is loaded, its golden answers are right, and the store answers.",
    "/metrics": "Counters and times of all workers, for Prometheus.",
    "/openapi.json": "This document.",
    "/": "A page that shows a person's history and personal picks.",
}
ROUTES = (*(endpoint.path for endpoint in ENDPOINTS), *_PLAIN)
"""Every path that the service answers."""


@cache
def openapi() -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    requests = [(endpoint.request, "validation") for endpoint in ENDPOINTS]
    replies = [(endpoint.reply, "serialization") for endpoint in ENDPOINTS]
    records = [(record, "validation") for record in (Event, PostedItem)]
    models = dict.fromkeys([*requests, *records, *replies, (ErrorReply, "serialization")])
    _, definitions = models_json_schema(list(models), ref_template=_SCHEMAS)  # type: ignore[arg-type]
    plain = {path: {"get": _operation(text)} for path, text in _PLAIN.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tailorbird", "version": "1", "description": "What should this person see, and why?"},
        "paths": {**{endpoint.path: {"post": _post(endpoint)} for endpoint in ENDPOINTS}, **plain},
        "components": {"schemas": definitions["$defs"]},
    }


def _post(endpoint: Endpoint) -> dict[str, Any]:
    body = _json(endpoint.request.__name__)
    errors = {str(int(status)): {"description": text, **_json("ErrorReply")} for status, text in _ERRORS.items()}
    return {
        **_operation(endpoint.answer.__doc__ or ""),
        "operationId": endpoint.path.rpartition("/")[2],
        "requestBody": {"required": True, **body},
        "responses": {"200": {"description": "The answer.", **_json(endpoint.reply.__name__)}, **errors},
    }


def _operation(text: str) -> dict[str, Any]:
    return {"summary": text.split("\n", 1)[0], "responses": {"200": {"description": text}}}


def _json(model: str) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": {"$ref": _SCHEMAS.format(model=model)}}}}
