"""What a response tells of its request, from its beginning on."""

import time

from models.chat import GenerateRequest
from models.errors import InvalidRequest
from server.fields import Fields, Json
from server.formats.openai_responses.ids import new_id
from server.formats.openai_responses.tools import Tools

_MOST_METADATA = 16
_LONGEST_KEY, _LONGEST_VALUE = 64, 512  # characters


def read_head(
    fields: Fields,
    request: GenerateRequest,
    tools: Tools,
    *,
    reasoning: Json | None,
    conversation: str | None,
) -> Json:
    """Raises InvalidRequest."""
    sampling = request.sampling
    text = dict(fields.given().get("text") or {})
    tokens = fields.integer("max_tool_calls", least=1)
    return {
        "id": new_id("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "model": request.model,
        "instructions": fields.text("instructions"),
        "max_output_tokens": request.max_tokens,
        "max_tool_calls": tokens,
        "previous_response_id": fields.text("previous_response_id"),
        "conversation": {"id": conversation} if conversation else None,
        "store": fields.flag("store") is not False,
        "background": bool(fields.flag("background")),
        "tools": list(tools.told),
        "tool_choice": tools.told_choice,
        "parallel_tool_calls": tools.choice.parallel,
        "text": {"format": {"type": "text"}} | {k: v for k, v in text.items() if v is not None},
        "reasoning": reasoning,
        # What is left open is as the model has it; the schema wants a number.
        "temperature": 1.0 if sampling.temperature is None else sampling.temperature,
        "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
        "presence_penalty": sampling.presence_penalty or 0.0,
        "frequency_penalty": sampling.frequency_penalty or 0.0,
        "top_logprobs": request.top_logprobs or 0,
        "truncation": fields.given().get("truncation") or "disabled",
        "service_tier": "default",
        "metadata": read_metadata(fields),
        **_names_of_users(fields),
    }


def read_metadata(fields: Fields) -> Json:
    """Return ``metadata``, which is kept and told again. Raises InvalidRequest."""
    inner = fields.inner("metadata")
    if inner is None:
        return {}
    metadata = inner.raw()
    if len(metadata) > _MOST_METADATA:
        raise InvalidRequest(
            f'"metadata" may have {_MOST_METADATA} entries at most.', field="metadata"
        )
    for key, value in metadata.items():
        if not isinstance(value, str) or len(key) > _LONGEST_KEY or len(value) > _LONGEST_VALUE:
            raise InvalidRequest(
                f'"metadata" must be texts of {_LONGEST_VALUE} characters under names of '
                f"{_LONGEST_KEY} at most.",
                field="metadata",
            )
    return metadata


def _names_of_users(fields: Fields) -> Json:
    """Told again, and without effect: nobody here looks after users, and all is cached."""
    told: Json = {}
    for name in ("safety_identifier", "prompt_cache_key", "user"):
        told[name] = fields.text(name)
        fields.ignore(name)
    if told["user"] is None:
        del told["user"]  # the schema has no null for it
    return told
