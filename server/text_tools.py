"""Tools that take plain text: to a model they are functions of one argument, a string."""

import json
from typing import Any, cast

from models.chat import Tool, ToolCall
from models.engine.grammar_regular import lark_to_regex
from models.errors import InvalidRequest
from server.fields import Fields, Json

_ARGUMENT = "input"


def read_text_tool(tool: Fields, name: str) -> Tool:
    """Read what stands beside a tool's ``name``: its description, and the form of its text.

    Raises:
        InvalidRequest: the form is none that can be kept to.
    """
    description = tool.text("description") or ""
    form = tool.inner("format")
    match form.required_text("type") if form else "text":
        case "text":
            return Tool(name, description, _parameters({}))
        case "grammar":
            assert form
            # OpenAI's chat has a box of its own for it, and its Responses have none.
            told, kept_to = _read_grammar(form.inner("grammar") or form)
            return Tool(name, description, _parameters(told), True, _parameters(kept_to))
        case kind:
            assert form
            raise form.wrong("type", "'text' or 'grammar'", kind)


def _read_grammar(form: Fields) -> tuple[Json, Json]:
    """Return what the model is told of the text, and what it is kept to."""
    syntax, definition = form.required_text("syntax"), form.required_text("definition")
    match syntax:
        case "regex":
            told = {"pattern": _whole(definition)}
            return told, told
        case "lark":
            try:
                regex = lark_to_regex(definition)
            except InvalidRequest as error:
                raise InvalidRequest(str(error), field=form.name("definition")) from None
            return {"description": f"In this Lark grammar:\n{definition}"}, {
                "pattern": _whole(regex)
            }
        case _:
            raise form.wrong("syntax", "'lark' or 'regex'", syntax)


def _whole(regex: str) -> str:
    return f"^(?:{regex})$"


def _parameters(text: Json) -> Json:
    return {
        "type": "object",
        "properties": {_ARGUMENT: {"type": "string"} | text},
        "required": [_ARGUMENT],
        "additionalProperties": False,
    }


def text_call(id: str, name: str, text: str) -> ToolCall:
    """Return a call as a model is told of it."""
    return ToolCall(id, name, json.dumps({_ARGUMENT: text}, ensure_ascii=False))


def text_of(arguments: str) -> str:
    """Return the text in the arguments of a call; all of them, where there is none in them."""
    try:
        value: Any = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    text = cast("Json", value).get(_ARGUMENT) if isinstance(value, dict) else None
    return text if isinstance(text, str) else arguments
