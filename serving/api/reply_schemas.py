"""JSON schemas of what is answered, with the docstring behind each field as its description."""

import ast
import inspect
from collections.abc import Iterator, Sequence
from textwrap import dedent
from typing import Any

import msgspec

from serving.api.replies import Reply


def reply_schemas(replies: Sequence[type[Reply]], template: str) -> dict[str, dict[str, Any]]:
    """By name, for these and all that they hold; `template` makes a reference from `{name}`.

    A field that has nothing to say is left out, never null, so null is in no schema.
    """
    _, schemas = msgspec.json.schema_components(replies, ref_template=template)
    for kind in _subclasses(Reply):
        if kind.__name__ in schemas:
            fields, texts = schemas[kind.__name__]["properties"], _field_texts(kind)
            schemas[kind.__name__]["properties"] = {
                name: {**_without_null(field), **texts.get(name, {})} for name, field in fields.items()
            }
    return dict(schemas)


def _subclasses(kind: type[Reply]) -> Iterator[type[Reply]]:
    for one in kind.__subclasses__():
        yield one
        yield from _subclasses(one)


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" not in field:
        return field
    (kind,) = (one for one in field["anyOf"] if one != {"type": "null"})
    return dict(kind)


def _field_texts(kind: type[Reply]) -> dict[str, dict[str, str]]:
    """What stands behind each field, those of the parents included."""
    texts = {}
    for parent in reversed([one for one in kind.__mro__ if issubclass(one, Reply)]):
        (definition,) = ast.parse(dedent(inspect.getsource(parent))).body
        assert isinstance(definition, ast.ClassDef)
        for field, text in zip(definition.body, definition.body[1:], strict=False):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                    texts[name] = {"description": " ".join(said.split())}
    return texts
