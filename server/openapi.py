"""/openapi.json: OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1), written from the contracts."""

import re
from collections.abc import Iterable
from typing import Any

from models.version import own_version
from server.body_schema import body_schema, field_schema
from server.contract import Route, Row
from server.fields import Json
from server.key_check import is_open
from server.routes import FAMILIES, Family
from server.wires import Wire, wire_at

_ABOUT = """\
Language models on your own computer, under the APIs of OpenAI, Ollama and Anthropic. A field \
that is null is as one that is absent. What is not known here or has no effect is named in the \
header X-Inglenook-Ignored; with X-Inglenook-Strict: 1 it is refused."""
_TEXT: Json = {"type": "string"}
_TEXT_OR_NULL: Json = {"type": ["string", "null"]}
_STRICT: Json = {
    "name": "X-Inglenook-Strict",
    "in": "header",
    "description": "1: fields without effect are refused.",
    "schema": {"type": "string", "enum": ["1"]},
}


def document() -> Json:
    paths: dict[str, Json] = {}
    for family in FAMILIES:
        for route in family.routes:
            operations = paths.setdefault(route.path, {})
            made = _operation(family, route)
            known = operations.get(route.method.lower())
            operations[route.method.lower()] = _joined(known, made) if known else made
    return {
        "openapi": "3.1.0",
        "info": {"title": "Inglenook", "version": own_version(), "description": _ABOUT},
        "paths": paths,
        "components": {"responses": _ERRORS, "securitySchemes": _KEYS},
        # Where no key is needed none is asked for.
        "security": [{}, *({name: list[str]()} for name in _KEYS)],
    }


def _operation(family: Family, route: Route) -> Json:
    wire = wire_at(route.path)
    operation: Json = {
        "tags": [family.name],
        "summary": route.summary,
        "operationId": _id_of(route),
        "parameters": [*_in_path(route.path), *map(_in_query, route.query)],
        "responses": {
            "200": {"description": "It is done.", "content": _content(wire, route)},
            "default": {"$ref": f"#/components/responses/{_error_of(wire)}"},
        },
    }
    if route.rows:
        operation["parameters"].append(_STRICT)
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body_schema(route.rows)}},
        }
    if is_open(route.path):
        operation["security"] = []
    return operation


def _joined(one: Json, other: Json) -> Json:
    """Return an operation that two families have under one path."""
    return one | {
        "tags": [*one["tags"], *other["tags"]],
        "summary": f"{one['summary']} {other['summary']}",
        "parameters": [*one["parameters"], *(
            each for each in other["parameters"] if each not in one["parameters"]
        )],
    }  # fmt: skip


def _id_of(route: Route) -> str:
    return "_".join(re.findall(r"\w+", f"{route.method.lower()} {route.path}"))


def _in_path(path: str) -> Iterable[Json]:
    for name in re.findall(r"\{(\w+)\}", path):
        yield {"name": name, "in": "path", "required": True, "schema": _TEXT}


def _in_query(row: Row) -> Json:
    required = {"required": True} if row.required else {}
    return {"name": row.name, "in": "query", "schema": field_schema(row), **required}


def _content(wire: Wire, route: Route) -> Json:
    types = [wire.content_type.partition(";")[0], *([wire.stream_type] if route.streams else [])]
    return {each: dict[str, Any]() for each in types}


# -- What all of them have in common ------------------------------------------------


def _error_of(wire: Wire) -> str:
    return _ERROR_OF[wire.name.partition("-")[0]]


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _error(schema: Json) -> Json:
    return {"description": "It is refused, or failed.", "content": {"application/json": {
        "schema": schema,
    }}}  # fmt: skip


_ERRORS = {
    "OpenAIError": _error(
        _object(error=_object(message=_TEXT, type=_TEXT, param=_TEXT_OR_NULL, code=_TEXT_OR_NULL))
    ),
    "OllamaError": _error(_object(error=_TEXT)),
    "LlamaServerError": _error(
        _object(error=_object(code={"type": "integer"}, message=_TEXT, type=_TEXT))
    ),
    "AnthropicError": _error(
        _object(type={"const": "error"}, error=_object(type=_TEXT, message=_TEXT), request_id=_TEXT)
    ),
}
_ERROR_OF = {
    "openai": "OpenAIError",
    "ollama": "OllamaError",
    "anthropic": "AnthropicError",
    "llama": "LlamaServerError",
}
_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}
