"""Lawful bodies for every route, and for every field of it a body in which it has a meaning."""

import json
import re
from typing import Any

from jsonschema import Draft202012Validator

from server.contract import Row
from server.fields import Json
from server.formats.openai_responses.sealed import seal

USER = {"role": "user", "content": "hi"}
_CHAT = {"model": "scripted", "messages": [USER]}
_ASKED = {"model": "scripted", "input": "hi"}
_RERANK = {"model": "scripted", "query": "q", "documents": ["a", "b"]}
PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAA"
    "DUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

# By the path: what alone is enough.
BODIES: dict[str, Json] = {
    "/v1/chat/completions": _CHAT,
    "/v1/completions": {"model": "scripted", "prompt": "hi"},
    "/v1/embeddings": _ASKED,
    "/v1/responses": _ASKED,
    "/v1/responses/input_tokens": _ASKED,
    "/v1/responses/compact": _ASKED,
    "/v1/conversations": {},
    "/v1/conversations/{conversation_id}": {"metadata": {}},
    "/v1/conversations/{conversation_id}/items": {"items": [USER]},
    "/api/generate": {"model": "scripted", "prompt": "hi", "stream": False},
    "/api/chat": _CHAT | {"stream": False},
    "/api/embed": _ASKED,
    "/api/embeddings": {"model": "scripted", "prompt": "hi"},
    "/api/show": {"model": "scripted"},
    "/api/create": {"model": "made", "from": "scripted", "stream": False},
    "/api/copy": {"source": "scripted", "destination": "copied"},
    "/api/delete": {"model": "doomed"},
    "/api/pull": {"model": "pulled", "stream": False},
    "/api/push": {"model": "scripted", "stream": False},
    "/v1/messages": _CHAT | {"max_tokens": 1},
    "/v1/messages/count_tokens": _CHAT,
    "/tokenize": {"model": "scripted", "content": "hi"},
    "/detokenize": {"model": "scripted", "tokens": [1]},
    "/apply-template": _CHAT,
    "/rerank": _RERANK,
    "/reranking": _RERANK,
    "/v1/rerank": _RERANK,
    "/v1/reranking": _RERANK,
    "/infill": {"model": "scripted", "input_prefix": "a", "input_suffix": "b"},
    "/models/load": {"model": "scripted"},
    "/models/unload": {"model": "scripted"},
}

_CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_SAID = {"role": "assistant", "content": "a"}
_FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {}}}
_GRAMMAR = {"syntax": "lark", "definition": 'start: "a"'}
_CUSTOM = {
    "type": "custom",
    "custom": {"name": "f", "format": {"type": "grammar", "grammar": _GRAMMAR}},
}
_CUSTOM_CALL = {"id": "c", "type": "custom", "custom": {"name": "f", "input": "a"}}
_SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}


def _say(*messages: Json) -> Json:
    return {"messages": [USER, *messages]}


def _part(**part: Any) -> Json:
    return {"messages": [{"role": "user", "content": [part]}]}


def _item(**item: Any) -> Json:
    return {"input": [USER | {"type": "message"}, item]}


_OPENAI = "/v1/(chat/)?completions|/apply-template"
_OLLAMA = "/api/.*"
_RESPONSES = "/v1/responses.*"
_ANTHROPIC = "/v1/messages.*"
_MESSAGE_ITEM = {
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": "a"}],
}

# Path, field, and what must stand around it: each that fits is put into the body in this order.
_AROUND: list[tuple[str, str, Json]] = [
    (".*", r"keep_alive", {"keep_alive": "5m"}),
    (".*", r"ttl", {"ttl": 300}),
    ("/api/generate", r"images", {"images": [PICTURE]}),
    ("/api/chat", r"messages\[\]\.images", _say(USER | {"images": [PICTURE]})),
    (_OPENAI, r"messages\[\]\.content\[\].*", _part(type="text", text="a")),
    (_OPENAI, r"messages\[\]\.content\[\]\.refusal", _part(type="refusal", refusal="a")),
    (_OPENAI, r"messages\[\]\.content\[\]\.image_url.*",
        _part(type="image_url", image_url={"url": f"data:image/png;base64,{PICTURE}"})),
    (_OPENAI, r"messages\[\]\.content\[\]\.detail",
        _part(type="image_url", image_url=f"data:image/png;base64,{PICTURE}")),
    (_OPENAI, r"messages\[\]\.(refusal|reasoning.*|audio|annotations)", _say(_SAID)),
    (_OPENAI, r"messages\[\]\.tool_calls.*", _say(_SAID | {"tool_calls": [_CALL]})),
    (_OPENAI, r"messages\[\]\.function_call.*",
        _say(_SAID | {"function_call": {"name": "f", "arguments": "{}"}})),
    (_OPENAI, r"messages\[\]\.(tool_call_id)", _say({"role": "tool", "content": "a"})),
    (_OPENAI, r"messages\[\]\.name", _say({"role": "function", "content": "a"})),
    (_OPENAI, r"response_format.*", {"response_format": _SCHEMA}),
    (_OPENAI, r"response_format\.(schema|value)", {"response_format": {"type": "json_object"}}),
    (_OPENAI, r"tools.*|tool_choice|parallel_tool_calls", {"tools": [_FUNCTION]}),
    (_OPENAI, r"tools\[\]\.custom.*", {"tools": [_CUSTOM]}),
    (_OPENAI, r"messages\[\]\.tool_calls\[\]\.custom.*",
        _say(_SAID | {"tool_calls": [_CUSTOM_CALL]})),
    (_OPENAI, r"functions|function_call", {"functions": [{"name": "f"}]}),
    (_OPENAI, r"top_logprobs", {"logprobs": True}),
    (_OPENAI, r"stream_options.*", {"stream": True}),
    (_OPENAI, r"best_of", {"n": 1}),
    (_OLLAMA, r"messages\[\]\.tool_calls.*", _say(_SAID | {"tool_calls": [_CALL]})),
    (_OLLAMA, r"messages\[\]\.thinking", _say(_SAID)),
    (_OLLAMA, r"messages\[\]\.tool_(name|call_id)", _say({"role": "tool", "content": "a"})),
    (_OLLAMA, r"tools.*", {"tools": [_FUNCTION]}),
    (_OLLAMA, r"top_logprobs", {"logprobs": True}),
    ("/api/create", r"messages.*", {"messages": [USER]}),
    ("/api/create", r"from", {"from": "scripted"}),
    (_OLLAMA, r"name", {"model": None, "name": "doomed"}),
    ("/api/push", r"name", {"name": "scripted"}),
    (_OLLAMA, r"shift", {"shift": False}),
    (_RESPONSES, r"input\[\].*", _item(**_MESSAGE_ITEM)),
    (_RESPONSES, r"input\[\]\.content\[\]\.refusal",
        _item(type="message", role="assistant", content=[{"type": "refusal", "refusal": "a"}])),
    (_RESPONSES, r"input\[\]\.(phase|content\[\]\.(annotations|logprobs))",
        _item(type="message", role="assistant", content=[{"type": "output_text", "text": "a"}])),
    (_RESPONSES, r"input\[\]\.content\[\]\.(image_url|detail|file_id)",
        _item(type="message", role="user", content=[
            {"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE}"}])),
    (_RESPONSES, r"input\[\]\.(summary|encrypted_content)",
        _item(type="reasoning", summary=[], encrypted_content=seal("a thought"))),
    (_RESPONSES, r"input\[\]\.(call_id|name|namespace|arguments)",
        _item(type="function_call", call_id="c", name="f", arguments="{}")),
    (_RESPONSES, r"input\[\]\.input",
        _item(type="custom_tool_call", call_id="c", name="f", input="a")),
    (_RESPONSES, r"input\[\]\.output",
        {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                   {"type": "function_call_output", "call_id": "c", "output": "a"}]}),
    (_RESPONSES, r"tools.*|tool_choice|parallel_tool_calls",
        {"tools": [{"type": "function", "name": "f", "parameters": {}}]}),
    (_RESPONSES, r"tools\[\]\.tools",
        {"tools": [{"type": "namespace", "name": "n", "description": "d", "tools": []}]}),
    (_RESPONSES, r"tools\[\]\.format.*", {"tools": [{"type": "custom", "name": "f", "format": {
        "type": "grammar", "syntax": "regex", "definition": "a"}}]}),
    (_RESPONSES, r"text\.format.*",
        {"text": {"format": {"type": "json_schema", "name": "a", "schema": {}}}}),
    (_RESPONSES, r"stream_options.*", {"stream": True}),
    (_RESPONSES, r"include", {"include": ["reasoning.encrypted_content"]}),
    (_ANTHROPIC, r"messages\[\]\.content\[\].*", _part(type="text", text="a")),
    (_ANTHROPIC, r"messages\[\]\.content\[\]\.citations\.enabled", _part(
        type="document", source={"type": "text", "media_type": "text/plain", "data": "a"})),
    (_ANTHROPIC, r"system\[\].*", {"system": [{"type": "text", "text": "a"}]}),
    (_ANTHROPIC, r"tools.*|tool_choice.*", {"tools": [{"name": "f", "input_schema": {}}]}),
    (_ANTHROPIC, r"tools\[\]\.type",
        {"tools": [{"type": "custom", "name": "f", "input_schema": {}}]}),
    (_ANTHROPIC, r"tool_choice.*", {"tool_choice": {"type": "tool", "name": "f"}}),
    (_ANTHROPIC, r"thinking.*", {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
    ("/apply-template", r"reasoning_effort", {"reasoning_effort": "low"}),
    ("/infill", r"logit_bias", {"logit_bias": [[1, 0.5]]}),
    ("/v1/conversations.*", r"items", {"items": [USER]}),
    ("/infill", r"input_extra.*", {"input_extra": [{"text": "a"}]}),
]  # fmt: skip


def example(schema: Json) -> Any:
    """Return a value that the schema allows."""
    if choices := schema.get("anyOf"):
        return example(choices[0])
    if "enum" in schema:
        return schema["enum"][-1]
    if "const" in schema:
        return schema["const"]
    match schema.get("type"):
        case "array":
            return [example(schema["items"])]
        case "object":
            fields: Json = schema.get("properties", {})
            return {name: example(each) for name, each in fields.items()}
        case "integer" | "number":
            return min(max(1, schema.get("minimum", 1)), schema.get("maximum", 1 << 20))
        case "boolean":
            return True
        case _:
            return "a"


def body_with(path: str, row: Row) -> Json:
    """Return a body of a route in which the row's field has an example of what it may be."""
    body: Json = json.loads(json.dumps(BODIES[path]))
    for route, field, around in _AROUND:
        if re.fullmatch(route, path) and re.fullmatch(field, row.name):
            body |= json.loads(json.dumps(around))
    *steps, name = row.name.split(".")
    owner: Any = body
    for step in steps:
        owner = _inside(owner, step)
    if name not in owner or not _is(owner[name], row.schema):
        owner[name] = example(row.schema)
    return body


def _inside(owner: Json, step: str) -> Json:
    name = step.removesuffix("[]")
    if not step.endswith("[]"):
        return owner.setdefault(name, {})
    if not isinstance(owner.get(name), list):
        owner[name] = [{}]
    return owner[name][-1]


def _is(value: Any, schema: Json) -> bool:
    return Draft202012Validator(schema).is_valid(value)
