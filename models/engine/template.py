"""Messages to prompt text, by the model's own chat template.

Templates are Jinja programs that come with the weights, from people we do not
know: they run in Jinja's sandbox, cannot reach the file system or Python's
internals, and a fault in one is the model's fault, told as such.
"""

# Jinja types the values of its filters and globals as unknown.
# pyright: reportUnknownMemberType=false

import json
from collections.abc import Sequence
from datetime import datetime
from typing import NoReturn

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from models import chat
from models.chat import Message, ToolResult
from models.errors import InvalidRequest, LoadFailed

# Stands for the reply that is to be continued, to find where the template put it.
_CONTINUED = "\ue000continue\ue000"


class ChatTemplate:
    """A compiled template.

    ``bos_token`` and ``eos_token`` are what the template's variables of those names
    stand for.

    Raises:
        LoadFailed: the source is not a Jinja template.
    """

    def __init__(self, source: str, *, bos_token: str = "", eos_token: str = "") -> None:
        self.source = source
        self._bos_token = bos_token
        self._eos_token = eos_token
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = _strftime_now
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise LoadFailed(f"The model's chat template cannot be read: {error}.") from None

    def render(self, messages: Sequence[Message]) -> str:
        """Return the prompt that asks for the next reply.

        Where the last message is the assistant's, the prompt ends with its text, so
        that the model goes on from there.

        Raises:
            InvalidRequest: the template refuses these messages.
        """
        if messages and messages[-1].role == "assistant":
            marked = [*messages[:-1], chat.assistant(_CONTINUED)]
            before, found, _ = self._render(marked, ask=False).rpartition(_CONTINUED)
            if not found:
                raise InvalidRequest(
                    "The model's chat template cannot continue a reply.", field="messages"
                )
            return before + messages[-1].text
        return self._render(messages, ask=True)

    def _render(self, messages: Sequence[Message], *, ask: bool) -> str:
        try:
            return self._template.render(
                messages=[{"role": each.role, "content": _content(each)} for each in messages],
                add_generation_prompt=ask,
                bos_token=self._bos_token,
                eos_token=self._eos_token,
            )
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise InvalidRequest(
                f"The model's chat template refuses these messages: {error}", field="messages"
            ) from None


def _content(message: Message) -> str:
    results = "".join(part.text for part in message.parts if isinstance(part, ToolResult))
    return message.text + results


def _to_json(value: object, ensure_ascii: bool = False, indent: int | None = None) -> str:
    # Jinja's own escapes HTML, and templates are written for this one
    # (transformers, utils/chat_template_utils.py).
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(format: str) -> str:
    return datetime.now().astimezone().strftime(format)
