"""What OpenAI's routes take, field by field."""

from models.sampling_ranges import MOST_BREAKERS
from server.content import DETAILS
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
from server.openai_fields import EFFORTS
from server.thinking_budget import BUDGET_ROWS

_TEXTS = list_of(TEXT)
_IDS = list_of(integer(0))
_EFFORT = one_of(*EFFORTS)


def _hint(name: str, schema: dict[str, object], note: str) -> Row:
    return Row(name, schema, Honour.IGNORED, note)


# -- What several routes take --------------------------------------------------

_MODEL = Row("model", TEXT, note="a model of this computer", required=True)

_DRAWING = (
    Row("temperature", number(0, 2), note="absent: the model's own; 0: always the likeliest"),
    drawn("top_p", "absent: the model's own"),
    drawn("seed", "the same seed gives the same answer; choices have the seeds that follow it"),
    drawn("frequency_penalty"),
    drawn("presence_penalty"),
    Row("logit_bias", {"type": "object", "additionalProperties": number(-100, 100)},
        note="by the id of a token, or by its text"),
    Row("stop", either(TEXT, _TEXTS), note="any number of them"),
    drawn("top_k", "ours; 0: all"),
    drawn("min_p", "ours"),
    drawn("typical_p", "ours"),
    drawn("repeat_penalty", "ours"),
    drawn("repeat_last_n", "ours; -1: the whole context"),
    drawn("xtc_probability", "ours"),
    drawn("xtc_threshold", "ours"),
    drawn("dry_multiplier", "ours"),
    drawn("dry_base", "ours"),
    drawn("dry_allowed_length", "ours"),
    drawn("dry_penalty_last_n", "ours; -1: the whole context"),
    Row("dry_sequence_breakers", either(TEXT, _TEXTS), note=f"ours; at most {MOST_BREAKERS}"),
    Row("ignore_eos", FLAG, note="ours"),
)  # fmt: skip

_FORM = (
    Row("response_format", OBJECT, note="always kept to the letter"),
    Row("response_format.type", one_of("text", "json_object", "json_schema")),
    Row("response_format.schema", OBJECT, note="with json_object, as llama.cpp's server has it"),
    Row("response_format.value", OBJECT, note="likewise, as Hugging Face's servers have it"),
    Row("response_format.json_schema", OBJECT),
    Row("response_format.json_schema.name", TEXT, note="without effect on the answer"),
    Row("response_format.json_schema.description", TEXT, note="without effect on the answer"),
    Row("response_format.json_schema.strict", FLAG, note="every answer is strict"),
    Row("response_format.json_schema.schema", OBJECT),
    Row("grammar", TEXT, note="ours: GBNF, as llama.cpp's server takes it"),
    Row("json_schema", OBJECT, note="ours, likewise"),
)

_STREAM = (
    Row("stream", FLAG),
    Row("stream_options", OBJECT),
    Row("stream_options.include_usage", FLAG),
    _hint("stream_options.include_obfuscation", FLAG, "nothing is obfuscated"),
)

_MEMORY = (
    Row("num_ctx", integer(), note="ours: tokens of the context; 0 and below: as without it"),
    Row("context_length", integer(), note="the same under another name"),
    Row("options", OBJECT, note="ours"),
    Row("options.num_ctx", integer(), note="the same, where Ollama's clients have it"),
    Row("keep_alive", either(number(), TEXT), note="ours: seconds, or a duration like '10m'"),
    Row("ttl", either(number(), TEXT), note="ours: the same, as LM Studio has it"),
    Row("truncation", one_of("auto", "disabled"), note="ours: what is done when it is too long"),
    Row("truncate", FLAG, note="ours: true is 'auto'"),
)

_USER = _hint("user", TEXT, "who asks is nobody else's business")

# -- Chat completions ----------------------------------------------------------

_MESSAGES = (
    Row("messages", list_of(OBJECT), required=True),
    Row("messages[].role",
        one_of("system", "developer", "user", "assistant", "tool", "function"), required=True),
    Row("messages[].content", either(TEXT, list_of(OBJECT)),
        note="an assistant's may be absent or null"),
    Row("messages[].content[].type",
        one_of("text", "input_text", "output_text", "refusal", "image_url", "input_image"),
        note="sounds, files and videos are refused"),
    Row("messages[].content[].text", TEXT),
    Row("messages[].content[].refusal", TEXT),
    Row("messages[].content[].image_url", either(TEXT, OBJECT),
        note="for models that see; base64, `data:` or a public address"),
    Row("messages[].content[].image_url.url", TEXT),
    Row("messages[].content[].image_url.detail", one_of(*DETAILS),
        note="`low`: shrunk to 512 pixels; else to 2,048"),
    Row("messages[].content[].detail", one_of(*DETAILS), note="where `image_url` is text"),
    Row("messages[].name", TEXT, note="of a function, in what it said; else without effect"),
    Row("messages[].tool_calls", list_of(OBJECT)),
    Row("messages[].tool_calls[].id", TEXT),
    Row("messages[].tool_calls[].type", one_of("custom", "function")),
    Row("messages[].tool_calls[].function", OBJECT),
    Row("messages[].tool_calls[].function.name", TEXT),
    Row("messages[].tool_calls[].function.arguments", either(TEXT, OBJECT)),
    Row("messages[].tool_calls[].custom", OBJECT),
    Row("messages[].tool_calls[].custom.name", TEXT),
    Row("messages[].tool_calls[].custom.input", TEXT),
    Row("messages[].tool_call_id", TEXT),
    Row("messages[].function_call", OBJECT),
    Row("messages[].function_call.name", TEXT),
    Row("messages[].function_call.arguments", either(TEXT, OBJECT)),
    Row("messages[].refusal", TEXT),
    Row("messages[].reasoning_content", TEXT, note="ours: what the model thought before"),
    Row("messages[].reasoning", TEXT, note="the same under another name"),
    _hint("messages[].audio", OBJECT, "nothing here speaks"),
    _hint("messages[].annotations", list_of(OBJECT), "as we sent it"),
)  # fmt: skip

_TOOLS = (
    Row("tools", list_of(OBJECT)),
    Row("tools[].type", one_of("custom", "function"), note="others are refused"),
    Row("tools[].function", OBJECT),
    Row("tools[].function.name", TEXT),
    Row("tools[].function.description", TEXT),
    Row("tools[].function.parameters", OBJECT),
    Row("tools[].function.strict", FLAG),
    Row("tools[].custom", OBJECT, note="a tool that takes plain text"),
    Row("tools[].custom.name", TEXT),
    Row("tools[].custom.description", TEXT),
    Row("tools[].custom.format", OBJECT),
    Row("tools[].custom.format.type", one_of("text", "grammar")),
    Row("tools[].custom.format.grammar", OBJECT),
    Row("tools[].custom.format.grammar.syntax", one_of("lark", "regex"),
        note="Lark in which a rule leads back to itself is refused"),
    Row("tools[].custom.format.grammar.definition", TEXT,
        note="what the whole of its text matches"),
    Row("tool_choice", either(one_of("none", "auto", "required"), OBJECT),
        note="or one function or custom tool, or allowed_tools"),
    Row("parallel_tool_calls", FLAG),
    Row("functions", list_of(OBJECT), note="the old way; it is answered in kind"),
    Row("function_call", either(one_of("none", "auto"), OBJECT), note="the old way"),
)  # fmt: skip

CHAT = Route(
    method="POST",
    path="/v1/chat/completions",
    summary="Goes on with a conversation.",
    streams=True,
    rows=(
        _MODEL,
        *_MESSAGES,
        Row("max_completion_tokens", integer(1), note="absent: what the context holds"),
        Row("max_tokens", integer(1), note="the old name"),
        Row("n", integer(1, 128), note="the prompt is read once for all of them"),
        *_DRAWING,
        Row("logprobs", FLAG),
        Row("top_logprobs", integer(0, 20), note="needs logprobs"),
        *_FORM,
        *_TOOLS,
        *_STREAM,
        Row("modalities", list_of(one_of("text")), note="others are refused"),
        Row("reasoning_effort", _EFFORT, note="a model that cannot think answers without"),
        Row("reasoning", OBJECT, note="the same, as the Responses API has it"),
        Row("reasoning.effort", _EFFORT),
        *BUDGET_ROWS,
        Row("think", either(FLAG, _EFFORT), note="ours: refused by a model that cannot think"),
        Row("chat_template_kwargs", OBJECT, note="ours"),
        Row("chat_template_kwargs.enable_thinking", FLAG),
        *_MEMORY,
        _hint("audio", OBJECT, "nothing here speaks; asked for in modalities it is refused"),
        _hint("metadata", OBJECT, "no answer is stored"),
        _hint("moderation", ANYTHING, "nothing is sent elsewhere to be judged"),
        _hint("prediction", OBJECT, "what repeats the text so far is guessed anyway"),
        _hint("prompt_cache_key", TEXT, "the prompt cache finds prompts by what they say"),
        _hint("prompt_cache_options", OBJECT, "likewise"),
        _hint("prompt_cache_retention", TEXT, "likewise"),
        _hint("safety_identifier", TEXT, "who asks is nobody else's business"),
        _hint("service_tier", TEXT, "there is one"),
        _hint("store", FLAG, "no answer is stored here; the Responses API stores them"),
        _USER,
        _hint("verbosity", one_of("low", "medium", "high"), "no model here knows it"),
        _hint("web_search_options", OBJECT, "there is no search here"),
    ),
)

# -- Completions ---------------------------------------------------------------

COMPLETIONS = Route(
    method="POST",
    path="/v1/completions",
    summary="Goes on with a text as it stands: no chat template is applied.",
    streams=True,
    rows=(
        _MODEL,
        Row("prompt", either(TEXT, _TEXTS, _IDS, list_of(_IDS)),
            note="a text or its tokens, or several of them; absent: empty"),
        Row("suffix", TEXT, note="what follows: for models that fill in the middle"),
        Row("max_tokens", integer(0), note="16 where it is absent; 0 reads the prompt alone"),
        Row("n", integer(1, 128), note="of each prompt; 128 in all, with best_of"),
        Row("best_of", integer(1, 128), note="at least n; not in a stream, unless it is n"),
        Row("echo", FLAG, note="with logprobs, those of the prompt too"),
        Row("logprobs", integer(0, 20)),
        *_DRAWING,
        *_FORM,
        *_STREAM,
        *_MEMORY,
        _USER,
    ),
)  # fmt: skip

# -- Embeddings ----------------------------------------------------------------

EMBEDDINGS = Route(
    method="POST",
    path="/v1/embeddings",
    summary="Turns texts into vectors.",
    rows=(
        _MODEL,
        Row("input", either(TEXT, _TEXTS, _IDS, list_of(_IDS)),
            note="a text or its tokens, or several of them; none may be empty", required=True),
        Row("encoding_format", one_of("float", "base64"), note="base64: of 32-bit floats"),
        Row("dimensions", integer(1), note="the first so many, made unit length again"),
        *_MEMORY,
        _USER,
    ),
)  # fmt: skip

# -- Models --------------------------------------------------------------------

MODELS = Route(method="GET", path="/v1/models", summary="Lists the models of this computer.")
MODEL = Route(method="GET", path="/v1/models/{model}", summary="Tells of one model.")

ROUTES = (CHAT, COMPLETIONS, EMBEDDINGS, MODELS, MODEL)
