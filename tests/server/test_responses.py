"""OpenAI's Responses over a socket: its own library, and what is kept, against scripted models."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from models.errors import ModelCrashed
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
from models.records.records import Records
from server import wires
from server.app import create_app
from server.fields import Json
from server.formats.openai_responses import keeping, runs
from server.listener import ApiServer
from tests.fakes import RecordedEngines, ScriptedBackend
from tests.server.conftest import HOST, Answer, FakeStore, Serving, babbler
from tests.server.openai_schemas import faults, faults_of_event, faults_of_response, needs_schemas

PATH = "/v1/responses"
HI: Json = {"model": "scripted", "input": "hi"}
SAID: list[Event] = [
    Started(3),
    TextDelta("Hel"),
    TextDelta("lo"),
    Finished(FinishReason.END_OF_TURN, Usage(3, completion_tokens=2)),
]
THOUGHT: list[Event] = [
    Started(3),
    ReasoningDelta("Hm."),
    ToolCallDelta(0, "{}", id="call_1", name="weather"),
    Finished(FinishReason.TOOL_CALLS, Usage(3, completion_tokens=2)),
]
WEATHER: Any = {"type": "function", "name": "weather", "parameters": {}, "strict": False}


def events(answer: Answer) -> list[Json]:
    """The events of a stream, whose names must be their types."""
    *blocks, end = answer.body.decode().split("\n\n")
    assert end == ""
    told: list[Json] = []
    for block in blocks:
        name, data = block.split("\n")
        told.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {told[-1]['type']}"
    assert [each["sequence_number"] for each in told] == list(range(len(told)))
    return told


def text_of(body: Json) -> str:
    return "".join(part["text"] for item in body["output"] for part in item.get("content", ()))


class Speaking:
    """A server whose model says certain events, what was asked of it, and clients."""

    def __init__(self, engines: RecordedEngines, records: Records | None) -> None:
        self.engines = engines
        self.server = ApiServer(
            lambda: create_app(engines, FakeStore(), host=HOST, records=records), HOST, [0]
        )
        self.server.start()
        url = f"http://{HOST}:{self.server.ports[0]}/v1"
        self.client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)

    def asynchronous(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=str(self.client.base_url), api_key="none", max_retries=0)

    @property
    def prompt(self) -> list[tuple[str, str]]:
        """The roles and texts of the last prompt."""
        prompt = self.engines.requests[-1].prompt
        assert not isinstance(prompt, str)
        return [(message.role, message.text) for message in prompt]

    def stop(self) -> None:
        self.client.close()
        self.server.stop()


Speak = Callable[..., Speaking]


@pytest.fixture
def speak() -> Iterator[Speak]:
    started: list[Speaking] = []

    def start(*said: Event, records: Records | None = None, **more: Any) -> Speaking:
        started.append(Speaking(RecordedEngines(*said, **more), records))
        return started[-1]

    yield start
    for each in started:
        each.stop()


class TestTheLibrary:
    def test_a_response(self, speak: Speak):
        said = speak(*SAID).client.responses.create(model="tiny", input="hi", instructions="Be.")

        assert said.output_text == "Hello"
        assert said.status == "completed"
        assert said.usage and said.usage.total_tokens == 5

    def test_a_stream(self, speak: Speak):
        with speak(*SAID).client.responses.stream(model="tiny", input="hi") as stream:
            deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
            final = stream.get_final_response()

        assert deltas == ["Hel", "lo"]
        assert final.output_text == "Hello"

    def test_an_answer_that_is_parsed(self, speak: Speak):
        class Dog(BaseModel):
            name: str

        spoken = speak(Started(1), TextDelta('{"name": "Rex"}'), SAID[-1])
        said = spoken.client.responses.parse(model="tiny", input="hi", text_format=Dog)

        assert said.output_parsed == Dog(name="Rex")

    def test_a_response_is_found_again_and_deleted(self, speak: Speak):
        client = speak(*SAID).client
        said = client.responses.create(model="tiny", input="hi", metadata={"a": "b"})

        again = client.responses.retrieve(said.id)
        asked: list[Any] = [
            item.to_dict() for item in client.responses.input_items.list(said.id).data
        ]
        client.responses.delete(said.id)

        assert again.to_dict() == said.to_dict()
        assert [item["content"][0]["text"] for item in asked] == ["hi"]
        with pytest.raises(openai.NotFoundError, match="not found"):
            client.responses.retrieve(said.id)

    def test_a_response_that_is_not_stored_is_not_found(self, speak: Speak):
        client = speak(*SAID).client
        said = client.responses.create(model="tiny", input="hi", store=False)

        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(said.id)
        with pytest.raises(openai.NotFoundError) as caught:
            client.responses.create(model="tiny", input="more", previous_response_id=said.id)
        assert caught.value.code == "previous_response_not_found"
        assert caught.value.param == "previous_response_id"

    def test_a_chain_keeps_what_was_said_thought_and_called(self, speak: Speak):
        spoken = speak(*THOUGHT)
        client = spoken.client
        first = client.responses.create(
            model="tiny", input="Weather?", tools=[WEATHER], instructions="Be brief."
        )
        client.responses.create(
            model="tiny",
            previous_response_id=first.id,
            input=[{"type": "function_call_output", "call_id": "call_1", "output": "Rain."}],
        )

        prompt = spoken.engines.requests[-1].prompt
        assert not isinstance(prompt, str)
        assert [message.role for message in prompt] == ["user", "assistant", "tool"]
        assert [type(part).__name__ for part in prompt[1].parts] == ["Reasoning", "ToolCall"]

    def test_a_conversation(self, speak: Speak):
        spoken = speak(*SAID)
        client = spoken.client
        made = client.conversations.create(
            items=[{"role": "user", "content": "I am Ann."}], metadata={"a": "b"}
        )
        client.responses.create(model="tiny", input="Who am I?", conversation=made.id)
        client.responses.create(model="tiny", input="Sure?", conversation={"id": made.id})

        assert spoken.prompt == [
            ("user", "I am Ann."),
            ("user", "Who am I?"),
            ("assistant", "Hello"),
            ("user", "Sure?"),
        ]
        listed = client.conversations.items.list(made.id, limit=2, order="asc")
        assert len(listed.data) == 2 and listed.has_more
        assert len(list(listed)) == 5  # the library asks for the pages after
        one = client.conversations.items.retrieve(listed.data[0].id or "", conversation_id=made.id)
        assert one.to_dict()["content"] == [{"type": "input_text", "text": "I am Ann."}]
        client.conversations.items.delete(one.id or "", conversation_id=made.id)
        added = client.conversations.items.create(
            made.id, items=[{"role": "user", "content": "Bye."}]
        )
        assert len(added.data) == 1
        assert client.conversations.update(made.id, metadata={"c": "d"}).metadata == {"c": "d"}
        assert client.conversations.retrieve(made.id).metadata == {"c": "d"}
        assert client.conversations.delete(made.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.conversations.retrieve(made.id)
        with pytest.raises(openai.NotFoundError):
            client.responses.create(model="tiny", input="hi", conversation=made.id)

    def test_tokens_are_counted(self, speak: Speak):
        counted = speak().client.responses.input_tokens.count(model="tiny", input="hi")

        assert counted.input_tokens > 0

    def test_a_compaction_stands_for_a_conversation(self, speak: Speak):
        spoken = speak(*SAID)
        first = spoken.client.responses.create(model="tiny", input="hi")
        compact = spoken.client.responses.compact(
            model="tiny",
            previous_response_id=first.id,
            input=[{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "x"}],
        )
        assert spoken.prompt[-1][1].startswith("Summarise")
        said: Any = [*(item.to_dict(warnings=False) for item in compact.output)]
        said.append({"role": "user", "content": "So?"})
        spoken.client.responses.create(model="tiny", input=said)

        assert spoken.prompt == [
            ("system", "Be brief."),
            ("assistant", "A summary of our conversation so far:\n\nHello"),
            ("user", "So?"),
        ]

    async def test_all_of_it_asynchronously(self, speak: Speak):
        async with speak(*SAID).asynchronous() as client:
            said = await client.responses.create(model="tiny", input="hi")
            async with client.responses.stream(
                model="tiny", input="more", previous_response_id=said.id
            ) as stream:
                kinds = [event.type async for event in stream]
            made = await client.conversations.create()
            await client.conversations.delete(made.id)
            background = await client.responses.create(
                model="scripted", input="hi", background=True
            )
            ended = await client.responses.cancel(background.id)
            await client.responses.delete(said.id)

        assert kinds[0] == "response.created"
        assert kinds[-1] == "response.completed"
        assert ended.status == "completed"


class TestBackground:
    def test_it_is_queued_then_in_progress_then_completed(self, speak: Speak, eventually):
        spoken = speak()
        client, engines = spoken.client, spoken.engines
        said = client.responses.create(model="scripted", input="hi", background=True)

        def status() -> str | None:
            return client.responses.retrieve(said.id).status

        assert said.status == "queued"
        eventually(lambda: bool(engines.requests))
        assert status() == "queued"
        engines.say(SAID[0])
        engines.say(SAID[1])
        eventually(lambda: status() == "in_progress")
        for event in SAID[2:]:
            engines.say(event)
        eventually(lambda: status() == "completed")
        assert client.responses.retrieve(said.id).output_text == "Hello"
        assert not engines.cancelled

    def test_it_goes_on_when_its_client_leaves_and_is_followed_from_where_that_was(
        self, speak: Speak, eventually
    ):
        spoken = speak(*SAID[:2])
        client = spoken.client
        stream = client.responses.create(model="scripted", input="hi", background=True, stream=True)
        seen: list[Any] = []
        for event in stream:
            seen.append(event)
            if event.type == "response.output_text.delta":
                break
        stream.close()
        id = seen[0].response.id
        for event in SAID[2:]:
            spoken.engines.say(event)
        eventually(lambda: client.responses.retrieve(id).status == "completed")

        place = seen[-1].sequence_number
        rest = list(client.responses.retrieve(id, stream=True, starting_after=place))

        assert rest[0].sequence_number == place + 1
        assert [event.delta for event in rest if event.type == "response.output_text.delta"] == [
            "lo"
        ]
        assert rest[-1].type == "response.completed"
        assert [event.type for event in seen[:3]] == [
            "response.created",
            "response.queued",
            "response.in_progress",
        ]

    def test_it_can_be_cancelled_and_that_twice(self, serve: Callable[..., Serving]):
        backend = babbler()
        serving = serve(backend)
        id = serving.ask("POST", PATH, HI | {"background": True}).json["id"]

        first = serving.ask("POST", f"{PATH}/{id}/cancel")
        second = serving.ask("POST", f"{PATH}/{id}/cancel")

        assert first.json["status"] == second.json["status"] == "cancelled"
        assert not backend.running
        assert not serving.ask("GET", f"{PATH}/{id}?stream=true").body.endswith(b"in_progress")

    def test_one_that_nobody_waits_for_cannot_be_cancelled(self, serve: Callable[..., Serving]):
        serving = serve()
        id = serving.ask("POST", PATH, HI).json["id"]

        answer = serving.ask("POST", f"{PATH}/{id}/cancel")

        assert answer.status == 400
        assert "Cannot cancel a synchronous response" in answer.json["error"]["message"]

    def test_what_goes_wrong_is_kept_with_it(self, speak: Speak, eventually):
        spoken = speak(*SAID[:2], Failed(ModelCrashed("It died.")))
        said = spoken.client.responses.create(model="scripted", input="hi", background=True)

        eventually(lambda: spoken.client.responses.retrieve(said.id).status == "failed")

        error = spoken.client.responses.retrieve(said.id).error
        assert error and error.message == "It died."

    def test_a_model_that_is_not_there_is_told_at_once(self, serve: Callable[..., Serving]):
        answer = serve().ask("POST", PATH, HI | {"model": "nothere", "background": True})

        assert answer.status == 404

    def test_a_server_that_stops_leaves_it_failed(self, speak: Speak, inglenook_home: Path):
        records = Records(inglenook_home)
        spoken = speak(*SAID[:2], records=records)
        said = spoken.client.responses.create(model="scripted", input="hi", background=True)
        spoken.stop()

        kept = records.responses.get(said.id).result()
        records.close()

        assert kept and kept.body["status"] == "failed"
        assert not kept.running

    def test_a_model_that_cannot_think_answers_without(self, speak: Speak, eventually):
        spoken = speak(*SAID, lacking=("thinking",))
        said = spoken.client.responses.create(
            model="scripted", input="hi", background=True, reasoning={"effort": "high"}
        )

        eventually(lambda: spoken.client.responses.retrieve(said.id).status == "completed")


class TestWaiting:
    @pytest.mark.parametrize("more", [{}, {"background": True}])
    def test_a_client_hears_that_it_is_still_on_its_way(
        self, speak: Speak, monkeypatch: pytest.MonkeyPatch, more: Json
    ):
        quick = replace(wires.OPENAI_RESPONSES, ping_seconds=0.05)
        for place in (keeping, runs):
            monkeypatch.setattr(place, "OPENAI_RESPONSES", quick)
        spoken = speak(SAID[0])
        stream = spoken.client.responses.create(model="scripted", input="hi", stream=True, **more)

        beats, last = 0, ""
        for event in stream:
            beats += event.type == "response.in_progress"
            if beats == 3:
                for said in SAID[1:]:
                    spoken.engines.say(said)
            last = event.type

        assert beats >= 3
        assert last == "response.completed"


class TestWhatIsKept:
    def test_it_outlives_the_server(self, speak: Speak, inglenook_home: Path):
        records = Records(inglenook_home)
        first = speak(*SAID, records=records)
        said = first.client.responses.create(model="tiny", input="hi")
        first.stop()

        second = speak(*SAID, records=records)
        second.client.responses.create(model="tiny", input="more", previous_response_id=said.id)

        assert second.prompt == [("user", "hi"), ("assistant", "Hello"), ("user", "more")]
        second.stop()
        records.close()

    @needs_schemas
    def test_the_events_of_one_that_was_no_stream_are_made_anew(self, speak: Speak):
        spoken = speak(*THOUGHT[:2], *SAID[1:3], *THOUGHT[2:])
        said = spoken.client.responses.create(model="tiny", input="hi")
        serving = Serving.__new__(Serving)
        serving.server = spoken.server

        told = events(serving.ask("GET", f"{PATH}/{said.id}?stream=true"))

        assert [faults_of_event(event) for event in told] == [[]] * len(told)
        assert "".join(each["delta"] for each in told if "output_text.delta" in each["type"]) == (
            "Hello"
        )
        assert told[-1]["response"]["id"] == said.id

    def test_thoughts_are_sealed_where_that_is_asked_for(self, speak: Speak):
        client = speak(*THOUGHT).client
        said = client.responses.create(model="tiny", input="hi")

        again = client.responses.retrieve(said.id, include=["reasoning.encrypted_content"])

        assert getattr(said.output[0], "encrypted_content", None) is None
        assert getattr(again.output[0], "encrypted_content", "").startswith("inglenook1.")

    def test_an_answer_that_was_left_in_the_middle_is_not_kept(
        self, speak: Speak, eventually, inglenook_home: Path
    ):
        records = Records(inglenook_home)
        spoken = speak(*SAID[:2], records=records)
        stream = spoken.client.responses.create(model="tiny", input="hi", stream=True)
        id = next(iter(stream)).response.id  # type: ignore
        stream.close()

        eventually(lambda: bool(spoken.engines.cancelled))

        assert records.responses.get(id).result() is None
        spoken.stop()
        records.close()

    def test_pages_of_items(self, speak: Speak):
        spoken = speak(*SAID)
        serving = Serving.__new__(Serving)
        serving.server = spoken.server
        asked = [{"role": "user", "content": str(number)} for number in range(5)]
        first = serving.ask("POST", PATH, HI | {"input": asked}).json
        second = serving.ask("POST", PATH, HI | {"previous_response_id": first["id"]}).json
        path = f"{PATH}/{second['id']}/input_items"

        whole = serving.ask("GET", path).json
        one = serving.ask("GET", f"{path}?limit=2&order=asc").json
        two = serving.ask("GET", f"{path}?limit=2&order=asc&after={one['last_id']}").json

        texts = [item["content"][0]["text"] for item in whole["data"]]
        assert texts == ["hi", "Hello", "4", "3", "2", "1", "0"]
        assert [item["content"][0]["text"] for item in one["data"] + two["data"]] == list("0123")
        assert (one["has_more"], one["first_id"]) == (True, whole["data"][-1]["id"])
        for query in ("limit=0", "limit=101", "limit=x", "order=up", "after=nothing"):
            answer = serving.ask("GET", f"{path}?{query}")
            assert answer.status == 400
            assert answer.json["error"]["param"] == query.partition("=")[0]


class TestBodies:
    @needs_schemas
    def test_all_of_them_are_as_they_are_published(self, serve: Callable[..., Serving]):
        serving = serve(ScriptedBackend("Hel", "lo"))
        ask = serving.ask
        said = ask("POST", PATH, HI | {"metadata": {"a": "b"}}).json
        streamed = events(ask("POST", PATH, HI | {"stream": True}))
        queued = ask("POST", PATH, HI | {"background": True}).json
        made = ask("POST", "/v1/conversations", {"items": [{"role": "user", "content": "a"}]}).json
        items = f"/v1/conversations/{made['id']}/items"
        compact = ask("POST", f"{PATH}/compact", HI).json

        for body in (said, queued, ask("GET", f"{PATH}/{said['id']}").json):
            assert faults_of_response(body) == []
        for event in streamed:
            assert faults_of_event(event) == []
        for schema, body in {
            "ResponseItemList": ask("GET", f"{PATH}/{said['id']}/input_items").json,
            "ConversationResource": made,
            "ConversationItemList": ask("GET", items).json,
            "CompactResource": compact,
        }.items():
            assert faults("openai", schema, body) == []
        assert faults("open-responses", "CompactResource", compact) == []
        deleted = ask("DELETE", f"/v1/conversations/{made['id']}").json
        assert faults("openai", "DeletedConversationResource", deleted) == []

    def test_a_conversation_may_begin_with_nothing(self, serve: Callable[..., Serving]):
        answer = serve().ask("POST", "/v1/conversations")

        assert answer.status == 200
        assert answer.json["metadata"] == {}

    @pytest.mark.parametrize(
        ("path", "body", "param"),
        [
            ("/v1/responses/compact", {"input": "hi"}, "model"),
            ("/v1/responses/input_tokens", {"input": "hi"}, "model"),
            ("/v1/conversations", {"items": [{"role": "user", "content": ""}] * 21}, "items"),
            ("/v1/conversations", {"items": [{"role": "dog", "content": ""}]}, "items[0].role"),
        ],
    )
    def test_what_is_wrong_is_named(self, serve: Callable[..., Serving], path, body, param):
        answer = serve().ask("POST", path, body)

        assert answer.status == 400
        assert answer.json["error"]["param"] == param

    def test_an_error_in_the_middle_of_a_stream(self, speak: Speak):
        spoken = speak(*SAID[:2], Failed(ModelCrashed("It died.")))
        serving = Serving.__new__(Serving)
        serving.server = spoken.server

        *_, error, failed = events(serving.ask("POST", PATH, HI | {"stream": True}))

        assert (error["type"], error["message"]) == ("error", "It died.")
        assert failed["response"]["error"]["message"] == "It died."
        kept = serving.ask("GET", f"{PATH}/{failed['response']['id']}").json
        assert kept["status"] == "failed"
        with pytest.raises(openai.APIError, match="It died"):
            list(spoken.client.responses.create(model="tiny", input="hi", stream=True))

    def test_what_codex_sends_is_answered(self, speak: Speak):
        spoken = speak(*THOUGHT)
        serving = Serving.__new__(Serving)
        serving.server = spoken.server
        body = json.loads((Path(__file__).parent / "codex.json").read_text())

        answer = serving.ask("POST", PATH, body, {"accept": "text/event-stream"})

        assert answer.status == 200
        assert events(answer)[-1]["type"] == "response.completed"
        ignored = set(answer.headers["x-inglenook-ignored"].split(","))
        assert ignored == {"client_metadata", "prompt_cache_key", "tools[].type"}
        tools = [tool.name for tool in spoken.engines.requests[0].tools]
        assert tools == ["shell", "mcp__files.read"]
