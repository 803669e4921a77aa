"""What the routes of llama.cpp's server take here, field by field."""

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


def _ignored(name: str, schema: Json, note: str) -> Row:
    return Row(name, schema, Honour.IGNORED, note)


def _refused(name: str, schema: Json, note: str) -> Row:
    return Row(name, schema, Honour.REFUSED, note)


_USUAL = Row("model", TEXT, note="Where it is not given, the model that was used last.")
_NAMED = Row("model", TEXT, required=True)
_MEMORY = (
    Row("num_ctx", integer(), note="Ours: the context in tokens."),
    Row("context_length", integer(), note="Ours: as num_ctx."),
    Row("keep_alive", either(number(), TEXT), note="Ours: as Ollama has it."),
    Row("ttl", either(number(), TEXT), note="Ours: as keep_alive."),
)

# -- Tokens ------------------------------------------------------------------------

TOKENIZE = Route(
    method="POST",
    path="/tokenize",
    summary="Tell the tokens of a text; its model is not loaded for that.",
    rows=(
        _USUAL,
        Row("content", TEXT, required=True),
        Row("add_special", FLAG, note="With what the model wants in front and behind."),
        Row("parse_special", FLAG, note="true where it is not given: special tokens are such."),
        Row("with_pieces", FLAG, note="A piece is a text, or its bytes where they are none."),
    ),
)
DETOKENIZE = Route(
    method="POST",
    path="/detokenize",
    summary="Tell the text of tokens; their model is not loaded for that.",
    rows=(_USUAL, Row("tokens", list_of(integer(0)), required=True)),
)
APPLY_TEMPLATE = Route(
    method="POST",
    path="/apply-template",
    summary="Tell the prompt that the model's chat template makes of messages.",
    rows=(
        _USUAL,
        Row("messages", list_of(OBJECT), required=True, note="As of /v1/chat/completions."),
        Row("tools", list_of(OBJECT)),
        Row("tool_choice", either(one_of("none", "auto", "required"), OBJECT)),
        Row("functions", list_of(OBJECT)),
        Row("function_call", either(one_of("none", "auto"), OBJECT)),
        Row("reasoning_effort", TEXT),
        Row("reasoning", OBJECT),
        Row("think", either(FLAG, TEXT)),
        Row("chat_template_kwargs", OBJECT),
        Row("add_generation_prompt", FLAG, note="false: the messages alone."),
    ),
)

# -- Ranks -------------------------------------------------------------------------

_RERANK = (
    _NAMED,
    Row("query", TEXT, required=True),
    Row("documents", list_of(either(TEXT, OBJECT)), required=True, note="Texts, or {text}."),
    Row("top_n", integer(1), note="All of them where it is not given."),
    Row("return_documents", FLAG),
    Row("truncate", FLAG, note="Ours: documents that are too long are cut."),
    *_MEMORY,
    _ignored("max_chunks_per_doc", integer(), "No document is cut into chunks."),
    _ignored("max_tokens_per_doc", integer(), "See truncate."),
    _ignored("rank_fields", list_of(TEXT), "Documents are ranked by their texts."),
    _ignored("user", TEXT, "Nobody is told apart."),
)
RERANK_PATHS = ("/rerank", "/reranking", "/v1/rerank", "/v1/reranking")
RERANKS = tuple(
    Route(
        method="POST",
        path=path,
        summary="Rank documents by how well they answer a query; `by` says by which means.",
        rows=_RERANK,
    )
    for path in RERANK_PATHS
)

# -- Filling in --------------------------------------------------------------------

_ELSE = "The engine decides."
INFILL = Route(
    method="POST",
    path="/infill",
    summary="Fill in what belongs between two texts.",
    rows=(
        _USUAL,
        Row("input_prefix", TEXT, required=True),
        Row("input_suffix", TEXT, required=True, note="Where it is empty the prefix goes on."),
        Row("input_extra", list_of(OBJECT), note="Files beside this one; the last stay."),
        Row("input_extra[].filename", TEXT),
        Row("input_extra[].text", TEXT, required=True),
        Row("prompt", TEXT, note="How what is filled in begins."),
        Row("stream", FLAG),
        Row("n_predict", integer(), note="Below 0: no limit; 0: the prompt is read, no more."),
        Row("stop", either(TEXT, list_of(TEXT))),
        Row("n_probs", integer(0, 20), note="The likeliest tokens in each place."),
        Row("return_tokens", FLAG),
        Row("response_fields", list_of(TEXT), note="Of an answer that is no stream."),
        Row("grammar", TEXT, note="GBNF."),
        Row("json_schema", OBJECT),
        Row("logit_bias", either(list_of(ANYTHING), OBJECT)),
        *map(drawn, RANGES),
        Row("ignore_eos", FLAG),
        Row("dry_sequence_breakers", list_of(TEXT)),
        *_MEMORY,
        _refused("n_cmpl", integer(2), "ask again for another answer"),
        _refused("lora", list_of(OBJECT), "adapters are set for a model, not for a request"),
        _refused("post_sampling_probs", {"const": True}, "odds are the model's own"),
        _ignored("cache_prompt", FLAG, "Every prompt is kept."),
        _ignored("dynatemp_range", number(), "No engine here draws so."),
        _ignored("dynatemp_exponent", number(), "No engine here draws so."),
        _ignored("mirostat", integer(), "No engine here draws so."),
        _ignored("mirostat_tau", number(), "No engine here draws so."),
        _ignored("mirostat_eta", number(), "No engine here draws so."),
        _ignored("id_slot", integer(), _ELSE),
        _ignored("min_keep", integer(), _ELSE),
        _ignored("n_cache_reuse", integer(), _ELSE),
        _ignored("n_indent", integer(), "A grammar can do it."),
        _ignored("n_keep", integer(), "What is too long is cut away from the gap."),
        _ignored("return_progress", FLAG, "Pings come in a long prefill."),
        _ignored("samplers", ANYTHING, "Their order is always the same."),
        _ignored("sse_ping_interval", integer(), "Pings come every ten seconds."),
        _ignored("t_max_predict_ms", integer(), "n_predict limits an answer."),
        _ignored("t_max_prompt_ms", integer(), _ELSE),
        _ignored("timings_per_token", FLAG, "The end has them."),
    ),
    streams=True,
)

# -- Models ------------------------------------------------------------------------

MODELS = Route(
    method="GET",
    path="/models",
    summary="List the models that are installed, and whether each is loaded.",
    query=(Row("reload", TEXT, Honour.IGNORED, "The list is always read anew."),),
)
LOAD = Route(
    method="POST",
    path="/models/load",
    summary="Load a model, and answer when it is ready.",
    rows=(_NAMED, *_MEMORY),
)
UNLOAD = Route(
    method="POST",
    path="/models/unload",
    summary="Free a model, and answer when that is done.",
    rows=(_NAMED,),
)
PROPS = Route(
    method="GET",
    path="/props",
    summary="Tell of a model what clients of llama.cpp's server want to know.",
    query=(_USUAL, Row("autoload", TEXT, Honour.IGNORED, "Nothing is loaded for it.")),
)

ROUTES: tuple[Route, ...] = (
    TOKENIZE,
    DETOKENIZE,
    APPLY_TEMPLATE,
    *RERANKS,
    INFILL,
    MODELS,
    LOAD,
    UNLOAD,
    PROPS,
)
