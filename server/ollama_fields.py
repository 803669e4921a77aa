"""The fields that Ollama's generate and chat have in common, with Ollama's own complaints.

The table of options is api/types.go's in ollama/ollama, which has no status but 500 for
a wrong type; ours is 400, with the same sentence.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal, cast

from models.chat import SamplingParams, Thinking
from models.errors import InvalidRequest
from server.fields import Fields
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


@dataclass(frozen=True, slots=True)
class Options:
    sampling: SamplingParams
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    context_length: int | None = None


class _GoFields(Fields):
    """Complains as Ollama does, and cuts fractions off as Go does."""

    def whole(self, field: str, **limits: int) -> int | None:
        value = self.value(field)
        if isinstance(value, float) and not value.is_integer():
            return _GoFields({field: int(value)}).whole(field, **limits)
        return super().whole(field, **limits)

    def wrong(self, field: str, wanted: str, value: Any) -> InvalidRequest:  # noqa: ANN401
        text = f'option "{field}" must be of type {_GO_TYPES[wanted]}'
        return InvalidRequest(text, field=self.name(field))


def read_options(fields: Fields) -> Options:
    """Raises InvalidRequest."""
    options = fields.object("options", _GoFields)
    if options is None:
        return Options(SamplingParams())
    for name in _LOADING:
        options.whole(name)
        options.ignore(name)
    options.flag("use_mmap")
    options.ignore("use_mmap")
    return Options(
        sampling=read_sampling(options),
        max_tokens=read_limit(options, "num_predict"),
        stop=read_stop(options),
        context_length=read_limit(options, "num_ctx"),
    )


def refuse_what_comes_later(fields: Fields) -> None:
    """Raises InvalidRequest for what this version cannot do."""
    _check_format(fields)
    _check_logprobs(fields)
    if fields.flag("_debug_render_only"):
        raise fields.not_yet("_debug_render_only")
    if fields.flag("shift"):  # a full context ends the answer here
        fields.ignore("shift")


def _check_format(fields: Fields) -> None:
    value = fields.value("format")
    if value is None or value == "":
        return
    if value == "json" or isinstance(value, dict):
        raise fields.not_yet("format")
    if isinstance(value, list):
        raise fields.wrong("format", '"json" or a JSON Schema object', cast("Any", value))
    quoted = json.dumps(json.dumps(value))
    raise InvalidRequest(
        f'invalid format: {quoted}; expected "json" or a valid JSON Schema object', field="format"
    )


def _check_logprobs(fields: Fields) -> None:
    count = fields.whole("top_logprobs") or 0
    if not 0 <= count <= _MOST_TOP_LOGPROBS:
        raise InvalidRequest(f"top_logprobs must be between 0 and {_MOST_TOP_LOGPROBS}")
    if fields.flag("logprobs"):
        raise fields.not_yet("logprobs")


def read_thinking(fields: Fields) -> Thinking:
    """Raises InvalidRequest."""
    value = fields.value("think")
    if value is None or isinstance(value, bool):
        return value
    for level in _THINK_LEVELS:
        if value == level:
            return level
    levels = ", ".join(f'"{level}"' for level in _THINK_LEVELS)
    raise InvalidRequest(
        f"invalid think value: {json.dumps(value)[:60]} (must be {levels}, true, or false)",
        field="think",
    )
