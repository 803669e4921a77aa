"""What Anthropic's clients ask for: the body of a request, and of a count of its tokens."""

from dataclasses import dataclass, replace

from models.chat import Constraint, GenerateRequest, Grammar, JsonSchema, Thinking
from models.errors import InvalidRequest
from server.answer import Asked
from server.contract import settle
from server.fields import Fields, Json
from server.formats.anthropic.cache import CacheMarks, Lifetime
from server.formats.anthropic.contract import COUNT_TOKENS, EFFORTS, MESSAGES, THINKING
from server.formats.anthropic.encoder import Encoder
from server.formats.anthropic.messages import Conversation
from server.formats.anthropic.tools import read_tools
from server.formats.anthropic.words import optional_word, word
from server.keep_alive import read_keep_alive
from server.overflow import read_overflow
from server.sampling import read_limit, read_sampling
from server.template_variables import read_template_variables

_EFFORTS: dict[str, Thinking] = {
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}


@dataclass(frozen=True, slots=True)
class _Read:
    """What a message and a count have in common."""

    request: GenerateRequest  # all that makes the prompt
    wish: str  # the field that wishes for thinking
    shows_thoughts: bool
    lifetime: Lifetime | None  # of what was marked to be cached


def parse(body: Json) -> Asked:
    """Raises InvalidRequest."""
    fields = Fields(body)
    read = _read_request(fields)
    limit = fields.integer("max_tokens")
    if limit is None or limit < 0:
        raise InvalidRequest("max_tokens is required and must be positive", field="max_tokens")
    request = replace(
        read.request,
        sampling=read_sampling(fields),
        max_tokens=max(1, limit),
        stop=tuple(text for text in fields.texts("stop_sequences") if text),
        # Not Anthropic's: how else would a client of theirs ask for it?
        context_length=read_limit(fields, "num_ctx") or read_limit(fields, "context_length"),
        overflow=read_overflow(fields),
        keep_alive_seconds=read_keep_alive(fields),
    )
    return Asked(
        request=request,
        stream=bool(fields.flag("stream")),
        encoder=Encoder(
            request.model,
            max_tokens=limit,
            lifetime=read.lifetime,
            shows_thoughts=read.shows_thoughts,
        ),
        ignored=settle(fields, MESSAGES),
        wish=read.wish,
    )


def parse_count(body: Json) -> tuple[GenerateRequest, tuple[str, ...]]:
    """Return whose prompt is to be counted, and the fields that have no effect on that.

    Raises InvalidRequest.
    """
    fields = Fields(body)
    read = _read_request(fields)
    return read.request, settle(fields, COUNT_TOKENS)


def _read_request(fields: Fields) -> _Read:
    model = fields.text("model")
    if not model:
        raise InvalidRequest("model is required", field="model")
    messages = fields.objects("messages")
    if not messages:
        raise InvalidRequest("messages is required", field="messages")
    marks = CacheMarks()
    marks.read(fields)
    output = fields.inner("output_config") or Fields({})
    thinking, wish, shown = _read_thinking(fields, output)
    tools, choice = read_tools(fields, marks)
    request = GenerateRequest(
        model=model,
        prompt=Conversation(marks).read(fields, messages),
        tools=tools,
        tool_choice=choice,
        thinking=thinking,
        thinking_budget=_read_budget(fields),
        template_variables=read_template_variables(fields),
        constraint=_read_constraint(fields, output),
    )
    return _Read(request, wish, shown, marks.lifetime)


# -- Thinking ----------------------------------------------------------------------


def _read_thinking(fields: Fields, output: Fields) -> tuple[Thinking, str, bool]:
    """Return how hard to think, the field that wishes so where it is no more than a wish, and
    whether thoughts are to be shown. Our own ``think`` is meant."""
    wanted, wish, shown = _anthropics_thinking(fields, output)
    template = fields.inner("chat_template_kwargs")  # as vLLM and llama.cpp's server have it
    asked = template.flag("enable_thinking") if template else None
    if asked is not None and wanted is None:
        wanted, wish = asked, "chat_template_kwargs.enable_thinking"
    own = fields.value("think")
    if own is not None:
        wanted = own if isinstance(own, bool) else _EFFORTS[word(fields, "think", EFFORTS)]
        wish = ""
    return wanted, wish, shown


def _anthropics_thinking(fields: Fields, output: Fields) -> tuple[Thinking, str, bool]:
    effort = optional_word(output, "effort", EFFORTS)
    level = _EFFORTS.get(effort or "")
    config = fields.inner("thinking")
    if config is None:
        return level, "output_config.effort" if effort else "", True
    kind = word(config, "type", THINKING)
    shown = optional_word(config, "display", ("summarized", "omitted")) != "omitted"
    if kind == "disabled":
        output.ignore("effort")
        return False, "", shown
    return level or True, "thinking", shown


def _read_budget(fields: Fields) -> int | None:
    config = fields.inner("thinking")
    budget = config.integer("budget_tokens", least=1) if config else None
    if config and config.text("type") != "enabled":
        config.ignore("budget_tokens")
        return None
    return budget


# -- The form of the answer --------------------------------------------------------


def _read_constraint(fields: Fields, output: Fields) -> Constraint | None:
    grammar = fields.text("grammar")  # as llama.cpp's server takes it
    asked: list[Constraint | None] = [
        _format(output, "format"),
        _format(fields, "output_format"),  # its name until it moved
        Grammar(grammar, "gbnf") if grammar else None,
    ]
    constraints = [each for each in asked if each is not None]
    if len(constraints) > 1:
        raise InvalidRequest(
            'Give one of "output_config.format", "output_format" and "grammar".',
            field="output_config.format",
        )
    return constraints[0] if constraints else None


def _format(fields: Fields, field: str) -> Constraint | None:
    form = fields.inner(field)
    if form is None:
        return None
    word(form, "type", ("json_schema",))
    schema = form.inner("schema")
    if schema is None:
        raise form.missing("schema")
    return JsonSchema(schema.raw())
