"""The items of an answer while they are written: what is told of each from its beginning on."""

from collections.abc import Iterator
from typing import Protocol, TypeAlias

from models.events import TokenLogprob, ToolCallDelta
from server.fields import Json
from server.formats.openai_responses.ids import new_id
from server.formats.openai_responses.sealed import seal
from server.formats.openai_responses.tools import Named
from server.logprobs import token_body
from server.text_tools import text_of

Told: TypeAlias = Iterator[tuple[str, Json]]
"""Names of events, and what they say beside which item it is."""


class Item(Protocol):
    id: str

    def begin(self) -> Told: ...
    def end(self) -> Told: ...
    def body(self, status: str) -> Json: ...


class MessageItem:
    """What is said, in one part."""

    def __init__(self) -> None:
        self.id = new_id("msg")
        self._begun = False
        self._pieces: list[str] = []
        self._logprobs: list[Json] = []

    def begin(self) -> Told:
        self._begun = True
        yield "response.content_part.added", {"content_index": 0, "part": _text_part("", [])}

    def delta(self, text: str, tokens: tuple[TokenLogprob, ...]) -> tuple[str, Json]:
        self._pieces.append(text)
        odds = [_odds(token) for token in tokens]
        self._logprobs += odds
        said = {"content_index": 0, "delta": text, "logprobs": odds}
        return "response.output_text.delta", said

    def end(self) -> Told:
        text = "".join(self._pieces)
        said = {"content_index": 0, "text": text, "logprobs": self._logprobs}
        yield "response.output_text.done", said
        part = _text_part(text, self._logprobs)
        yield "response.content_part.done", {"content_index": 0, "part": part}

    def body(self, status: str) -> Json:
        content = [_text_part("".join(self._pieces), self._logprobs)] if self._begun else []
        return {
            "id": self.id,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }


class ReasoningItem:
    """What is thought, as it stands or as a summary of itself; ``sealed``: packed up beside."""

    def __init__(self, *, as_summary: bool, sealed: bool) -> None:
        self.id = new_id("rs")
        self._as_summary = as_summary
        self._sealed = sealed
        self._pieces: list[str] = []
        self._begun = False

    def begin(self) -> Told:
        self._begun = True
        if self._as_summary:
            yield "response.reasoning_summary_part.added", _summary(part=_summary_part(""))
        else:
            part = _thought_part("")
            yield "response.content_part.added", {"content_index": 0, "part": part}

    def delta(self, text: str) -> tuple[str, Json]:
        self._pieces.append(text)
        if self._as_summary:
            return "response.reasoning_summary_text.delta", _summary(delta=text)
        return "response.reasoning_text.delta", {"content_index": 0, "delta": text}

    def end(self) -> Told:
        text = "".join(self._pieces)
        if self._as_summary:
            yield "response.reasoning_summary_text.done", _summary(text=text)
            yield "response.reasoning_summary_part.done", _summary(part=_summary_part(text))
        else:
            yield "response.reasoning_text.done", {"content_index": 0, "text": text}
            part = _thought_part(text)
            yield "response.content_part.done", {"content_index": 0, "part": part}

    def body(self, status: str) -> Json:
        text = "".join(self._pieces)
        body: Json = {"id": self.id, "type": "reasoning", "status": status, "summary": []}
        if self._begun and self._as_summary:
            body["summary"] = [_summary_part(text)]
        elif self._begun:
            body["content"] = [_thought_part(text)]
        if self._sealed and status != "in_progress":
            body["encrypted_content"] = seal(text)
        return body


class FunctionCallItem:
    """A call of a function."""

    def __init__(self, first: ToolCallDelta, named: Named) -> None:
        self.id = new_id("fc")
        self._named = named
        self._call_id = first.id or new_id("call")
        self._pieces: list[str] = []

    def begin(self) -> Told:
        yield from ()

    def delta(self, arguments: str) -> Told:
        if arguments:
            self._pieces.append(arguments)
            yield "response.function_call_arguments.delta", {"delta": arguments}

    def end(self) -> Told:
        said = {"name": self._named.name, "arguments": "".join(self._pieces)}
        yield "response.function_call_arguments.done", said

    def body(self, status: str) -> Json:
        return {
            "id": self.id,
            "type": "function_call",
            "status": status,
            "call_id": self._call_id,
            "name": self._named.name,
            "arguments": "".join(self._pieces),
        } | ({"namespace": self._named.namespace} if self._named.namespace else {})


class CustomCallItem:
    """A call of a tool that takes plain text: that is known once its JSON is whole."""

    def __init__(self, first: ToolCallDelta, named: Named) -> None:
        self.id = new_id("ctc")
        self._named = named
        self._call_id = first.id or new_id("call")
        self._pieces: list[str] = []

    def begin(self) -> Told:
        yield from ()

    def delta(self, arguments: str) -> Told:
        self._pieces.append(arguments)
        yield from ()

    def end(self) -> Told:
        yield "response.custom_tool_call_input.delta", {"delta": self._text()}
        yield "response.custom_tool_call_input.done", {"input": self._text()}

    def body(self, status: str) -> Json:
        return {
            "id": self.id,
            "type": "custom_tool_call",
            "status": status,
            "call_id": self._call_id,
            "name": self._named.name,
            "input": "" if status == "in_progress" else self._text(),
        } | ({"namespace": self._named.namespace} if self._named.namespace else {})

    def _text(self) -> str:
        return text_of("".join(self._pieces))


def _text_part(text: str, logprobs: list[Json]) -> Json:
    # A copy: what has been told stays as it was.
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": [*logprobs]}


def _thought_part(text: str) -> Json:
    return {"type": "reasoning_text", "text": text}


def _summary_part(text: str) -> Json:
    return {"type": "summary_text", "text": text}


def _summary(**said: str | Json) -> Json:
    return {"summary_index": 0, **said}


def _odds(token: TokenLogprob) -> Json:
    return token_body(token) | {"top_logprobs": [token_body(each) for each in token.top]}
