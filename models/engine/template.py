"""Messages to prompt text, by the model's own chat template.

Templates are Jinja programs that come with the weights, from people we do not know: they
run in ``sandbox.py``, and a fault in one is the model's fault, told as such. What each
wants to be given is read from its program (``dialect.py``); what it refuses is put to it
again in another lawful form (``turns.py``).
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import copy, deepcopy
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any, TypeAlias

from jinja2 import Template, TemplateError

from models.chat import Message, Reasoning, Text, Thinking, Tool, ToolCall, ToolResult
from models.engine.dialect import Dialect, dialect_of
from models.engine.entries import Entries, functions_and_date, plain_entry, tool_entry
from models.engine.left_out import says_all
from models.engine.paired import loose_results, new_id, paired
from models.engine.sandbox import Sandbox, TooMuchWork
from models.engine.turns import (
    Rewrite,
    lawful,
    one_call_each,
    with_loose_results_told,
    with_readable_arguments,
    with_short_ids,
    with_words_apart,
    with_words_in_results,
    without_system,
    without_thoughts_of_calls,
)
from models.errors import InvalidRequest, LoadFailed
from models.gguf import TemplateSource
from models.model_family import family_of

_MOST_SOURCE = 1 << 20  # characters; the longest published template has some 30,000

# Stands for the reply that is to be continued, to find where the template put it.
_CONTINUED = "\ue000continue\ue000"

# What a template may make of messages that it does not understand.
_REFUSALS = (
    TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
)

JSON: TypeAlias = dict[str, Any]
_NOTHING: Mapping[str, Any] = {}


def _as_they_are(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    return messages


# The first that a template accepts is what it is given.
_FORMS: tuple[Rewrite, ...] = (
    _as_they_are,
    lawful,
    without_system,
    with_short_ids,
    without_thoughts_of_calls,
    with_readable_arguments,
    with_words_apart,
    with_words_in_results,
    with_loose_results_told,
)


class ChatTemplate:
    """A compiled template. Any thread may render with it.

    ``bos_token`` and ``eos_token`` are what the template's variables of those names stand for.

    Raises:
        LoadFailed: the source is not a Jinja template.
    """

    def __init__(self, source: str, *, bos_token: str = "", eos_token: str = "") -> None:
        self.source = source
        self.family = family_of(source)
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token}
        # By what they are like, which form of messages it accepted.
        self._accepted: dict[tuple[bool, ...], Rewrite] = {}
        if len(source) > _MOST_SOURCE:
            raise LoadFailed("The model's chat template is too long to be one.")
        try:
            self._dialect, self._template = _read(source)
            self._entries = Entries(self._dialect, self.family)
            self.writes_bos = "bos_token" in self._dialect.variables
        except (TemplateError, SyntaxError, RecursionError, ValueError, TypeError) as error:
            raise LoadFailed(f"The model's chat template cannot be read: {error}.") from None

    def takes_pictures(self, *, known: bool) -> bool:
        """Whether it writes the places of pictures, whose token is ``known`` to it or asked for."""
        return self._dialect.takes_parts and (known or "image_token" in self._dialect.variables)

    def with_image_token(self, token: str) -> "ChatTemplate":
        told = copy(self)
        told._tokens = {**self._tokens, "image_token": token}
        return told

    def beside(self, source: str) -> "ChatTemplate":
        """Return another template of the same model. Raises LoadFailed."""
        return ChatTemplate(source, **self._tokens)

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        thinking: Thinking = None,
        *,
        ask: bool = True,
        more: Mapping[str, Any] = _NOTHING,
    ) -> str:
        """Return the prompt that asks for the next reply; without ``ask`` the messages alone.

        Where the last message is the assistant's, the prompt ends with its text, so
        that the model goes on from there. ``thinking`` is what templates know as
        ``enable_thinking``, and its level as ``reasoning_effort``; ``more`` are other variables.

        Raises:
            InvalidRequest: it does not know one of ``more``, refuses these messages, or has no end.
        """
        last = messages[-1] if messages else None
        if ask and last and last.role == "assistant" and not _calls(last):
            begun = (*(part for part in last.parts if not isinstance(part, Text)), Text(_CONTINUED))
            marked = (*messages[:-1], replace(last, parts=begun))
            text = self._render(marked, tools, thinking, ask=False, more=more)
            before, found, _ = text.rpartition(_CONTINUED)
            if not found:
                raise InvalidRequest("The model's chat template cannot continue a reply.")
            return before + last.text
        return self._render(tuple(messages), tools, thinking, ask=ask, more=more)

    def _render(
        self,
        messages: tuple[Message, ...],
        tools: Sequence[Tool],
        thinking: Thinking,
        *,
        ask: bool,
        more: Mapping[str, Any],
    ) -> str:
        self._dialect.refuse_unknown(more)
        messages = paired(messages, self._new_id)
        if self._dialect.one_call:
            messages = one_call_each(messages)
        offered = [tool_entry(each) for each in tools]
        variables = {
            **self._tokens,
            **self._thinking(thinking),
            "tools": offered or None,
            **(functions_and_date(offered) if "functions" in self._dialect.variables else {}),
            "documents": None,
            **more,
            "add_generation_prompt": ask,
        }
        try:
            return self._in_some_form(messages, variables)
        except _REFUSALS as error:
            refusal = error
        if offered:
            with suppress(*_REFUSALS):
                plain = [plain_entry(each) for each in offered]
                return self._in_some_form(messages, {**variables, "tools": plain})
        raise InvalidRequest(
            f"The model's chat template refuses these messages{self._where(messages, variables)}: "
            f"{refusal}"
        )

    def _in_some_form(self, messages: tuple[Message, ...], variables: JSON) -> str:
        """Raises what the template says of them as they are where it accepts them in no form."""
        alike = (
            any(each.role == "system" for each in messages),
            messages == lawful(messages),
            bool(loose_results(messages)),
        )
        accepted = self._accepted.get(alike, _as_they_are)
        refusal: Exception | None = None
        incomplete: str | None = None
        for form in (accepted, *(each for each in _FORMS if each is not accepted)):
            try:
                text = self._run(form(messages), variables)
            except _REFUSALS as error:
                refusal = refusal or error
                continue
            if says_all(text, messages, calls=self.family.calls is not None):
                self._accepted[alike] = form
                return text
            incomplete = incomplete or text
        if incomplete is None and refusal:
            raise refusal
        return incomplete or ""

    def _where(self, messages: tuple[Message, ...], variables: JSON) -> str:
        """Name the first message that is not accepted behind those before it, if there is one."""
        variables = {**variables, "add_generation_prompt": False}
        low, high = 0, len(messages)
        while high - low > 1:
            middle = (low + high) // 2
            try:
                self._in_some_form(messages[:middle], variables)
                low = middle
            except _REFUSALS:
                high = middle
        # The first may stand for all: but what a tool says is no beginning.
        named = low or (messages and messages[0].role == "tool")
        return f", the {messages[low].role}'s at place {low + 1}" if named else ""

    def _new_id(self, name: str, number: int) -> str:
        row = self.family.calls
        if row and "functions.{name}:{index}" in row.call:  # Kimi names a result by it
            return f"functions.{name}:{number}"
        return new_id(name, number)

    def _run(self, messages: tuple[Message, ...], variables: JSON) -> str:
        entries = list(self._entries.of(messages))
        if self._dialect.changes_lists:
            variables = deepcopy(variables)  # what a request has stays as it is
        characters = sum(
            len(part.arguments if isinstance(part, ToolCall) else part.text)
            for message in messages
            for part in message.parts
            if isinstance(part, Text | Reasoning | ToolCall | ToolResult)
        )
        try:
            return _sandbox().run(
                self._template,
                {**variables, "messages": entries},
                entries=len(entries),
                characters=characters,
            )
        except TooMuchWork:
            raise InvalidRequest(
                "The model's chat template does not come to an end with these messages: "
                "send fewer, or choose another model."
            ) from None

    def _thinking(self, thinking: Thinking) -> JSON:
        if thinking is None:
            return {}
        asked = thinking is not False
        known = self._dialect.variables
        # Two names for one thing: DeepSeek's and Granite's templates have the second.
        variables: JSON = {"enable_thinking": asked, "thinking": asked}
        if isinstance(thinking, str):
            variables["reasoning_effort"] = thinking
        elif not asked and "enable_thinking" not in known:
            # What cannot do without, as gpt-oss, thinks as little as it may.
            variables["reasoning_effort"] = "low"
            variables["thinking_budget"] = 0
        return variables


@cache
def _sandbox() -> Sandbox:
    return Sandbox()


@lru_cache(32)  # it takes as long as the rest of loading a small model
def _read(source: str) -> tuple[Dialect, Template]:
    tree = _sandbox().parse(source)
    return dialect_of(tree), _sandbox().compiled(tree)


def _calls(message: Message) -> list[ToolCall]:
    return [part for part in message.parts if isinstance(part, ToolCall)]


def template_of(source: TemplateSource) -> ChatTemplate | None:
    """Return the template of a GGUF file, ready to be used; None where it has none."""
    if source.text is None:
        return None
    return ChatTemplate(source.text, bos_token=source.bos_token, eos_token=source.eos_token)


@lru_cache(32)
def in_place_of(own: ChatTemplate | None, source: str) -> ChatTemplate:
    """Return a template that somebody wants instead of a model's own, where it has one.

    Raises:
        InvalidRequest: the source is not a Jinja template.
    """
    try:
        return own.beside(source) if own else ChatTemplate(source)
    except LoadFailed as error:
        raise InvalidRequest(str(error), field="template") from None
