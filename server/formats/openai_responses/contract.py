"""What OpenAI's Responses and conversations take, field by field."""

from models.sampling_ranges import RANGES
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

# What may be included in a response, and whether there can be any of it here.
INCLUDES = {
    "reasoning.encrypted_content": True,
    "message.output_text.logprobs": True,
    "message.input_image.image_url": True,  # always
    "file_search_call.results": False,
    "web_search_call.results": False,
    "web_search_call.action.sources": False,
    "computer_call_output.output.image_url": False,
    "code_interpreter_call.outputs": False,
}

IGNORED, REFUSED = Honour.IGNORED, Honour.REFUSED

_ITEMS = list_of(OBJECT)
_FOR_ANOTHER = "it runs on the vendor's computers"

# -- What makes the prompt, and so is taken by all that have one ----------------------

_PROMPT_ROWS: tuple[Row, ...] = (
    Row("model", TEXT, required=True),
    Row("input", either(TEXT, _ITEMS), note="needed where nothing is gone on from"),
    Row("input[].type", TEXT, note="items of the vendor's own tools are passed over, and named"),
    Row("input[].id", TEXT),
    Row("input[].status", one_of("in_progress", "completed", "incomplete")),
    Row("input[].role", one_of("user", "assistant", "system", "developer")),
    Row("input[].phase", one_of("commentary", "final_answer"), note="kept and told again"),
    Row("input[].content", either(TEXT, _ITEMS), note="no files"),
    Row("input[].content[].type", TEXT),
    Row("input[].content[].text", TEXT),
    Row("input[].content[].refusal", TEXT),
    Row("input[].content[].annotations", _ITEMS, note="kept and told again"),
    Row("input[].content[].logprobs", _ITEMS, note="kept and told again"),
    Row("input[].content[].image_url", TEXT, note="base64, `data:` or a public address"),
    Row(
        "input[].content[].detail",
        one_of(*DETAILS),
        note="`low`: shrunk to 512 pixels; else to 2,048",
    ),
    Row("input[].content[].file_id", TEXT, IGNORED),
    Row("input[].summary", _ITEMS),
    Row("input[].encrypted_content", TEXT, note="a thought or a compaction of ours"),
    Row("input[].call_id", TEXT),
    Row("input[].name", TEXT),
    Row("input[].namespace", TEXT),
    Row("input[].arguments", either(TEXT, OBJECT)),
    Row("input[].input", TEXT),
    Row("input[].output", either(TEXT, _ITEMS)),
    Row("instructions", TEXT),
    Row("previous_response_id", TEXT, note="of a response that is kept here"),
    Row("conversation", either(TEXT, OBJECT)),
    Row("conversation.id", TEXT),
)
_TOOL_ROWS: tuple[Row, ...] = (
    Row("tools", list_of(OBJECT)),
    Row("tools[].type", TEXT, note="function, custom and namespace; others are passed over"),
    Row("tools[].name", TEXT),
    Row("tools[].description", TEXT),
    Row("tools[].parameters", OBJECT),
    Row("tools[].strict", FLAG),
    Row("tools[].tools", list_of(OBJECT)),
    Row("tools[].format", OBJECT, note="of a custom tool"),
    Row("tools[].format.type", one_of("text", "grammar")),
    Row(
        "tools[].format.syntax",
        one_of("lark", "regex"),
        note="Lark in which a rule leads back to itself is refused",
    ),
    Row("tools[].format.definition", TEXT, note="what the whole of its text matches"),
    Row("tools[].output_schema", OBJECT, IGNORED),
    Row("tools[].defer_loading", FLAG, IGNORED, "all tools are there from the beginning"),
    Row("tools[].allowed_callers", list_of(TEXT), IGNORED),
    Row(
        "tool_choice",
        either(one_of("none", "auto", "required"), OBJECT),
        note="function, custom and allowed_tools; a tool of the vendor's is refused",
    ),
    Row("parallel_tool_calls", FLAG),
)
_FORM_ROWS: tuple[Row, ...] = (
    Row("text", OBJECT),
    Row("text.format", OBJECT),
    Row("text.format.type", one_of("text", "json_object", "json_schema")),
    Row("text.format.name", TEXT),
    Row("text.format.description", TEXT),
    Row("text.format.schema", OBJECT),
    Row("text.format.strict", FLAG, note="an answer is always as the schema says"),
    Row("text.verbosity", one_of("low", "medium", "high"), IGNORED),
    Row("reasoning", OBJECT),
    Row(
        "reasoning.effort",
        one_of(*EFFORTS),
        note="passed over, and named, by a model that cannot think",
    ),
    Row(
        "reasoning.summary",
        one_of("auto", "concise", "detailed"),
        note="the whole thought is told as the summary",
    ),
    Row("reasoning.generate_summary", one_of("auto", "concise", "detailed")),
    Row("reasoning.context", TEXT, IGNORED),
    Row("reasoning.mode", TEXT, IGNORED),
    Row("truncation", one_of("auto", "disabled")),
)
_HINT_ROWS: tuple[Row, ...] = (
    Row("prompt_cache_key", TEXT, IGNORED, "told again; every prompt is cached"),
    Row("prompt_cache_retention", TEXT, IGNORED),
    Row("prompt_cache_options", OBJECT, IGNORED),
    Row("service_tier", TEXT, IGNORED),
)

# -- A response --------------------------------------------------------------------

_MEMORY_ROWS: tuple[Row, ...] = (  # ours
    Row("num_ctx", integer()),
    Row("context_length", integer(), note="as num_ctx"),
    Row("keep_alive", either(TEXT, number())),
    Row("ttl", either(TEXT, number()), note="as keep_alive"),
)
_DRAWING_ROWS: tuple[Row, ...] = (
    Row("temperature", number(0, 2)),
    *(drawn(name) for name in RANGES if name != "temperature"),
    Row("stop", either(TEXT, list_of(TEXT)), note="ours"),
    Row("ignore_eos", FLAG),
    Row("dry_sequence_breakers", either(TEXT, list_of(TEXT))),
)
CREATE = Route(
    method="POST",
    path="/v1/responses",
    summary="Answer, and keep the answer unless store is false.",
    streams=True,
    rows=(
        *_PROMPT_ROWS,
        *_TOOL_ROWS,
        *_FORM_ROWS,
        *_DRAWING_ROWS,
        *_MEMORY_ROWS,
        Row("max_output_tokens", integer(1)),
        Row("top_logprobs", integer(0, 20)),
        Row("grammar", TEXT, note="ours: GBNF"),
        *BUDGET_ROWS,
        Row("think", either(FLAG, TEXT), note="ours"),
        Row("chat_template_kwargs", OBJECT, note="ours"),
        Row("chat_template_kwargs.enable_thinking", FLAG),
        Row("truncate", FLAG, note="ours: as truncation: auto"),
        *_HINT_ROWS,
        Row("stream", FLAG),
        Row("stream_options", OBJECT),
        Row("stream_options.include_obfuscation", FLAG, IGNORED),
        Row("store", FLAG, note="true by default"),
        Row("background", FLAG),
        Row("metadata", OBJECT, note="16 texts of 512 characters at most; kept and told again"),
        Row(
            "include",
            list_of(one_of(*INCLUDES)),
            note="what tools of the vendor's would have found is never there",
        ),
        Row("max_tool_calls", integer(1), note="of tools that run here, and none do"),
        Row("safety_identifier", TEXT, IGNORED, "told again"),
        Row("user", TEXT, IGNORED, "told again"),
        Row("context_management", list_of(OBJECT), IGNORED, "ask for a compaction instead"),
        Row("client_metadata", ANYTHING, IGNORED),
        Row("prompt", OBJECT, REFUSED, "prompts are stored at the vendor's"),
        Row("moderation", OBJECT, REFUSED, _FOR_ANOTHER),
    ),
)

# -- What is made of its prompt alone ------------------------------------------------

INPUT_TOKENS = Route(
    method="POST",
    path="/v1/responses/input_tokens",
    summary="Count the tokens of a prompt; its model need not be loaded.",
    rows=(
        *_PROMPT_ROWS,
        *_TOOL_ROWS,
        *_FORM_ROWS,
        Row("personality", TEXT, IGNORED),
        Row("num_ctx", integer()),
    ),
)
COMPACT = Route(
    method="POST",
    path="/v1/responses/compact",
    summary="Have the model write down in short what was said, as one item.",
    rows=(*_PROMPT_ROWS, *_DRAWING_ROWS, *_MEMORY_ROWS, *_HINT_ROWS),
)

# -- What is kept ------------------------------------------------------------------

_PAGE: tuple[Row, ...] = (
    Row("limit", integer(1, 100), note="20 by default"),
    Row("order", one_of("asc", "desc"), note="desc by default"),
    Row("after", TEXT, note="the id of an item"),
    Row("include", list_of(TEXT), IGNORED, "an item is told with all that is kept of it"),
)
_METADATA = Row("metadata", OBJECT, note="16 texts of 512 characters at most")
_ITEM_LIST = Row("items", _ITEMS, note="20 at most")
BEGIN_CONVERSATION = Route(
    method="POST",
    path="/v1/conversations",
    summary="Begin a conversation that is kept here.",
    rows=(_ITEM_LIST, _METADATA),
)
CHANGE_CONVERSATION = Route(
    method="POST",
    path="/v1/conversations/{conversation_id}",
    summary="Change the metadata of a conversation.",
    rows=(Row("metadata", OBJECT, required=True),),
)
ADD_ITEMS = Route(
    method="POST",
    path="/v1/conversations/{conversation_id}/items",
    summary="Add items to a conversation.",
    rows=(Row("items", _ITEMS, required=True, note="20 at most"),),
)
ROUTES: tuple[Route, ...] = (
    CREATE,
    INPUT_TOKENS,
    COMPACT,
    Route(
        method="GET",
        path="/v1/responses/{response_id}",
        summary="Return a response that is kept, or its events.",
        query=(
            Row("stream", FLAG),
            Row("starting_after", integer(0), note="the number of an event"),
            Row("include", list_of(TEXT)),
            Row("include_obfuscation", FLAG, IGNORED),
        ),
    ),
    Route(
        method="DELETE",
        path="/v1/responses/{response_id}",
        summary="Forget a response.",
    ),
    Route(
        method="POST",
        path="/v1/responses/{response_id}/cancel",
        summary="End a response that runs in the background.",
    ),
    Route(
        method="GET",
        path="/v1/responses/{response_id}/input_items",
        summary="Return what a response was made of.",
        query=_PAGE,
    ),
    BEGIN_CONVERSATION,
    Route(
        method="GET",
        path="/v1/conversations/{conversation_id}",
        summary="Return a conversation, without its items.",
    ),
    CHANGE_CONVERSATION,
    Route(
        method="DELETE",
        path="/v1/conversations/{conversation_id}",
        summary="Forget a conversation with its items.",
    ),
    ADD_ITEMS,
    Route(
        method="GET",
        path="/v1/conversations/{conversation_id}/items",
        summary="Return the items of a conversation.",
        query=_PAGE,
    ),
    Route(
        method="GET",
        path="/v1/conversations/{conversation_id}/items/{item_id}",
        summary="Return an item of a conversation.",
    ),
    Route(
        method="DELETE",
        path="/v1/conversations/{conversation_id}/items/{item_id}",
        summary="Take an item out of a conversation.",
    ),
)
