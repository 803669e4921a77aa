"""What Anthropic's routes take, field by field."""

from models.sampling_ranges import RANGES
from server.contract import (
    ANYTHING,
    FLAG,
    OBJECT,
    TEXT,
    Honour,
    Route,
    Row,
    drawn,
    either,
    integer,
    list_of,
    number,
    one_of,
)
from server.fields import Json

EFFORTS = ("low", "medium", "high", "xhigh", "max")
THINKING = ("enabled", "adaptive", "between_tools", "disabled")

_BLOCKS: Json = either(TEXT, list_of(OBJECT))
_CACHE: Json = {
    "type": "object",
    "properties": {"type": one_of("ephemeral"), "ttl": one_of("5m", "1h")},
    "required": ["type"],
}
_FORMAT: Json = {
    "type": "object",
    "properties": {"type": one_of("json_schema"), "schema": OBJECT},
    "required": ["type", "schema"],
}
_MARK = "Every prompt is kept, marked or not: a mark has its tokens told in the usage."
_ELSEWHERE = "It has a meaning on Anthropic's computers alone."


def _ignored(name: str, schema: Json, note: str = _ELSEWHERE) -> Row:
    return Row(name, schema, Honour.IGNORED, note)


def _refused(name: str, schema: Json, note: str) -> Row:
    return Row(name, schema, Honour.REFUSED, note)


# -- What makes the prompt ---------------------------------------------------------

_MESSAGES = (
    Row("messages", list_of(OBJECT), required=True),
    Row("messages[].role", one_of("user", "assistant", "system"), required=True),
    Row("messages[].content", _BLOCKS, required=True),
    Row("messages[].content[].cache_control", _CACHE, note=_MARK),
    _refused(
        "messages[].content[].citations.enabled", {"const": True}, "no answer cites its sources"
    ),
    _ignored("messages[].content[].caller", OBJECT),
    _ignored("messages[].content[].toolset_name", TEXT),
    _ignored("messages[].clear_at", one_of("next_user_message", "never")),
    _ignored("messages[].output_config", OBJECT, "The request's own counts."),
    Row("system", _BLOCKS),
    Row("system[].cache_control", _CACHE, note=_MARK),
)
_TOOLS = (
    Row(
        "tools",
        list_of(OBJECT),
        note="Those that only Anthropic's models know, or that run on its computers, are passed "
        "over and named in the header.",
    ),
    Row("tools[].type", TEXT),
    Row("tools[].name", TEXT),
    Row("tools[].description", TEXT),
    Row("tools[].input_schema", OBJECT),
    Row("tools[].strict", FLAG),
    Row("tools[].cache_control", _CACHE, note=_MARK),
    _ignored("tools[].allowed_callers", list_of(TEXT)),
    _ignored("tools[].defer_loading", FLAG, "Every tool is there from the beginning."),
    _ignored("tools[].eager_input_streaming", FLAG, "Arguments always come as they are written."),
    _ignored("tools[].input_examples", list_of(OBJECT), "No chat template has a place for them."),
    Row("tool_choice", OBJECT),
    Row("tool_choice.type", one_of("auto", "any", "tool", "none"), required=True),
    Row("tool_choice.name", TEXT),
    Row("tool_choice.disable_parallel_tool_use", FLAG),
)
_PROMPT = (
    Row("model", TEXT, required=True),
    *_MESSAGES,
    *_TOOLS,
    Row("thinking", OBJECT, note="A wish: a model that cannot think answers without."),
    Row("thinking.type", one_of(*THINKING), required=True),
    Row("thinking.display", one_of("summarized", "omitted"), note="Thoughts are never shortened."),
    Row("thinking.budget_tokens", integer(1), note="A thought that is longer is ended there."),
    Row("output_config", OBJECT),
    Row("output_config.effort", one_of(*EFFORTS), note="A wish, as thinking is."),
    Row("output_config.format", _FORMAT),
    _ignored("output_config.task_budget", OBJECT),
    Row("output_format", _FORMAT, note="The earlier name of output_config.format."),
    Row("cache_control", _CACHE, note=_MARK),
    _ignored("context_management", OBJECT, "Nothing of a conversation is cleared here."),
    _ignored("mcp_servers", list_of(OBJECT)),
    _ignored("billing_policy", OBJECT),
    _ignored("speed", one_of("standard", "fast")),
    _ignored("user_profile_id", TEXT),
    _refused("compaction", OBJECT, "no conversation is summed up here"),
    Row("think", either(FLAG, one_of(*EFFORTS)), note="Ours, and no wish."),
    Row("grammar", TEXT, note="Ours: GBNF."),
    Row("chat_template_kwargs", OBJECT, note="Ours, as vLLM and llama.cpp's server have it."),
    Row("chat_template_kwargs.enable_thinking", FLAG),
)

# -- How it is answered ------------------------------------------------------------

_ANSWER = (
    Row(
        "max_tokens",
        integer(0),
        required=True,
        note="With 0 the prompt is read for later ones, and nothing is said.",
    ),
    Row("stream", FLAG),
    Row("stop_sequences", list_of(TEXT)),
    *map(drawn, RANGES),
    Row("ignore_eos", FLAG, note="Ours."),
    Row("dry_sequence_breakers", list_of(TEXT), note="Ours."),
    Row("num_ctx", integer(), note="Ours: the context in tokens."),
    Row("context_length", integer(), note="Ours: as num_ctx."),
    Row("keep_alive", either(TEXT, number()), note="Ours: as Ollama has it."),
    Row("ttl", either(TEXT, number()), note="Ours: as keep_alive."),
    Row("truncation", one_of("auto", "disabled"), note="Ours: auto drops the oldest exchanges."),
    Row("truncate", FLAG, note="Ours: true is truncation auto."),
    _ignored("metadata", OBJECT),
    _ignored("service_tier", one_of("auto", "standard_only")),
    _ignored("container", ANYTHING),
    _ignored("inference_geo", TEXT),
    _ignored("diagnostics", OBJECT),
    _ignored("fallbacks", ANYTHING),
    _ignored("fallback_credit_token", ANYTHING),
    _refused("thread", OBJECT, "conversations of this API are not kept here"),
)

MESSAGES = Route(
    method="POST",
    path="/v1/messages",
    summary="Answer a conversation, in Anthropic's words.",
    rows=(*_PROMPT, *_ANSWER),
    streams=True,
)
COUNT_TOKENS = Route(
    method="POST",
    path="/v1/messages/count_tokens",
    summary="Count the tokens of a conversation; its model is not loaded for that.",
    rows=_PROMPT,
)

# -- The models --------------------------------------------------------------------

MOST_LISTED = 1000
USUALLY_LISTED = 20
_SHAPE = "In Anthropic's shape, for a request with the header anthropic-version."
MODELS = Route(
    method="GET",
    path="/v1/models",
    summary=f"List the models that are installed. {_SHAPE}",
    query=(
        Row("limit", integer(1, MOST_LISTED), note=f"{USUALLY_LISTED} where it is not given."),
        Row("after_id", TEXT, note="The page after this model."),
        Row("before_id", TEXT, note="The page before this model."),
        Row("lifecycle", list_of(one_of("active", "deprecated", "retired"))),
    ),
)
MODEL = Route(
    method="GET",
    path="/v1/models/{model}",
    summary=f"Tell of one model that is installed. {_SHAPE}",
)

ROUTES: tuple[Route, ...] = (MESSAGES, COUNT_TOKENS, MODELS, MODEL)
