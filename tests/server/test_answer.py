"""From events to an answer: whole or in frames, with one proper end whatever fails."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from werkzeug.datastructures import Headers

from models.chat import GenerateRequest
from models.counters import Counters
from models.errors import InferenceError, InvalidRequest, ModelCrashed, NotAble
from models.events import (
    Event,
    Failed,
    Finished,
    FinishReason,
    Progress,
    Stage,
    Started,
    TextDelta,
)
from models.health import STUCK_SECONDS
from models.ledger import Need
from models.reply import Reply
from models.resident import Doing, Resident
from server import answer as answer_module
from server.answer import Asked, Frames, answer
from server.fields import Json
from server.formats import anthropic, ollama
from server.formats.openai import chat as openai_chat
from server.streams import Streams
from server.voices import Voices
from server.wires import ANTHROPIC, OLLAMA, OPENAI_CHAT, Wire
from tests.fakes import RecordedEngines, a_model

MESSAGES = [{"role": "user", "content": "hi"}]
END = Finished(FinishReason.END_OF_TURN)
REQUEST = GenerateRequest(model="tiny", prompt="hi")


class Echo:
    """Says text as it comes, and the end."""

    def encode(self, event: Event) -> Iterator[Json]:
        match event:
            case TextDelta("bug"):
                raise ZeroDivisionError
            case TextDelta(text):
                yield {"text": text}
            case Finished():
                yield {"end": True}
            case _:
                pass

    def whole(self, reply: Reply, end: object) -> Json:
        return {"text": reply.text}


STREAMED = Asked(request=REQUEST, stream=True, encoder=Echo())


async def said(wire, *events: Event, stream: bool = True, **asked) -> bytes:
    streams = Streams(RecordedEngines(*events))
    request = Asked(request=REQUEST, stream=stream, encoder=Echo(), **asked)
    response = await answer(streams, wire, request, Headers())
    body = await response.get_data()
    assert streams.running() == []
    assert isinstance(body, bytes)
    return body


async def test_lines_end_where_the_stream_does():
    assert await said(OLLAMA, TextDelta("a"), END) == b'{"text":"a"}\n{"end":true}\n'


async def test_a_wire_may_have_a_last_frame_of_its_own():
    assert await said(OPENAI_CHAT, TextDelta("a"), END) == (
        b'data: {"text":"a"}\n\ndata: {"end":true}\n\ndata: [DONE]\n\n'
    )


async def test_a_whole_answer_is_said_once():
    assert await said(OLLAMA, Started(1), TextDelta("a"), TextDelta("b"), END, stream=False) == (
        b'{"text":"ab"}'
    )


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("wire", [OLLAMA, OPENAI_CHAT])
async def test_what_a_model_was_not_shown_is_told_in_the_head(wire: Wire, stream: bool):
    streams = Streams(RecordedEngines(Progress(Stage.LOADING, 0, 1), Started(1, 6, True), END))
    request = Asked(request=REQUEST, stream=stream, encoder=Echo())

    response = await answer(streams, wire, request, Headers())

    assert response.headers["X-Inglenook-Dropped-Messages"] == "6"
    assert response.headers["X-Inglenook-Cut"] == "1"
    await response.get_data()


async def test_a_prompt_that_was_read_whole_has_no_such_heads():
    streams = Streams(RecordedEngines(Started(1), END))

    response = await answer(
        streams, OLLAMA, Asked(request=REQUEST, stream=True, encoder=Echo()), Headers()
    )

    assert not [name for name, _ in response.headers if name.startswith("X-Inglenook")]
    await response.get_data()


@pytest.mark.parametrize("wire", [OLLAMA, OPENAI_CHAT])
async def test_an_error_in_the_middle_is_the_last_thing_said(wire):
    frames = await said(wire, TextDelta("a"), Failed(ModelCrashed("It died.")), TextDelta("b"))

    assert frames == b"".join(
        (
            wire.frame({"text": "a"}),
            wire.frame(wire.error_body(ModelCrashed("It died."))),
            wire.last_frame,
        )
    )


@pytest.mark.parametrize("before", [(), (Started(1),), (Progress(Stage.LOADING, 1, 2), Started(1))])
@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_before_the_first_frame_is_raised(before, stream):
    with pytest.raises(ModelCrashed):
        await said(OLLAMA, *before, Failed(ModelCrashed("It died.")), stream=stream)


async def test_a_bug_in_the_middle_is_logged_and_told(caplog):
    frames = await said(OLLAMA, TextDelta("a"), TextDelta("bug"), END)

    assert json.loads(frames.splitlines()[-1])["error"].startswith(
        "The request failed unexpectedly"
    )
    assert caplog.records[0].exc_info


async def test_what_a_model_cannot_do_is_said_in_the_words_that_clients_know():
    for lacking, words in {
        ("thinking",): '"tiny" does not support thinking',
        ("tools", "thinking"): "registry.ollama.ai/org/tiny:v2 does not support tools",
        ("completion", "tools"): '"tiny" does not support generate',
        ("logprobs",): "Model 'Org/Tiny:v2' cannot do this here: logprobs. "
        "Leave it out, or choose another model.",
    }.items():
        error = NotAble("org/tiny:v2" if "tools" in lacking else "Org/Tiny:v2", lacking)
        with pytest.raises(InvalidRequest) as caught:
            await said(OLLAMA, Failed(error), deed="generate")
        assert str(caught.value) == words


async def test_a_wish_to_think_may_go_unheard_and_that_is_told():
    engines = RecordedEngines(TextDelta("a"), END, lacking=("thinking",))
    asked = Asked(
        request=replace(REQUEST, thinking="high"), stream=False, encoder=Echo(), wish="effort"
    )

    response = await answer(Streams(engines), OPENAI_CHAT, asked, Headers())

    assert response.headers["X-Inglenook-Ignored"] == "effort"
    assert [request.thinking for request in engines.requests] == ["high", None]
    with pytest.raises(InvalidRequest):
        await answer(Streams(engines), OPENAI_CHAT, asked, Headers({"X-Inglenook-Strict": "1"}))


async def test_who_asks_is_known():
    engines = RecordedEngines(END)
    asked = Asked(request=REQUEST, stream=False, encoder=Echo())

    await answer(Streams(engines), OLLAMA, asked, Headers({"User-Agent": "tester/1"}))

    [origin] = engines.origins
    assert (origin.door, origin.wire, origin.client) == ("api", "ollama", "tester/1")


async def test_a_wire_with_a_ping_says_it_while_nothing_comes():
    engines = RecordedEngines()
    wire = replace(OLLAMA, ping=b"ping\n", ping_seconds=0.01)
    asked = Asked(request=REQUEST, stream=True, encoder=Echo())

    response = await answer(Streams(engines), wire, asked, Headers())
    async with response.response as body:
        frames: AsyncIterator[bytes] = aiter(body)
        assert [await anext(frames), await anext(frames)] == [b"ping\n", b"ping\n"]
        engines.say(TextDelta("a"))
        while (frame := await anext(frames)) == b"ping\n":
            pass
        assert frame == b'{"text":"a"}\n'

    assert engines.cancelled == [1]


async def test_a_model_that_takes_no_step_has_no_pings_until_it_does():
    engines = StuckEngines()
    asked = replace(STREAMED, request=replace(REQUEST, model="Tiny:latest"))
    running = await Streams(engines).open(asked.request, answer_module.Origin("api"))
    wire = replace(OLLAMA, ping=b"ping\n", ping_seconds=1000)
    frames = Frames(wire, asked, Voices([running], running.bell))
    waiting = asyncio.ensure_future(anext(frames))

    for _ in range(2):
        frames.tick()
        await asyncio.sleep(0)
        assert not waiting.done()
    engines.silent_seconds = 1.0
    frames.tick()

    assert await waiting == b"ping\n"


class StuckEngines(RecordedEngines):
    """Their one model has work, and does nothing."""

    silent_seconds = STUCK_SECONDS + 1

    def residents(self) -> tuple[Resident, ...]:
        doing = Doing(
            stepping=True,
            last_step=time.monotonic() - self.silent_seconds,
            tokens_per_second=0.0,
            prompt_tokens=0,
            cached_tokens=0,
        )
        resident = Resident(
            model=a_model("tiny"),
            names=frozenset({"tiny:latest"}),
            loading=False,
            need=Need(weights_bytes=0, cache_bytes=0, working_bytes=0),
            loaded_bytes=0,
            context_length=1,
            expires_at=None,
            running=1,
            last_used=0.0,
            queued=0,
            doing=doing,
            counters=Counters(),
        )
        return (resident,)


async def beats(asked: Asked, wire: Wire) -> list[bytes]:
    """The first two frames of an answer of which nothing comes but how far its loading is."""
    engines = RecordedEngines(Progress(Stage.LOADING, 1, 2))
    response = await answer(Streams(engines), replace(wire, ping_seconds=0.01), asked, Headers())
    async with response.response as body:
        frames: AsyncIterator[bytes] = aiter(body)
        return [await anext(frames), await anext(frames)]


async def test_openais_clients_hear_a_comment_while_nothing_comes():
    asked = openai_chat.parse({"model": "tiny", "messages": MESSAGES, "stream": True})

    assert await beats(asked, OPENAI_CHAT) == [b": ping\n\n"] * 2


async def test_ollamas_clients_hear_an_empty_piece_while_nothing_comes():
    asked = ollama.parse_chat({"model": "tiny", "messages": MESSAGES})

    for frame in await beats(asked, OLLAMA):
        line = json.loads(frame)
        assert line["message"] == {"role": "assistant", "content": ""}
        assert (line["model"], line["done"]) == ("tiny", False)


async def test_anthropics_clients_hear_a_ping_while_nothing_comes():
    body = {"model": "tiny", "messages": MESSAGES, "stream": True, "max_tokens": 5}

    assert (
        await beats(anthropic.parse(body), ANTHROPIC)
        == [b'event: ping\ndata: {"type":"ping"}\n\n'] * 2
    )


async def test_pings_do_not_heap_up_before_one_who_does_not_read():
    running = await Streams(RecordedEngines()).open(REQUEST, answer_module.Origin("api"))
    wire = replace(OLLAMA, ping=b"ping\n", ping_seconds=0.001)
    frames = Frames(wire, STREAMED, Voices([running], running.bell))

    await frames.begin()
    for _ in range(20):
        await asyncio.sleep(0.001)

    assert await anext(frames) == b"ping\n"


@pytest.mark.parametrize("ping", [b"", b"ping\n"])
async def test_frames_that_nobody_sends_end_their_request(ping):
    engines = RecordedEngines(Started(1), TextDelta("a"))
    running = await Streams(engines).open(REQUEST, answer_module.Origin("api"))
    frames = Frames(replace(OLLAMA, ping=ping), STREAMED, Voices([running], running.bell))
    await frames.begin()

    del frames

    assert engines.cancelled == [1]


async def test_a_reader_that_is_slow_holds_nobody_up():
    engines = RecordedEngines()
    streams = Streams(engines)
    slow = await streams.open(REQUEST, answer_module.Origin("api"))
    quick = await streams.open(REQUEST, answer_module.Origin("api"))

    for _ in range(1000):
        engines.say(TextDelta("a"))
    engines.say(END)

    assert len([event async for event in quick.events()]) == 1001
    assert len([event async for event in slow.events()]) == 1001


async def test_the_loop_is_woken_once_for_all_that_has_come(monkeypatch):
    loop = asyncio.get_running_loop()
    wakes = list[object]()
    call = loop.call_soon_threadsafe
    engines = RecordedEngines()
    running = await Streams(engines).open(REQUEST, answer_module.Origin("api"))
    monkeypatch.setattr(
        loop, "call_soon_threadsafe", lambda *each: wakes.append(each) or call(*each)
    )

    for _ in range(100):
        engines.say(TextDelta("a"))
    await running.arrived()
    engines.say(TextDelta("b"))
    await running.arrived()

    assert len(wakes) == 2


async def test_an_error_is_one_sentence_for_a_bug_of_ours(monkeypatch):
    engines = RecordedEngines(END)
    monkeypatch.setattr(engines, "submit", lambda *_, **__: 1 / 0)
    asked = Asked(request=REQUEST, stream=True, encoder=Echo())

    with pytest.raises(ZeroDivisionError):
        await answer(Streams(engines), OLLAMA, asked, Headers())


def test_an_error_body_is_the_wires_own():
    error = InferenceError("No.")

    assert OLLAMA.error_body(error) == {"error": "No."}
    assert OPENAI_CHAT.error_body(error)["error"]["message"] == "No."
