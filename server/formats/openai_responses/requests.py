"""The body of a request for a response: what is to be done, and how it is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from models.chat import Constraint, GenerateRequest, Grammar, JsonObject, JsonSchema
from models.errors import InvalidRequest
from server.contract import Route, settle
from server.fields import Fields, Json
from server.formats.openai_responses.contract import CREATE, INCLUDES
from server.formats.openai_responses.head import read_head
from server.formats.openai_responses.items import Conversation
from server.formats.openai_responses.thinking import read_thinking
from server.formats.openai_responses.tools import Tools, read_tools
from server.keep_alive import read_keep_alive
from server.overflow import read_overflow
from server.sampling import read_limit, read_sampling, read_stop
from server.template_variables import read_template_variables
from server.thinking_budget import read_thinking_budget, within

_VERBOSITIES = ("low", "medium", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A body of which it is known what must be looked up before it can be read."""

    fields: Fields
    items: Sequence[Fields]
    previous: str | None  # the id of the response that it goes on from
    conversation: str | None
    references: tuple[str, ...]  # ids of items that are kept


@dataclass(frozen=True, slots=True)
class Kept:
    """What was looked up for it: the items before its own, and those that it refers to."""

    before: Sequence[Json] = ()
    referred: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A request as it was read: what to do, and how to answer."""

    request: GenerateRequest
    head: Json  # what the response tells of it, from the beginning on
    items: Sequence[Json]  # its own, as they are kept
    tools: Tools
    as_summary: bool  # thoughts are told as a summary
    sealed: bool  # they come with what a client may carry for us
    stream: bool
    store: bool
    background: bool
    previous: str | None
    conversation: str | None
    ignored: tuple[str, ...]
    wish: str


def draft(body: Json) -> Draft:
    """Raises InvalidRequest."""
    fields = Fields(body)
    if not fields.text("model"):
        raise InvalidRequest("model is required", field="model")
    previous = fields.text("previous_response_id")
    conversation = _conversation(fields)
    if previous and conversation:
        raise InvalidRequest(
            'Give one of "previous_response_id" and "conversation".', field="conversation"
        )
    items = _items(fields)
    if not items and not previous and not conversation:
        raise InvalidRequest('"input" is missing.', field="input")
    references = tuple(each.required_text("id") for each in items if _is_reference(each))
    return Draft(
        fields=fields,
        items=items,
        previous=previous,
        conversation=conversation,
        references=references,
    )


def read(draft: Draft, kept: Kept, route: Route = CREATE) -> Wanted:
    """Read the rest of it. Raises InvalidRequest."""
    fields = draft.fields
    tools = read_tools(fields)
    thinking = read_thinking(fields)
    budget = read_thinking_budget(fields)
    includes = _includes(fields)
    fields.inner("stream_options")  # nothing in it has an effect
    conversation = Conversation(fields.text("instructions"))
    for each in kept.before:
        conversation.take(Fields(each))
    items = [_take(conversation, each, kept.referred or {}) for each in draft.items]
    request = replace(
        _request(
            fields, conversation, tools, with_logprobs="message.output_text.logprobs" in includes
        ),
        thinking=within(thinking.thinking, budget),
        thinking_budget=budget,
        template_variables=read_template_variables(fields),
    )
    head = read_head(
        fields, request, tools, reasoning=thinking.told, conversation=draft.conversation
    )
    if head["background"] and not head["store"]:
        raise InvalidRequest('"background" needs "store" to be true.', field="background")
    return Wanted(
        request=request,
        head=head,
        items=[each for each in items if each is not None],
        tools=tools,
        as_summary=thinking.as_summary,
        sealed="reasoning.encrypted_content" in includes,
        stream=bool(fields.flag("stream")),
        store=head["store"],
        background=head["background"],
        previous=draft.previous,
        conversation=draft.conversation,
        ignored=settle(fields, route),
        wish=thinking.wish,
    )


# -- What it says ------------------------------------------------------------------


def _items(fields: Fields) -> Sequence[Fields]:
    value = fields.value("input")
    if isinstance(value, str):
        return [Fields({"role": "user", "content": value}, "input")]
    if value is not None and not isinstance(value, list):
        raise fields.wrong("input", "a string or a list of items", value)
    return fields.objects("input") or ()


def _is_reference(item: Fields) -> bool:
    kind = item.text("type")
    return kind == "item_reference" or (kind is None and not item.has("role"))


def _take(conversation: Conversation, item: Fields, referred: Mapping[str, Json]) -> Json | None:
    if not _is_reference(item):
        return conversation.take(item)
    id = item.required_text("id")
    if id not in referred:
        name = item.name("id")
        raise InvalidRequest(f"Item with id '{id[:80]}' not found.", field=name)
    return conversation.take(Fields(referred[id], item.name("id")))


def _conversation(fields: Fields) -> str | None:
    if isinstance(fields.value("conversation"), str):
        return fields.text("conversation")
    inner = fields.inner("conversation")
    return inner.required_text("id") if inner else None


# -- What is to be done ------------------------------------------------------------


def _request(
    fields: Fields, conversation: Conversation, tools: Tools, *, with_logprobs: bool
) -> GenerateRequest:
    count = fields.integer("top_logprobs", least=0, most=20)
    fields.number("temperature", least=0, most=2)
    return GenerateRequest(
        model=fields.required_text("model"),
        prompt=conversation.messages,
        tools=tools.tools,
        tool_choice=tools.choice,
        constraint=_constraint(fields),
        sampling=read_sampling(fields),
        max_tokens=fields.integer("max_output_tokens", least=1),
        stop=read_stop(fields),
        top_logprobs=count or 0 if with_logprobs or count else None,
        context_length=read_limit(fields, "num_ctx") or read_limit(fields, "context_length"),
        overflow=read_overflow(fields),
        keep_alive_seconds=read_keep_alive(fields),
    )


def _constraint(fields: Fields) -> Constraint | None:
    grammar = fields.text("grammar")
    form = _text_format(fields)
    if grammar and form:
        raise InvalidRequest('Give one of "text.format" and "grammar".', field="grammar")
    return Grammar(grammar, "gbnf") if grammar else form


def _text_format(fields: Fields) -> Constraint | None:
    text = fields.inner("text")
    if text is None:
        return None
    verbosity = text.text("verbosity")
    if verbosity is not None and verbosity not in _VERBOSITIES:
        raise InvalidRequest(
            f'"text.verbosity" must be one of {", ".join(_VERBOSITIES)}, not {verbosity[:40]!r}.',
            field="text.verbosity",
        )
    text.ignore("verbosity")
    form = text.inner("format")
    if form is None:
        return None
    match form.required_text("type"):
        case "text":
            return None
        case "json_object":
            return JsonObject()
        case "json_schema":
            form.required_text("name")
            form.text("description")
            form.flag("strict")  # it is always kept to the letter
            schema = form.inner("schema")
            if schema is None:
                raise form.missing("schema")
            return JsonSchema(schema.raw())
        case kind:
            raise InvalidRequest(
                "\"text.format.type\" must be 'text', 'json_object' or 'json_schema', "
                f"not {kind[:40]!r}.",
                field="text.format.type",
            )


def _includes(fields: Fields) -> tuple[str, ...]:
    includes = fields.texts("include")
    for each in includes:
        if each not in INCLUDES:
            raise InvalidRequest(
                f'"include" must be of {", ".join(INCLUDES)}, not {each[:60]!r}.', field="include"
            )
    if any(not INCLUDES[each] for each in includes):
        fields.ignore("include")
    return includes
