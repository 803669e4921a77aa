"""What OpenAI's APIs ask for beside messages: forms, thinking, odds."""

import re
from typing import Literal, TypeAlias

from models.chat import (
    Constraint,
    Grammar,
    JsonObject,
    JsonSchema,
    Thinking,
)
from models.errors import InvalidRequest
from server.fields import Fields

EFFORTS: dict[str, Thinking] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "ultra": "max",
    "max": "max",
}
_MOST_TOP_LOGPROBS = 20
_LARGEST_BIAS = 100.0

Mode: TypeAlias = Literal["auto", "none", "required"]
_MODES: dict[str, Mode] = {"auto": "auto", "none": "none", "required": "required"}


# -- Tools -------------------------------------------------------------------------


def no_such_tool(name: str) -> InvalidRequest:
    return InvalidRequest(
        f'"tool_choice" names {name[:80]!r}, which is none of the tools.', field="tool_choice"
    )


def read_mode(fields: Fields, name: str) -> Mode:
    """Return whether tools may, must or must not be called. Raises InvalidRequest."""
    mode = fields.required_text(name)
    if mode not in _MODES:
        raise fields.wrong(name, "'none', 'auto', 'required' or a tool", mode)
    return _MODES[mode]


# -- The form of the answer --------------------------------------------------------


def read_constraint(fields: Fields) -> Constraint | None:
    """Raises InvalidRequest."""
    grammar = fields.text("grammar")  # as llama.cpp's server takes it
    schema = fields.inner("json_schema")
    asked: list[Constraint | None] = [
        _response_format(fields),
        Grammar(grammar, "gbnf") if grammar else None,
        JsonSchema(schema.raw()) if schema else None,
    ]
    constraints = [each for each in asked if each is not None]
    if len(constraints) > 1:
        raise InvalidRequest(
            'Give one of "response_format", "grammar" and "json_schema".', field="response_format"
        )
    return constraints[0] if constraints else None


def _response_format(fields: Fields) -> Constraint | None:
    form = fields.inner("response_format")
    if form is None:
        return None
    match form.required_text("type"):
        case "text":
            return None
        case "json_object":
            # llama.cpp's server has a schema here by the one name, Hugging Face's by the other.
            schemas = [each for name in ("schema", "value") if (each := form.inner(name))]
            return JsonSchema(schemas[0].raw()) if schemas else JsonObject()
        case "json_schema":
            return JsonSchema(_schema(form))
        case kind:
            name = form.name("type")
            raise InvalidRequest(
                f"\"{name}\" must be 'text', 'json_object' or 'json_schema', not {kind[:40]!r}.",
                field=name,
            )


def _schema(form: Fields) -> dict[str, object]:
    outer = form.inner("json_schema")
    if outer is None:
        raise form.missing("json_schema")
    for name in ("name", "description", "strict"):  # an answer always matches to the letter
        outer.value(name)
    schema = outer.inner("schema")
    if schema is None:
        raise outer.missing("schema")
    return schema.raw()


# -- Thinking and odds -------------------------------------------------------------


def read_thinking(fields: Fields) -> tuple[Thinking, str]:
    """Return how hard to think, and the field that wishes so, where it is no more than a wish.

    Clients send an effort to every model, so one that cannot think answers without; our own
    ``think`` is meant. Raises InvalidRequest.
    """
    if fields.has("think"):
        value = fields.value("think")
        return (value, "") if isinstance(value, bool) else (read_effort(fields, "think"), "")
    if fields.text("reasoning_effort"):
        return read_effort(fields, "reasoning_effort"), "reasoning_effort"
    reasoning = fields.inner("reasoning")
    if reasoning and reasoning.text("effort"):
        return read_effort(reasoning, "effort"), "reasoning.effort"
    template = fields.inner("chat_template_kwargs")  # as vLLM and llama.cpp's server have it
    thinking = template.flag("enable_thinking") if template else None
    return thinking, "" if thinking is None else "chat_template_kwargs.enable_thinking"


def read_effort(fields: Fields, name: str) -> Thinking:
    """Raises InvalidRequest."""
    effort = fields.text(name)
    if effort is None:
        return None
    if effort not in EFFORTS:
        known = ", ".join(EFFORTS)
        raise InvalidRequest(
            f'"{fields.name(name)}" must be one of {known}, not {effort[:40]!r}.',
            field=fields.name(name),
        )
    return EFFORTS[effort]


def read_top_logprobs(fields: Fields) -> int | None:
    """Return how many of the likeliest tokens are wanted, None: no odds at all.

    Raises InvalidRequest.
    """
    count = fields.integer("top_logprobs", least=0, most=_MOST_TOP_LOGPROBS) or 0
    if fields.flag("logprobs"):
        return count
    if count:
        raise InvalidRequest('"top_logprobs" needs "logprobs" to be true.', field="top_logprobs")
    return None


def read_logit_bias(fields: Fields) -> tuple[tuple[int | str, float], ...]:
    """Return what is added to the logits, by the id of a token or by its text.

    Raises InvalidRequest.
    """
    biases = fields.inner("logit_bias")
    if biases is None:
        return ()
    return tuple(
        (
            int(token) if re.fullmatch("[0-9]{1,9}", token) else token,
            biases.number(token, least=-_LARGEST_BIAS, most=_LARGEST_BIAS) or 0.0,
        )
        for token in biases.raw()
    )
