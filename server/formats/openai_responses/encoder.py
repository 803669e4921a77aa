"""Answers in the words of OpenAI's Responses: a stream of named events, or one response."""

import time
from collections.abc import Iterable, Iterator, Mapping

from models.chat import Reasoning, Text, ToolCall
from models.errors import InferenceError, InvalidRequest, ServerBusy
from models.events import (
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from models.reply import Reply
from server.answer import End
from server.faults import sentence
from server.fields import Json
from server.formats.openai_responses.output import (
    CustomCallItem,
    FunctionCallItem,
    Item,
    MessageItem,
    ReasoningItem,
    Told,
)
from server.formats.openai_responses.requests import Wanted
from server.formats.openai_responses.tools import Named
from server.wires import OPENAI

_ENDINGS = {"failed": "response.failed", "completed": "response.completed"}


class Encoder:
    """Turns the events of one answer into numbered events, or into one response.

    An answer is a row of items, of which the last is open while its deltas come.
    """

    def __init__(self, wanted: Wanted) -> None:
        self.status = "queued" if wanted.background else "in_progress"
        self._wanted = wanted
        self._named: Mapping[str, Named] = wanted.tools.named
        self._number = 0  # of the next event
        self._begun = False
        self._announced = False  # that there is a response
        self._done: list[Json] = []
        self._open: Item | None = None
        self._call: int | None = None  # the index of the call that is open
        self._ending: Json = {"completed_at": None, "error": None, "incomplete_details": None}
        self._usage: Json | None = None

    # -- A stream --------------------------------------------------------------

    def encode(self, event: Event) -> Iterable[Json]:
        match event:
            case TextDelta(text, tokens):
                if isinstance(self._open, MessageItem):  # nearly all are that
                    return (self._of_item(self._open.delta(text, tokens)),)
                return self._text(event)
            case ReasoningDelta():
                return self._thought(event)
            case ToolCallDelta():
                return self._tool_call(event)
            case Started():
                return self._start()
            case Finished():
                return self._finish(event)
            case _:
                return ()

    def queue(self) -> Iterator[Json]:
        """Say that the answer is asked for: who does so in the background need not wait."""
        self._announced = True
        yield self._state("response.created")
        yield self._state("response.queued")

    def beat(self) -> Json:
        """Say that it is still on its way: a client that hears nothing for long hangs up."""
        if self._announced:
            return self._state(f"response.{self.status}")
        self._announced = True
        return self._state("response.created")

    def pass_over(self) -> Iterator[Json]:
        """Say that nothing was to be said: the request is ready to be gone on from."""
        yield from self._start()
        self._usage = usage_body(Usage())
        self.status = "completed"
        self._ending["completed_at"] = int(time.time())
        yield self._state("response.completed")

    def fail(self, error: InferenceError) -> Iterator[Json]:
        """Say what went wrong, in two ways as OpenAI does: clients look for either."""
        said = OPENAI.error_body(error)["error"]
        told = {"code": said["code"], "message": said["message"], "param": said["param"]}
        yield self._event("error", {**told, "error": said})
        self.status = "failed"
        self._ending["error"] = {"code": _code(error), "message": sentence(error)}
        if self._open:
            self._done.append(self._open.body("incomplete"))
            self._open = None
        yield self._state("response.failed")

    # -- The whole -------------------------------------------------------------

    def whole(self, reply: Reply, end: End) -> Json:
        assert isinstance(end, Finished)
        tokens = tuple(reply.tokens)
        events: list[Event] = []
        for index, part in enumerate(reply.whole()):
            match part:
                case Text(text):
                    events.append(TextDelta(text, tokens))
                    tokens = ()
                case Reasoning(text):
                    events.append(ReasoningDelta(text))
                case ToolCall(id, name, arguments):
                    events.append(ToolCallDelta(index, arguments, id, name))
                case _:
                    raise AssertionError(f"no model says {type(part).__name__}")
        for event in (*events, end):
            for _ in self.encode(event):
                pass
        return self.response()

    def response(self) -> Json:
        """Return the response as it stands now."""
        unfinished = [self._open.body("in_progress")] if self._open else []
        return {
            **self._wanted.head,
            "status": self.status,
            **self._ending,
            "output": [*self._done, *unfinished],
            "usage": self._usage,
        }

    # -- Inside ----------------------------------------------------------------

    def _start(self) -> Iterator[Json]:
        self._begun, self.status = True, "in_progress"
        if not self._announced:
            self._announced = True
            yield self._state("response.created")
        yield self._state("response.in_progress")

    def _text(self, event: TextDelta) -> Iterator[Json]:
        item = MessageItem()
        yield from self._begin(item)
        yield self._of_item(item.delta(event.text, event.tokens))

    def _thought(self, event: ReasoningDelta) -> Iterator[Json]:
        item = self._open
        if not isinstance(item, ReasoningItem):
            item = ReasoningItem(as_summary=self._wanted.as_summary, sealed=self._wanted.sealed)
            yield from self._begin(item)
        yield self._of_item(item.delta(event.text))

    def _tool_call(self, event: ToolCallDelta) -> Iterator[Json]:
        if self._call != event.index:
            named = self._named.get(event.name) or Named(event.name)
            kind = CustomCallItem if named.takes_text else FunctionCallItem
            yield from self._begin(kind(event, named))
            self._call = event.index
        assert isinstance(self._open, FunctionCallItem | CustomCallItem)
        yield from self._all_of_item(self._open.delta(event.arguments))

    def _finish(self, end: Finished) -> Iterator[Json]:
        if not self._begun:  # cancelled before it started, or never a stream
            yield from self._start()
        cut = end.reason in (FinishReason.MAX_TOKENS, FinishReason.CANCELLED)
        if not self._open and not self._done:  # an answer says something, if only nothing
            yield from self._begin(MessageItem())
        yield from self._close("incomplete" if cut else "completed")
        self._usage = usage_body(end.usage)
        if end.reason is FinishReason.CANCELLED:
            self.status = "cancelled"
        elif cut:
            self.status = "incomplete"
            self._ending["incomplete_details"] = {"reason": "max_output_tokens"}
        else:
            self.status = "completed"
            self._ending["completed_at"] = int(time.time())
        # There is no event of its own for what was cancelled.
        yield self._state(_ENDINGS.get(self.status, "response.incomplete"))

    def _begin(self, item: Item) -> Iterator[Json]:
        yield from self._close("completed")
        self._open = item
        body = item.body("in_progress")
        said = {"output_index": len(self._done), "item": body}
        yield self._event("response.output_item.added", said)
        yield from self._all_of_item(item.begin())

    def _close(self, status: str) -> Iterator[Json]:
        item, self._call = self._open, None
        if item is None:
            return
        yield from self._all_of_item(item.end())
        body = item.body(status)
        said = {"output_index": len(self._done), "item": body}
        yield self._event("response.output_item.done", said)
        self._done.append(body)
        self._open = None

    def _all_of_item(self, told: Told) -> Iterator[Json]:
        for each in told:
            yield self._of_item(each)

    def _of_item(self, told: tuple[str, Json]) -> Json:
        assert self._open
        kind, said = told
        return self._event(
            kind, {"item_id": self._open.id, "output_index": len(self._done), **said}
        )

    def _state(self, kind: str) -> Json:
        return self._event(kind, {"response": self.response()})

    def _event(self, kind: str, said: Json) -> Json:
        number, self._number = self._number, self._number + 1
        return {"type": kind, "sequence_number": number, **said}


def usage_body(usage: Usage) -> Json:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": 0,  # every prompt is kept: nobody has to ask for it
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def _code(error: InferenceError) -> str:
    """Return one of the few codes that a response's error may have."""
    if isinstance(error, ServerBusy):
        return "rate_limit_exceeded"
    return "invalid_prompt" if isinstance(error, InvalidRequest) else "server_error"
