"""Anthropic's wire over a socket: its own library against scripted models, and what goes wrong."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import anthropic
import pytest
from werkzeug.datastructures import Headers

from models.abilities import Ability
from models.errors import ModelCrashed, ServerBusy
from models.events import (
    Event,
    Failed,
    Finished,
    FinishReason,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from server.answer import answer
from server.app import create_app
from server.formats.anthropic.requests import parse
from server.listener import ApiServer
from server.streams import Streams
from server.wires import ANTHROPIC
from tests.fakes import RecordedEngines, ScriptedBackend
from tests.server.conftest import HOST, Answer, FakeStore, Serving, babbler

PATH = "/v1/messages"
COUNT = "/v1/messages/count_tokens"
HI: Any = [{"role": "user", "content": "hi"}]
ASKED = {"model": "scripted", "max_tokens": 100, "messages": HI}
THOUGHT: list[Event] = [
    Started(30),
    ReasoningDelta("Hm."),
    TextDelta("I "),
    TextDelta("look."),
    ToolCallDelta(0, id="toolu_1", name="weather"),
    ToolCallDelta(0, '{"city":'),
    ToolCallDelta(0, '"Bern"}'),
    Finished(FinishReason.TOOL_CALLS, Usage(30, cached_tokens=20, completion_tokens=9)),
]
BLOCKS = [
    {"type": "thinking", "thinking": "Hm.", "signature": "inglenook"},
    {"type": "text", "text": "I look."},
    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bern"}},
]
WEATHER: Any = {"name": "weather", "input_schema": {"type": "object"}}
# What Claude Code sends with every request, but for its tools and texts.
AGENT = {
    "model": "scripted",
    "max_tokens": 100,
    "stream": True,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [*HI, {"role": "system", "content": "Be polite."}],
    "metadata": {"user_id": "user"},
    "thinking": {"type": "adaptive", "display": "omitted"},
    "output_config": {"effort": "high"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "tools": [],
}


def events(answer: Answer) -> list[tuple[str, Any]]:
    """The events of a stream, by their names."""
    *blocks, end = answer.body.decode().split("\n\n")
    assert end == ""
    pairs = [block.split("\n") for block in blocks]
    return [
        (name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for name, data in pairs
    ]


Speak = Callable[..., tuple[anthropic.Anthropic, RecordedEngines]]


@pytest.fixture
def speak() -> Iterator[Speak]:
    """Starts a server whose model says certain events, and the library's client for it."""
    started: list[tuple[ApiServer, anthropic.Anthropic]] = []

    def start(*said: Event, lacking: tuple[str, ...] = ()):
        engines = RecordedEngines(*said, lacking=lacking)
        server = ApiServer(lambda: create_app(engines, FakeStore(), host=HOST), HOST, [0])
        server.start()
        started.append((server, client_of(server.ports[0])))
        return started[-1][1], engines

    yield start
    for server, client in started:
        client.close()
        server.stop()


def client_of(port: int) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        base_url=f"http://{HOST}:{port}",
        api_key="none",
        max_retries=0,
        _strict_response_validation=True,
    )


class TestTheLibrary:
    def test_a_message_of_every_kind_of_block(self, speak: Speak):
        client, engines = speak(*THOUGHT)

        message = client.messages.create(
            model="tiny",
            max_tokens=100,
            messages=HI,
            tools=[WEATHER],
            thinking={"type": "enabled", "budget_tokens": 1024},
        )

        assert [block.to_dict() for block in message.content] == BLOCKS
        assert message.stop_reason == "tool_use"
        assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (30, 0)
        assert message.usage.output_tokens == 9
        assert engines.requests[0].thinking is True

    def test_a_stream_of_every_kind_of_block(self, speak: Speak):
        client, _ = speak(*THOUGHT)

        with client.messages.stream(
            model="tiny", max_tokens=100, messages=HI, cache_control={"type": "ephemeral"}
        ) as stream:
            said = "".join(stream.text_stream)
            message = stream.get_final_message()

        assert said == "I look."
        assert [block.to_dict(exclude_none=True) for block in message.content] == BLOCKS
        assert message.stop_reason == "tool_use"
        assert (message.usage.input_tokens, message.usage.output_tokens) == (0, 9)
        assert message.usage.cache_creation_input_tokens == 10
        assert message.usage.cache_read_input_tokens == 20

    def test_the_string_that_ended_it_is_told(self, speak: Speak):
        end = Finished(FinishReason.STOP_STRING, stop_string="STOP")
        client, engines = speak(Started(3), TextDelta("one"), end)
        stops = ["nope", "STOP"]

        whole = client.messages.create(
            model="tiny", max_tokens=100, messages=HI, stop_sequences=stops
        )
        with client.messages.stream(
            model="tiny", max_tokens=100, messages=HI, stop_sequences=stops
        ) as stream:
            streamed = stream.get_final_message()

        for message in (whole, streamed):
            assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "STOP")
        assert [request.stop for request in engines.requests] == [("nope", "STOP")] * 2

    def test_what_was_said_can_be_said_back(self, speak: Speak):
        client, engines = speak(*THOUGHT)
        first = client.messages.create(model="tiny", max_tokens=100, messages=HI)

        result: Any = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
        client.messages.create(
            model="tiny",
            max_tokens=100,
            messages=[
                *HI,
                {"role": "assistant", "content": first.content},
                {"role": "user", "content": [result]},
            ],
        )

        prompt = engines.requests[1].prompt
        assert not isinstance(prompt, str)
        assert [message.role for message in prompt] == ["user", "assistant", "tool"]

    def test_a_count(self, speak: Speak):
        client, engines = speak()

        count = client.messages.count_tokens(model="tiny", messages=HI, system="Be brief.")

        assert count.input_tokens > 0
        assert engines.requests == []  # nothing has run for it

    def test_an_error_in_the_middle_of_a_stream_is_raised(self, speak: Speak):
        client, _ = speak(Started(3), TextDelta("a"), Failed(ModelCrashed("It died.")))

        stream = client.messages.create(model="tiny", max_tokens=9, messages=HI, stream=True)

        with pytest.raises(anthropic.APIStatusError, match=r"api_error.*It died\."):
            list(stream)

    def test_errors_have_their_classes(self, speak: Speak):
        busy, _ = speak(Failed(ServerBusy("Full.")))
        with pytest.raises(anthropic.InternalServerError) as caught:
            busy.messages.create(model="tiny", max_tokens=9, messages=HI)
        assert caught.value.status_code == 503
        assert caught.value.response.headers["retry-after"]
        assert caught.value.request_id

        able, _ = speak()
        with pytest.raises(anthropic.BadRequestError, match="max_tokens is required"):
            able.messages.create(model="tiny", max_tokens=-1, messages=HI)


class TestAnswers:
    def test_a_message(self, serve):
        whole = serve().ask("POST", PATH, ASKED)

        assert whole.status == 200
        assert whole.headers["content-type"] == "application/json"
        assert whole.json.pop("id").startswith("msg_")
        assert whole.json["content"] == [{"type": "text", "text": "Hello"}]
        assert whole.json["stop_reason"] == "end_turn"

    def test_a_stream(self, serve):
        streamed = serve().ask("POST", PATH, ASKED | {"stream": True})

        assert streamed.headers["content-type"] == "text/event-stream"
        said = events(streamed)
        assert [name for name, _ in said] == [
            "message_start",
            "ping",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
        assert all(data["type"] == name for name, data in said)

    def test_a_string_that_was_named_ends_it(self, serve):
        serving = serve(ScriptedBackend("one", " STOP", " two", "..."))
        asked = ASKED | {"stop_sequences": ["nope", "STOP"]}

        whole = serving.ask("POST", PATH, asked).json
        streamed = events(serving.ask("POST", PATH, asked | {"stream": True}))

        assert whole["content"] == [{"type": "text", "text": "one "}]
        [last] = [data["delta"] for name, data in streamed if name == "message_delta"]
        assert whole["stop_reason"] == last["stop_reason"] == "stop_sequence"

    def test_no_more_tokens_than_allowed(self, serve):
        said = serve(babbler()).ask("POST", PATH, ASKED | {"max_tokens": 3}).json

        assert said["stop_reason"] == "max_tokens"
        assert said["usage"]["output_tokens"] == 3

    def test_a_reply_that_was_begun_goes_on(self, serve):
        backend = ScriptedBackend("lo.")
        begun = {"role": "assistant", "content": "Hel"}

        said = serve(backend).ask("POST", PATH, ASKED | {"messages": [*HI, begun]})

        assert said.json["content"] == [{"type": "text", "text": "lo."}]
        assert backend.prompts == [b"[user]hi[assistant]Hel"]

    def test_what_an_agent_sends_is_taken(self, speak: Speak):
        client, engines = speak(Started(3), TextDelta("a"), Finished(FinishReason.END_OF_TURN))
        headers = {"anthropic-beta": "interleaved-thinking-2025-05-14", "x-app": "cli"}

        for path in (PATH, COUNT):
            got = client.post(
                f"{path}?beta=true", body=AGENT, options={"headers": headers}, cast_to=str
            )
            assert got

        [asked] = engines.requests
        assert asked.thinking == "high"

    def test_a_model_that_cannot_think_answers_without(self, speak: Speak):
        client, engines = speak(*THOUGHT[2:], lacking=(Ability.THINKING,))

        raw = client.messages.with_raw_response.create(
            model="tiny", max_tokens=9, messages=HI, thinking={"type": "adaptive"}
        )

        assert raw.headers["x-inglenook-ignored"] == "thinking"
        assert [each.thinking for each in engines.requests] == [True, None]

    async def test_pings_come_while_the_model_is_silent(self):
        engines = RecordedEngines(Started(3))
        wire = replace(ANTHROPIC, ping_seconds=0.01)

        response = await answer(Streams(engines), wire, parse(ASKED | {"stream": True}), Headers())
        async with response.response as frames, asyncio.timeout(20):
            stream = aiter(frames)
            first = await anext(stream)
            assert b"message_start" in first and first.endswith(ANTHROPIC.ping)
            assert await anext(stream) == await anext(stream) == ANTHROPIC.ping

        assert engines.cancelled == [1]


class TestErrors:
    def ask(self, serving: Serving, path: str, asked: Any, method: str = "POST") -> Answer:
        """Ask for what cannot be had, and look whether the refusal is Anthropic's."""
        got = serving.ask(method, path, asked)
        assert got.headers["content-type"] == "application/json"
        assert set(got.json) == {"type", "error", "request_id"}
        assert got.json["type"] == "error"
        assert got.json["request_id"] == got.headers["request-id"]
        return got

    @pytest.mark.parametrize("stream", [True, False])
    def test_a_model_that_is_not_here(self, serve, stream):
        got = self.ask(serve(), PATH, ASKED | {"model": "nothere", "stream": stream})

        assert got.status == 404
        assert got.json["error"] == {
            "type": "not_found_error",
            "message": "model 'nothere' not found",
        }

    def test_what_a_model_cannot_do(self, serve):
        serving = serve()
        picture = {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}}

        for asked, ability in (
            (ASKED | {"tools": [WEATHER]}, "tools"),
            (ASKED | {"messages": [{"role": "user", "content": [picture]}]}, "vision"),
        ):
            got = self.ask(serving, PATH, asked)
            assert got.status == 400
            assert got.json["error"]["type"] == "invalid_request_error"
            assert got.json["error"]["message"].endswith(f"does not support {ability}")

    def test_a_prompt_that_is_too_long(self, serve):
        long = ASKED | {"messages": [{"role": "user", "content": "word " * 200}]}

        got = self.ask(serve(), PATH, long)

        assert got.status == 400
        assert got.json["error"]["message"].startswith("prompt is too long: ")

    @pytest.mark.parametrize("path", [PATH, COUNT])
    @pytest.mark.parametrize("asked", [b"", b"{", b"[]", {"model": "scripted"}])
    def test_a_body_that_is_no_request(self, serve, path, asked):
        got = self.ask(serve(), path, asked)

        assert got.status == 400
        assert got.json["error"]["type"] == "invalid_request_error"

    def test_unknown_paths_and_methods(self, serve):
        serving = serve()

        assert self.ask(serving, f"{PATH}/batches", {}).status == 404
        wrong = self.ask(serving, PATH, None, method="GET")
        assert wrong.status == 405
        assert wrong.headers["allow"] == "POST"

    def test_what_has_no_effect_is_refused_where_that_is_wanted(self, serve):
        strict = {"X-Inglenook-Strict": "1"}
        serving = serve()

        for path in (PATH, COUNT):
            got = serving.ask("POST", path, ASKED | {"metadata": {}}, strict)
            assert got.status == 400
            assert "metadata" in got.json["error"]["message"]

    def test_an_error_in_the_middle_is_the_last_event(self, serve):
        backend = babbler()
        serving = serve(backend)
        connection = serving.connect()
        connection.request("POST", PATH, json.dumps(ASKED | {"stream": True, "max_tokens": 10**9}))
        response = connection.getresponse()
        first = response.readline()
        backend.fail_step = ModelCrashed("It died.")
        got = Answer(200, dict(response.getheaders()), first + response.read())
        connection.close()

        name, data = events(got)[-1]
        assert name == "error"
        assert data["error"] == {"type": "api_error", "message": "It died."}
        assert data["request_id"] == got.headers["request-id"]

    def test_every_request_has_an_id_of_its_own(self, serve):
        connection = serve().connect()
        ids = set[str]()
        for path in (PATH, PATH, f"{PATH}/nothing"):
            connection.request("POST", path, json.dumps(ASKED))
            response = connection.getresponse()
            response.read()
            ids.add(response.headers["request-id"])
        connection.close()

        assert len(ids) == 3
        assert all(id.startswith("req_") for id in ids)

    def test_other_wires_have_none(self, serve):
        assert "request-id" not in serve().ask("GET", "/v1/models").headers

    def test_hanging_up_frees_the_sequence(self, serve, eventually):
        backend = babbler()
        connection = serve(backend).connect()
        connection.request("POST", PATH, json.dumps(ASKED | {"stream": True, "max_tokens": 10**9}))
        connection.getresponse().readline()

        connection.close()

        eventually(lambda: not backend.running)
