"""The fields that Ollama's routes have in common, with Ollama's own complaints.

The table of options is api/types.go's in ollama/ollama, which has no status but 500 for
a wrong type; ours is 400, with the same sentence.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from models.chat import (
    Constraint,
    Grammar,
    Image,
    JsonObject,
    JsonSchema,
    SamplingParams,
    Text,
    Thinking,
)
from models.errors import InvalidRequest
from server.fields import Fields, Json
from server.images import read_image
from server.sampling import read_limit, read_sampling, read_stop

# What Go calls the types that our sentences name.
_GO_TYPES = {
    "a whole number": "integer",
    "a number": "float32",
    "true or false": "boolean",
    "a string or a list of strings": "array",
}
# How Ollama loads a model. Ours are loaded in one way, the best we know.
_LOADING = ("num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread", "draft_num_predict")
_THINK_LEVELS: tuple[Literal["high", "medium", "low", "max"], ...] = (
    "high",
    "medium",
    "low",
    "max",
)
_MOST_TOP_LOGPROBS = 20
_PLACE = "[img]"  # of a picture, in a text


@dataclass(frozen=True, slots=True)
class Options:
    sampling: SamplingParams
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    context_length: int | None = None


class _GoFields(Fields):
    """Complains as Ollama does, and cuts fractions off as Go does."""

    def _cut(self, value: float) -> float:
        return int(value)

    def wrong(self, field: str, wanted: str, value: Any) -> InvalidRequest:  # noqa: ANN401
        kind = _GO_TYPES.get(wanted, wanted)
        return InvalidRequest(f'option "{field}" must be of type {kind}', field=self.name(field))


def read_name(fields: Fields) -> str:
    """Return the name of a model, which older clients give in another field; "" for none.

    Raises InvalidRequest.
    """
    older = fields.text("name")
    return fields.text("model") or older or ""


def read_options(fields: Fields) -> Options:
    """Raises InvalidRequest."""
    options = fields.inner("options", _GoFields)
    if options is None:
        return Options(SamplingParams())
    for name in _LOADING:
        options.integer(name)
        options.ignore(name)
    options.flag("use_mmap")
    options.ignore("use_mmap")
    return Options(
        sampling=read_sampling(options),
        max_tokens=read_limit(options, "num_predict"),
        stop=read_stop(options),
        context_length=read_limit(options, "num_ctx"),
    )


def read_context_length(fields: Fields) -> int | None:
    """What is an option on this wire, as other families take it. Raises InvalidRequest."""
    return read_limit(fields, "num_ctx") or read_limit(fields, "context_length")


def read_shift(fields: Fields) -> None:
    """Raises InvalidRequest."""
    if fields.flag("shift"):  # a full context ends the answer here
        fields.ignore("shift")


def read_constraint(fields: Fields) -> Constraint | None:
    """Raises InvalidRequest."""
    form, grammar = _format(fields), fields.text("grammar")  # as llama.cpp's server takes it
    if form and grammar:
        raise InvalidRequest('Give "format" or "grammar", not both.', field="grammar")
    return Grammar(grammar, "gbnf") if grammar else form


def _format(fields: Fields) -> Constraint | None:
    value = fields.value("format")
    if value is None or value == "":
        return None
    if value == "json":
        return JsonObject()
    if isinstance(value, dict):
        return JsonSchema(cast("Json", value))
    if isinstance(value, list):
        raise fields.wrong("format", '"json" or a JSON Schema object', cast("Any", value))
    quoted = json.dumps(json.dumps(value))
    raise InvalidRequest(
        f'invalid format: {quoted}; expected "json" or a valid JSON Schema object', field="format"
    )


def read_top_logprobs(fields: Fields) -> int | None:
    """Return how many of the likeliest tokens are wanted, None: no odds at all.

    Raises InvalidRequest.
    """
    count = fields.integer("top_logprobs") or 0
    if not 0 <= count <= _MOST_TOP_LOGPROBS:
        raise InvalidRequest(f"top_logprobs must be between 0 and {_MOST_TOP_LOGPROBS}")
    if fields.flag("logprobs"):
        return count
    if count:
        fields.ignore("top_logprobs")
    return None


def read_images(fields: Fields) -> tuple[Image, ...]:
    """Raises InvalidRequest."""
    return tuple(
        read_image(each, f"{fields.name('images')}[{place}]")
        for place, each in enumerate(fields.texts("images"))
    )


def placed(
    images: Sequence[Image], content: Sequence[Text | Image]
) -> tuple[Sequence[Image], Sequence[Text | Image]]:
    """Put images where ``[img]`` stands in texts (ollama/ollama: server/prompt.go).

    Return those for which it does not, and the content with the others in it.
    """
    left = list(images)
    found: list[Text | Image] = []
    for part in content:
        if isinstance(part, Image):
            found.append(part)
            continue
        first, *others = part.text.split(_PLACE, len(left))
        if first or not others:
            found.append(Text(first))
        for text in others:
            found.append(left.pop(0))
            if text:
                found.append(Text(text))
    return left, found


def read_thinking(fields: Fields) -> Thinking:
    """Raises InvalidRequest."""
    template = fields.inner("chat_template_kwargs")  # as vLLM and llama.cpp's server have it
    enabled = template.flag("enable_thinking") if template else None
    value = fields.value("think")
    if value is None:
        return enabled
    if isinstance(value, bool):
        return value
    for level in _THINK_LEVELS:
        if value == level:
            return level
    levels = ", ".join(f'"{level}"' for level in _THINK_LEVELS)
    raise InvalidRequest(
        f"invalid think value: {json.dumps(value)[:60]} (must be {levels}, true, or false)",
        field="think",
    )
