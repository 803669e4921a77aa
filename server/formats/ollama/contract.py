"""What Ollama's routes take: https://github.com/ollama/ollama/blob/main/docs/api.md"""

from dataclasses import replace

from server.contract import (
    FLAG,
    OBJECT,
    TEXT,
    Honour,
    Route,
    Row,
    either,
    integer,
    list_of,
    number,
    one_of,
)
from server.fields import Json

_IGNORED = Honour.IGNORED
_REFUSED = Honour.REFUSED

_TEXT_OR_TEXTS = either(TEXT, list_of(TEXT))
_NAME = Row("model", TEXT, required=True)
_OLD_NAME = Row("name", TEXT, note="an older word for model")
_STREAM = Row("stream", FLAG, note="true where it is not given")
_KEEP_ALIVE = Row(
    "keep_alive",
    either({"type": "number"}, TEXT),
    note="seconds, or a duration such as 10m; 0 unloads, below 0 keeps",
)
_MEMORY = (_KEEP_ALIVE, replace(_KEEP_ALIVE, name="ttl", note="as keep_alive"))

# -- Options -----------------------------------------------------------------------


def _option(name: str, schema: Json, note: str = "") -> Row:
    return Row(f"options.{name}", schema, note=note)


# Ollama reads whole numbers from fractions, as Go does.
_SAMPLING = (
    _option("temperature", number(0)),
    _option("top_p", number(0, 1)),
    _option("top_k", number(), "0 or less: all"),
    _option("min_p", number(0, 1)),
    _option("typical_p", number(0, 1)),
    _option("seed", number(), "below 0: a new one each time"),
    _option("repeat_penalty", number(0.01)),
    _option("repeat_last_n", number(-1, 1 << 20), "-1: the whole context"),
    _option("presence_penalty", number(-100, 100)),
    _option("frequency_penalty", number(-100, 100)),
    _option("xtc_probability", number(0, 1)),
    _option("xtc_threshold", number(0, 1)),
    _option("dry_multiplier", number(0, 100)),
    _option("dry_base", number(1, 100)),
    _option("dry_allowed_length", number(0, 1 << 20)),
    _option("dry_penalty_last_n", number(-1, 1 << 20), "-1: the whole context"),
    _option("dry_sequence_breakers", _TEXT_OR_TEXTS),
    _option("ignore_eos", FLAG),
    _option("num_predict", number(), "0 or less: no limit"),
    _option("stop", _TEXT_OR_TEXTS),
)
_CONTEXT = _option("num_ctx", number(), "0 or less: as the model and the memory have it")
_LOADING = tuple(
    Row(f"options.{name}", schema, _IGNORED, "models are loaded in one way, the best we know")
    for name, schema in (
        ("num_keep", number()),
        ("num_batch", number()),
        ("num_gpu", number()),
        ("main_gpu", number()),
        ("num_thread", number()),
        ("draft_num_predict", number()),
        ("use_mmap", FLAG),
    )
)
_OPTIONS = (Row("options", OBJECT), *_SAMPLING, _CONTEXT, *_LOADING)

# -- Generate and chat -------------------------------------------------------------

_ANSWERS = (
    _NAME,
    _STREAM,
    Row("format", either(one_of("", "json"), OBJECT), note="json, or a JSON Schema"),
    Row("think", either(FLAG, one_of("low", "medium", "high", "max"))),
    Row("logprobs", FLAG),
    Row("top_logprobs", integer(0, 20), note="needs logprobs"),
    Row("truncate", FLAG, note="false: a prompt that is too long is refused"),
    Row("shift", FLAG, note="a full context always ends the answer; true is named as ignored"),
    *_MEMORY,
    *_OPTIONS,
    Row("num_ctx", integer(), note="as options.num_ctx"),
    Row("context_length", integer(), note="as options.num_ctx"),
    Row("grammar", TEXT, note="GBNF"),
    Row("chat_template_kwargs", OBJECT),
    Row("chat_template_kwargs.enable_thinking", FLAG, note="as think"),
    Row(
        "_debug_render_only",
        FLAG,
        _REFUSED,
        "prompts are told by /apply-template",
    ),
)
GENERATE = Route(
    method="POST",
    path="/api/generate",
    summary="Go on with a prompt; without one, load the model or unload it.",
    rows=(
        *_ANSWERS,
        Row("prompt", TEXT),
        Row("suffix", TEXT, note="what follows the completion"),
        Row("system", TEXT),
        Row("template", TEXT, note="in Go's words, or in Jinja's"),
        Row("context", list_of(integer(0, (1 << 31) - 1)), note="token ids of an earlier turn"),
        Row("raw", FLAG, note="the prompt goes to the model as it stands"),
        Row("images", list_of(TEXT), note="base64; ours: `data:` and public addresses too"),
    ),
    streams=True,
)
_MESSAGES = (
    Row("messages", list_of(OBJECT), note="none: the model is loaded, or unloaded"),
    Row("messages[].role", one_of("system", "user", "assistant", "tool"), required=True),
    Row("messages[].content", either(TEXT, list_of(OBJECT))),
    Row("messages[].thinking", TEXT),
    Row("messages[].images", list_of(TEXT), note="base64; ours: `data:` and public addresses too"),
    Row("messages[].tool_calls", list_of(OBJECT)),
    Row("messages[].tool_calls[].id", TEXT),
    Row("messages[].tool_calls[].function", OBJECT, required=True),
    Row("messages[].tool_calls[].function.name", TEXT, required=True),
    Row("messages[].tool_calls[].function.arguments", either(OBJECT, TEXT)),
    Row("messages[].tool_calls[].function.index", integer()),
    Row("messages[].tool_name", TEXT),
    Row("messages[].tool_call_id", TEXT),
)
_TOOLS = (
    Row("tools", list_of(OBJECT)),
    Row("tools[].type", one_of("function")),
    Row("tools[].function", OBJECT, required=True),
    Row("tools[].function.name", TEXT, required=True),
    Row("tools[].function.description", TEXT),
    Row("tools[].function.parameters", OBJECT, note="a JSON Schema"),
    Row("tools[].function.strict", FLAG),
)
CHAT = Route(
    method="POST",
    path="/api/chat",
    summary="Answer a conversation; without messages, load the model or unload it.",
    rows=(*_ANSWERS, *_MESSAGES, *_TOOLS),
    streams=True,
)

# -- Embeddings --------------------------------------------------------------------

_EMBED_OPTIONS = (
    Row("options", OBJECT),
    _CONTEXT,
    *(Row(each.name, each.schema, _IGNORED, "there is nothing to draw") for each in _SAMPLING),
    *_LOADING,
)
EMBED = Route(
    method="POST",
    path="/api/embed",
    summary="Make a vector of each text.",
    rows=(
        _NAME,
        Row("input", _TEXT_OR_TEXTS, note="none: the model is loaded"),
        Row("truncate", FLAG, note="false: a text that is too long is refused"),
        Row("dimensions", integer(0), note="more than the model has are all of them; 0: likewise"),
        *_MEMORY,
        *_EMBED_OPTIONS,
    ),
)
EMBEDDINGS = Route(
    method="POST",
    path="/api/embeddings",
    summary="Make a vector of one text: the older form of /api/embed.",
    rows=(
        _NAME,
        Row("prompt", TEXT, note="none: the model is loaded"),
        *_MEMORY,
        *_EMBED_OPTIONS,
    ),
)

# -- The models --------------------------------------------------------------------

ROOT = Route(method="GET", path="/", summary="Tells that the server runs, in plain text.")
TAGS = Route(method="GET", path="/api/tags", summary="List the models on this computer.")
PS = Route(method="GET", path="/api/ps", summary="List the models in memory.")
VERSION = Route(method="GET", path="/api/version", summary="Tell which version of Ollama this is.")
SHOW = Route(
    method="POST",
    path="/api/show",
    summary="Tell all that is known of a model.",
    rows=(
        _NAME,
        _OLD_NAME,
        Row("verbose", FLAG, note="long lists too"),
        Row("system", TEXT, note="shown instead of the model's"),
        Row("template", TEXT, note="shown instead of the model's"),
        Row("options", OBJECT, note="shown with the model's parameters"),
    ),
)
_QUANTIZATION = one_of("f32", "f16", "q8_0", "q4_K_S", "q4_K_M")
CREATE = Route(
    method="POST",
    path="/api/create",
    summary="Make a model of another, or of files that were sent.",
    rows=(
        _NAME,
        _OLD_NAME,
        _STREAM,
        Row("from", TEXT, note="the name of a model that is here"),
        Row("files", OBJECT, note="digests of GGUF files, or of an MLX folder, by name"),
        Row("adapters", OBJECT, note="digests of LoRA adapters in GGUF, by name"),
        Row("template", TEXT, note="in Go's words, or in Jinja's"),
        Row("system", TEXT),
        Row("license", _TEXT_OR_TEXTS),
        Row("parameters", OBJECT, note="options; unknown ones are named as ignored"),
        Row("messages", list_of(OBJECT), note="which every conversation begins with"),
        Row("messages[].role", one_of("system", "user", "assistant"), required=True),
        Row("messages[].content", TEXT, required=True),
        Row("quantize", _QUANTIZATION, note="of F16, BF16 and F32"),
        Row("quantization", _QUANTIZATION, note="an older word for quantize"),
        Row("modelfile", TEXT, _REFUSED, "give its commands as fields, or use ingle create"),
        Row("path", TEXT, _REFUSED, "send files to /api/blobs, or use ingle create"),
        Row("remote_host", TEXT, _REFUSED, "models run on this computer"),
        Row("draft_files", OBJECT, _IGNORED),
        Row("draft_quantize", TEXT, _IGNORED),
        Row("renderer", TEXT, _IGNORED, "templates are run as they are"),
        Row("parser", TEXT, _IGNORED, "tool calls are read by what the template tells"),
        Row("requires", TEXT, _IGNORED, "a version of Ollama"),
        Row("info", OBJECT, _IGNORED, "the files tell it"),
    ),
    streams=True,
)
COPY = Route(
    method="POST",
    path="/api/copy",
    summary="Give a model a second name.",
    rows=(
        Row("source", TEXT, required=True),
        Row("destination", TEXT, required=True),
    ),
)
DELETE = Route(
    method="DELETE",
    path="/api/delete",
    summary="Forget a model.",
    rows=(_NAME, _OLD_NAME),
)
PULL = Route(
    method="POST",
    path="/api/pull",
    summary="Bring a model here from the hub.",
    rows=(
        _NAME,
        _OLD_NAME,
        _STREAM,
        Row("insecure", FLAG, _IGNORED, "the hub is asked by https"),
    ),
    streams=True,
)
PUSH = Route(
    method="POST",
    path="/api/push",
    summary="Send a model in GGUF to a registry of Ollama's protocol.",
    rows=(
        replace(_NAME, note="HOST/NAMESPACE/MODEL[:TAG]: here it is called what follows HOST"),
        _OLD_NAME,
        _STREAM,
        Row("insecure", FLAG, note="true: by http, without a certificate"),
    ),
    streams=True,
)
HEAD_BLOB = Route(
    method="HEAD", path="/api/blobs/{digest}", summary="Tell whether a file is here by its digest."
)
SEND_BLOB = Route(
    method="POST", path="/api/blobs/{digest}", summary="Send a file, to make a model of."
)

ROUTES: tuple[Route, ...] = (
    GENERATE,
    CHAT,
    EMBED,
    EMBEDDINGS,
    ROOT,
    TAGS,
    PS,
    SHOW,
    CREATE,
    COPY,
    DELETE,
    PULL,
    PUSH,
    HEAD_BLOB,
    SEND_BLOB,
    VERSION,
)
