"""Tools as chat templates are given them: as they are, and plainly for those that stumble."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from models.chat import Tool

JSON = dict[str, Any]


def offers(tools: Sequence[Tool]) -> Iterator[list[JSON] | None]:
    """Yield the tools as they were sent, and then in the plainest JSON Schema."""
    if not tools:
        yield None
        return
    parameters = [dict(each.parameters or {"type": "object", "properties": {}}) for each in tools]
    yield list(map(_offer, tools, parameters))
    yield list(map(_offer, tools, map(_plain_object, parameters)))


def _offer(tool: Tool, parameters: JSON) -> JSON:
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


def _plain_object(schema: JSON) -> JSON:
    return {"type": "object", "properties": {}, **_plain(schema)}


def _plain(schema: object) -> JSON:
    """Each property has a description and, where one will do, a single type. That a value may be
    null is not said: which arguments are lawful, a grammar knows from the tool itself."""
    if not isinstance(schema, Mapping):
        return {}  # true: anything
    found: JSON = {**schema}
    kinds = found.get("type")
    if isinstance(kinds, list):
        said = [each for each in kinds if each != "null"]
        found["type"] = said[0] if len(said) == 1 else said
    if isinstance(properties := found.get("properties"), Mapping):
        found["properties"] = {
            name: {"description": "", **_plain(each)} for name, each in properties.items()
        }
    if "items" in found:
        found["items"] = _plain(found["items"])
    return found
