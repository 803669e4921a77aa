"""What belongs between two texts: the request."""

from dataclasses import replace
from typing import Any, cast

from models.chat import Constraint, GenerateRequest, Grammar, JsonSchema, Overflow, Snippet
from models.errors import InvalidRequest
from server.answer import Asked
from server.contract import settle
from server.fields import Fields, Json
from server.formats.llama_server.contract import INFILL
from server.formats.llama_server.infill_encoder import Encoder
from server.keep_alive import read_keep_alive
from server.sampling import read_limit, read_sampling, read_stop

_MOST_PROBS = 20


def parse(body: Json) -> Asked:
    """Raises InvalidRequest."""
    fields = Fields(body)
    model = fields.required_text("model")
    limit = fields.integer("n_predict")
    shown = fields.integer("n_probs", least=0, most=_MOST_PROBS) or 0
    wants_tokens = bool(fields.flag("return_tokens"))
    if fields.flag("post_sampling_probs"):
        raise InvalidRequest('"post_sampling_probs" is not supported: odds are the model\'s own.')
    if (fields.integer("n_cmpl", least=1) or 1) > 1:
        raise InvalidRequest('"n_cmpl" is not supported: ask again for another answer.')
    stream = bool(fields.flag("stream"))
    picked = fields.texts("response_fields")
    request = GenerateRequest(
        model=model,
        prompt=fields.required_text("input_prefix") + (fields.text("prompt") or ""),
        suffix=fields.required_text("input_suffix"),
        snippets=tuple(
            Snippet(each.required_text("text"), each.text("filename") or "")
            for each in fields.objects("input_extra") or ()
        ),
        sampling=replace(read_sampling(fields), logit_bias=_logit_bias(fields)),
        constraint=_constraint(fields),
        max_tokens=None if limit is None or limit < 0 else max(1, limit),
        stop=read_stop(fields),
        top_logprobs=shown or None,
        want_tokens=wants_tokens,
        context_length=read_limit(fields, "num_ctx") or read_limit(fields, "context_length"),
        overflow=Overflow.TRUNCATE,
        keep_alive_seconds=read_keep_alive(fields),
    )
    return Asked(
        request=request,
        stream=stream,
        encoder=Encoder(request, limit=limit, stream=stream, picked=picked),
        ignored=settle(fields, INFILL),
        deed="infill",
    )


def _constraint(fields: Fields) -> Constraint | None:
    grammar = fields.text("grammar")
    schema = fields.inner("json_schema")
    if grammar and schema:
        raise InvalidRequest('Give one of "grammar" and "json_schema".', field="grammar")
    if schema:
        return JsonSchema(schema.raw())
    return Grammar(grammar, "gbnf") if grammar else None


def _logit_bias(fields: Fields) -> tuple[tuple[int | str, float], ...]:
    """Read pairs of a token, or a text, and what is added to it; false: it is never drawn."""
    value = fields.value("logit_bias")
    if isinstance(value, dict):
        pairs = [
            [int(token) if token.isascii() and token.isdigit() else token, bias]
            for token, bias in cast("Json", value).items()
        ]
    else:
        pairs = fields.array("logit_bias") or []
    return tuple(_bias(fields, pair) for pair in pairs)


def _bias(fields: Fields, pair: Any) -> tuple[int | str, float]:  # noqa: ANN401 - JSON
    match pair:
        case [int() | str() as token, False] if not isinstance(token, bool):
            return token, -float("inf")
        case [int() | str() as token, int() | float() as bias] if not isinstance(token, bool):
            return token, float(bias)
        case _:
            raise fields.wrong("logit_bias", "a list of pairs of a token and a number", pair)
