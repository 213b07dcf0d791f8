"""BentoML's own endpoints for our routes: from them it makes its schema, its OpenAPI and its clients' methods.

They stand behind the door, which answers the same routes at a fraction of the cost. Both ask one reception, and a
contract test holds that they answer alike: should a later BentoML leave no room for the door, the service goes on
without it.
"""

import json
from typing import Any, ClassVar

import bentoml
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from serving.api.endpoints import ENDPOINTS, Endpoint
from serving.api.openapi import openapi
from serving.api.requests import REFERENCE
from serving.http.reception import Reception
from serving.http.wire import Streamed


class Native:
    """Has one BentoML endpoint for each of ours, by its name."""

    reception: ClassVar[Reception]


def _native(endpoint: Endpoint) -> Any:
    """The endpoint as a BentoML method. It gets the raw request, because BentoML's errors have another form."""

    async def answer(self: Native, request: Request, /) -> Response:
        made = await self.reception.answer(endpoint, request.scope, request.receive)
        response = (
            StreamingResponse(made.parts, int(made.status))
            if isinstance(made, Streamed)
            else Response(made.body, int(made.status))
        )
        response.raw_headers[:] = made.all_headers()
        return response

    answer.__name__ = endpoint.name
    answer.__doc__ = endpoint.answer.__doc__
    method = bentoml.api(
        answer,
        route=endpoint.path,
        input_spec=_described(endpoint.request.__name__),
        output_spec=_described(endpoint.reply.__name__),
    )
    method.input_spec.__root_input__ = True  # what a positional-only parameter would have set
    method.input_spec.from_http_request = classmethod(_as_it_is)
    return method


async def _as_it_is(_: type[BaseModel], request: Request, __: Any) -> Request:
    return request


def _described(name: str) -> type[BaseModel]:
    """A class that only stands for a schema of our OpenAPI document; nothing is read or written with it."""

    class Described(BaseModel):
        @classmethod
        def model_json_schema(cls, *_: Any, ref_template: str = "#/$defs/{model}", **__: Any) -> dict[str, Any]:
            return _schema(name, ref_template)

    Described.__name__ = name
    return Described


def _schema(name: str, ref_template: str) -> dict[str, Any]:
    """A schema with all that it may refer to."""
    text = json.dumps(openapi()["components"]["schemas"])
    schemas = json.loads(text.replace(REFERENCE, ref_template.removesuffix("{model}")))
    return {**schemas[name], "$defs": schemas}


for _endpoint in ENDPOINTS:
    setattr(Native, _endpoint.name, _native(_endpoint))
