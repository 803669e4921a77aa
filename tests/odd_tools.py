"""Tools as agents send them: lawful, and yet what templates and grammars trip over."""

from typing import Any

JSON = dict[str, Any]

_NODE: JSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "children": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 1},
    },
    "required": ["name"],
}
_TEXT: JSON = {"type": "string", "maxLength": 12}


def _object(*required: str, **properties: Any) -> JSON:
    return {"type": "object", "properties": properties, "required": list(required)}


# Of each: the schema of a tool's parameters.
SCHEMAS: dict[str, JSON] = {
    "$ref": {
        **_object("to", to={"$ref": "#/$defs/place"}),
        "$defs": {"place": _object("city", city=_TEXT)},
    },
    "definitions": {
        **_object("to", to={"$ref": "#/definitions/place"}),
        "definitions": {"place": _object("city", city=_TEXT)},
    },
    "anyOf": _object("x", x={"anyOf": [_TEXT, {"type": "integer"}, {"type": "null"}]}),
    "allOf": _object("x", x={"allOf": [{"type": "string"}, {"maxLength": 5}]}),
    "nullable": _object("x", "y", x={**_TEXT, "nullable": True}, y={"type": ["integer", "null"]}),
    "several types": _object("x", x={"type": ["boolean", "integer"]}),
    "format": _object("when", when={"type": "string", "format": "date-time"}),
    "no properties": _object(),
    "an empty schema": {},
    "no type": {"properties": {"x": {"description": "0 or 1", "enum": [0, 1]}}, "required": ["x"]},
    "anything": {"type": "object", "properties": {"x": True, "y": {}}},
    "recursion": {**_object("root", root={"$ref": "#/$defs/node"}), "$defs": {"node": _NODE}},
    "itself": _object("name", name=_TEXT, next={"$ref": "#"}),
    "two hundred values": _object(
        "code", code={"enum": [f"c{number:03}" for number in range(200)]}
    ),
    "Chinese": _object(
        "城市",
        城市={"type": "string", "description": "要查询的城市", "enum": ["北京", "上海"]},
        days={"type": "integer", "description": "天数, 一到七"},
    ),
    "constants": _object("x", x={"const": "a"}, n={"enum": [1, None, "b"]}),
    "a map": _object("m", m={"type": "object", "additionalProperties": {"type": "integer"}}),
    "a list of anything": _object(x={"type": "array"}),
}
NAMES = ("look.up", "look-up", "files.part-2.look_up")


def tool(schema: JSON, name: str = "odd_tool", description: str = "查找 a thing.") -> JSON:
    return {"name": name, "description": description, "parameters": schema}
