"""What the table says of Ollama's fields is what the parsers do with them."""

from collections.abc import Callable
from typing import Any

import pytest

from models.errors import InvalidRequest
from server.answer import Asked
from server.contract import Honour, Route, Row
from server.formats.ollama.contract import CHAT, EMBED, EMBEDDINGS, GENERATE
from server.formats.ollama.embed import parse_embed, parse_embeddings
from server.formats.ollama.requests import parse_chat, parse_generate

PARSERS: list[tuple[Route, Callable[[Any], Asked], dict[str, Any]]] = [
    (GENERATE, parse_generate, {"prompt": "hi"}),
    (CHAT, parse_chat, {"messages": [{"role": "user", "content": "hi"}]}),
    (EMBED, parse_embed, {"input": "hi"}),
    (EMBEDDINGS, parse_embeddings, {"prompt": "hi"}),
]
ROWS = [
    pytest.param(parse, {"model": "m"} | usual, row, id=f"{route.path} {row.name}")
    for route, parse, usual in PARSERS
    for row in route.rows
    if "[]" not in row.name and row.name not in usual
]
# A value that goes with every other field.
VALUES = {
    "format": "json",
    "keep_alive": "5m",
    "ttl": 60,
    "shift": False,
    "grammar": 'root ::= "a"',
}


def sample(row: Row) -> Any:
    if row.name in VALUES:
        return VALUES[row.name]
    schema = row.schema.get("anyOf", [row.schema])[0]
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "string":
            return "x"
        case "boolean":
            return True
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "array":
            return []
        case _:
            return {}


@pytest.mark.parametrize(("parse", "usual", "row"), ROWS)
def test_each_field_is_honoured_as_the_table_says(
    parse: Callable[[Any], Asked], usual: dict[str, Any], row: Row
):
    outer, _, inner = row.name.partition(".")
    value = {inner: sample(row)} if inner else sample(row)

    def asked() -> Asked:
        return parse(usual | {outer: value})

    match row.honour:
        case Honour.SUPPORTED:
            assert row.name not in asked().ignored
        case Honour.IGNORED:
            assert row.name in asked().ignored
        case Honour.REFUSED:
            with pytest.raises(InvalidRequest) as caught:
                asked()
            assert caught.value.field == row.name
