"""Anthropic's finer points, as pure functions: caches, hidden thoughts, tools of others' making,
the table of fields, and every event against the types of Anthropic's own library."""

import json
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent, message_create_params
from anthropic.types.beta import message_create_params as beta
from pydantic import BaseModel, TypeAdapter

from models import chat
from models.chat import GenerateRequest, Grammar, Image, JsonSchema, Reasoning
from models.errors import InvalidRequest
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
from server.answer import Asked
from server.contract import Honour
from server.fields import Json
from server.formats.anthropic.contract import COUNT_TOKENS, MESSAGES, ROUTES
from server.formats.anthropic.requests import parse, parse_count
from server.framing import to_json

HI = [{"role": "user", "content": "hi"}]
MARK = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
WEATHER = {"name": "weather", "input_schema": {"type": "object"}}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
USAGE = Usage(30, cached_tokens=20, completion_tokens=9, reasoning_tokens=3)
SAID: list[Event] = [
    Started(30),
    ReasoningDelta("Let me "),
    ReasoningDelta("see."),
    TextDelta("I look."),
    ToolCallDelta(0, id="toolu_1", name="weather"),
    ToolCallDelta(0, '{"city":'),
    ToolCallDelta(0, '"Bern"}'),
    ToolCallDelta(1, id="toolu_2", name="time"),
    Finished(FinishReason.TOOL_CALLS, USAGE),
]


def asked(**body) -> Asked:
    return parse({"model": "tiny", "max_tokens": 9, "messages": HI} | body)


def request(**body) -> GenerateRequest:
    request = asked(**body).request
    assert isinstance(request, GenerateRequest)
    return request


def text(text: str, **more: object) -> Json:
    return {"type": "text", "text": text, **more}


def streamed(asked: Asked, *events: Event) -> list[Json]:
    frames = (chunk for event in events or SAID for chunk in asked.encoder.encode(event))
    return [json.loads(to_json(frame)) for frame in frames]


def whole(asked: Asked, *events: Event) -> Json:
    reply = Reply()
    for event in events or SAID:
        reply.take(event)
    end = (events or SAID)[-1]
    assert isinstance(end, Finished)
    return json.loads(to_json(asked.encoder.whole(reply, end)))


def usages(asked: Asked) -> list[Json]:
    """The counts of a stream's first event, of its last, and of a whole message."""
    events = streamed(asked)
    [last] = [each for each in events if each["type"] == "message_delta"]
    return [events[0]["message"]["usage"], last["usage"], whole(asked)["usage"]]


def counts(usage: Json) -> tuple[int, int, int]:
    """Those of the prompt."""
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    read, created, cached = (usage[name] for name in names)
    return read, created, cached


class TestCaches:
    @pytest.mark.parametrize(
        "marked",
        [
            MARK,
            {"system": [text("Be brief.", **MARK)]},
            {"messages": [{"role": "user", "content": [text("hi", **MARK)]}]},
            {"tools": [WEATHER | MARK]},
            {"tools": [SEARCH | MARK]},
        ],
    )
    def test_a_mark_anywhere_has_the_cache_told(self, marked):
        first, last, message = usages(asked(**marked))

        assert counts(first) == (0, 30, 0)  # what is in it is not known yet
        assert counts(last) == counts(message) == (0, 10, 20)
        assert message["cache_creation"]["ephemeral_5m_input_tokens"] == 10
        assert "cache_control" not in " ".join(asked(**marked).ignored)

    def test_who_marks_nothing_is_told_of_no_cache(self):
        assert [counts(each) for each in usages(asked())] == [(30, 0, 0)] * 3

    def test_the_three_counts_are_always_the_prompt(self):
        for body in ({}, MARK, HOUR):
            assert {sum(counts(each)) for each in usages(asked(**body))} == {30}

    def test_a_count_grows_and_never_falls_to_0_where_clients_keep_what_they_had(self):
        """Claude Code takes a count of the last event only where it is above 0."""
        first, last, _ = usages(asked(**MARK))
        kept = [new or old for old, new in zip(counts(first), counts(last), strict=True)]

        assert sum(kept) == 30

    def test_an_hour_is_told_as_one(self):
        *_, message = usages(asked(**MARK, system=[text("Be brief.", **HOUR)]))

        assert message["cache_creation"] == {
            "ephemeral_5m_input_tokens": 0,
            "ephemeral_1h_input_tokens": 10,
        }

    @pytest.mark.parametrize(
        "mark", [{}, {"type": "eternal"}, {"type": "ephemeral", "ttl": "2h"}, True]
    )
    def test_a_mark_that_is_none_is_named(self, mark):
        with pytest.raises(InvalidRequest, match=r'"system\[0\]\.cache_control'):
            asked(system=[text("Be brief.", cache_control=mark)])


class TestThoughts:
    def test_a_thought_that_is_not_to_be_shown_comes_back_in_its_signature(self):
        hidden = asked(thinking={"type": "adaptive", "display": "omitted"})

        events = streamed(hidden)
        block = whole(hidden)["content"][0]

        said = [each["delta"] for each in events if each["type"] == "content_block_delta"]
        assert [each["type"] for each in said[:2]] == ["signature_delta", "text_delta"]
        assert block["thinking"] == ""
        assert block["signature"] == said[0]["signature"]
        again = request(messages=[*HI, {"role": "assistant", "content": [block]}])
        assert again.prompt[1] == chat.Message("assistant", (Reasoning("Let me see."),))

    def test_a_thought_that_is_shown_is_taken_as_it_is_shown(self):
        block = {"type": "thinking", "thinking": "Hm.", "signature": "inglenook:Tm8u"}
        again = request(messages=[*HI, {"role": "assistant", "content": [block]}])

        assert again.prompt[1] == chat.Message("assistant", (Reasoning("Hm."),))

    @pytest.mark.parametrize("signature", ["", "inglenook", "EqQBCgIYAhIM", "inglenook:%%"])
    def test_a_signature_that_carries_nothing_is_no_thought(self, signature):
        block = {"type": "thinking", "thinking": "", "signature": signature}
        again = request(messages=[*HI, {"role": "assistant", "content": [block, text("Yes.")]}])

        assert again.prompt[1] == chat.assistant("Yes.")

    def test_our_own_think_is_meant(self):
        got = asked(think=True, thinking={"type": "disabled"})
        assert isinstance(got.request, GenerateRequest)
        assert (got.request.thinking, got.wish) == (True, "")
        assert request(think="high").thinking == "high"
        template = asked(chat_template_kwargs={"enable_thinking": True})
        assert isinstance(template.request, GenerateRequest)
        assert template.request.thinking is True
        assert template.wish == "chat_template_kwargs.enable_thinking"


class TestTools:
    def test_tools_of_anthropics_are_passed_over_and_named(self):
        others = [
            SEARCH,
            {"type": "bash_20250124", "name": "bash"},
            {"type": "browser_toolset_20260801"},
            {"type": "mcp_toolset", "mcp_server_name": "x"},
        ]
        got = asked(tools=[*others, WEATHER], mcp_servers=[{"type": "url"}], container="c")

        assert isinstance(got.request, GenerateRequest)
        assert [tool.name for tool in got.request.tools] == ["weather"]
        assert set(got.ignored) == {"tools[].type", "mcp_servers", "container"}

    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            (
                {"tools": [SEARCH], "tool_choice": {"type": "tool", "name": "web_search"}},
                "\"tool_choice.name\" 'web_search' cannot be run here.",
            ),
            (
                {"tools": [SEARCH], "tool_choice": {"type": "any"}},
                '"tool_choice" requires a call, and there are no tools.',
            ),
            (
                {"tools": [{"type": "function", "function": WEATHER}]},
                "\"tools[0].type\" must be one of custom, not 'function'.",
            ),
            (
                {"tools": [WEATHER, WEATHER]},
                "\"tools[1].name\" 'weather' is the name of another tool too.",
            ),
        ],
    )
    def test_what_cannot_be_done_with_tools_is_named(self, body, sentence):
        with pytest.raises(InvalidRequest) as caught:
            asked(**body)
        assert str(caught.value) == sentence

    def test_what_anthropics_tools_have_said_is_passed_over(self):
        said = [
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
            text("It rains."),
        ]
        got = asked(messages=[*HI, {"role": "assistant", "content": said}])

        assert isinstance(got.request, GenerateRequest)
        assert got.request.prompt[1] == chat.assistant("It rains.")
        assert got.ignored == ("messages[].content[].type",)

    def test_a_call_without_arguments_is_an_empty_object(self):
        events = streamed(asked())
        blocks = whole(asked())["content"]

        assert blocks[-1]["input"] == {}
        pieces = [
            each["delta"]["partial_json"]
            for each in events
            if each["type"] == "content_block_delta" and each["index"] == 3
        ]
        assert pieces == [""]


class TestWhatMakesThePrompt:
    def test_a_document_may_be_made_of_blocks_and_have_a_title(self):
        source: Json = {"type": "content", "content": [text("One."), text("Two.")]}
        document = {"type": "document", "source": source, "title": "Numbers", "context": "A list."}
        plain = {"type": "document", "title": "T", "source": {"type": "text", "data": "Once."}}

        [message] = request(messages=[{"role": "user", "content": [document, plain]}]).prompt

        assert isinstance(message, chat.Message)
        assert message.text == "Numbers\nA list.\n\nOne.Two.T\nOnce."

    def test_a_document_may_hold_a_picture(self):
        picture = {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}}
        source = {"type": "content", "content": [picture]}

        got = request(
            messages=[{"role": "user", "content": [{"type": "document", "source": source}]}]
        )

        assert got.prompt[0] == chat.Message("user", (Image("https://a.example/b.png"),))

    def test_what_a_search_found(self):
        found = {"type": "search_result", "title": "T", "source": "https://a", "content": "Yes."}
        blocks = found | {"content": [text("Yes.", **MARK)]}

        for each in (found, blocks):
            got = request(messages=[{"role": "user", "content": [each]}])
            assert got.prompt == (chat.user("T\nhttps://a\nYes."),)

    def test_an_answer_that_cites_is_refused(self):
        document = {"type": "document", "source": {"type": "text", "data": "Once."}}
        for enabled in (True, False):
            block = document | {"citations": {"enabled": enabled}}
            body = {"messages": [{"role": "user", "content": [block]}]}
            if enabled:
                with pytest.raises(InvalidRequest, match=r"citations\.enabled"):
                    asked(**body)
            else:
                assert asked(**body).ignored == ()

    def test_a_form_of_the_answer_by_any_of_its_names(self):
        form = {"type": "json_schema", "schema": {"type": "object"}}

        assert request(output_format=form).constraint == JsonSchema({"type": "object"})
        assert request(grammar='root ::= "a"').constraint == Grammar('root ::= "a"', "gbnf")
        with pytest.raises(InvalidRequest, match="Give one of"):
            asked(output_format=form, output_config={"format": form})


class TestEnds:
    def test_a_context_that_is_full_is_no_limit_that_was_asked_for(self):
        end = Finished(FinishReason.MAX_TOKENS, Usage(30, completion_tokens=5))

        assert whole(asked(), Started(30), end)["stop_reason"] == "model_context_window_exceeded"
        assert whole(asked(max_tokens=5), Started(30), end)["stop_reason"] == "max_tokens"

    def test_with_no_tokens_allowed_the_prompt_is_read_and_nothing_said(self):
        quiet = asked(max_tokens=0, **MARK)
        said = (Started(30), TextDelta("a"), Finished(FinishReason.END_OF_TURN, USAGE))

        message = whole(quiet, *said)
        names = [each["type"] for each in streamed(quiet, *said)]

        assert isinstance(quiet.request, GenerateRequest)
        assert quiet.request.max_tokens == 1
        assert (message["content"], message["stop_reason"]) == ([], "max_tokens")
        assert message["usage"]["output_tokens"] == 0
        assert names == ["message_start", "ping", "message_delta", "message_stop"]


def unknown(value: Any, path: str = "$") -> list[str]:
    """The fields of a value that its type in Anthropic's library does not have."""
    if isinstance(value, list):
        return [name for each in value for name in unknown(each, f"{path}[]")]
    if not isinstance(value, BaseModel):
        return []
    names = [f"{path}.{name}" for name in value.model_extra or {}]
    fields = {name: getattr(value, name) for name in type(value).model_fields}
    return names + [
        name for field, each in fields.items() for name in unknown(each, f"{path}.{field}")
    ]


class TestTheLibrarysTypes:
    """There is no schema of Anthropic's but these: strictly, and with no field beside."""

    STREAM: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)

    def test_a_check_that_finds_faults(self):
        faulty = whole(asked()) | {"extra": 1}
        assert unknown(Message.model_validate_json(json.dumps(faulty), strict=True)) == ["$.extra"]
        with pytest.raises(ValueError, match="stop_reason"):
            Message.model_validate_json(json.dumps(faulty | {"stop_reason": "bored"}), strict=True)

    @pytest.mark.parametrize(
        "body", [{}, MARK, {"max_tokens": 0}, {"thinking": {"type": "adaptive"}}]
    )
    @pytest.mark.parametrize("reason", FinishReason)
    def test_every_answer(self, body, reason):
        said = (*SAID[:-1], Finished(reason, USAGE, stop_string="x"))

        message = whole(asked(**body), *said)
        assert unknown(Message.model_validate_json(json.dumps(message), strict=True)) == []
        for event in streamed(asked(**body), *said):
            if event != {"type": "ping"}:  # the library passes over it
                got = self.STREAM.validate_json(json.dumps(event), strict=True)
                assert unknown(got) == []


# What a field may be, where its row's schema does not say how to make one that stands alone.
EXAMPLES: Json = {
    "compaction": {"type": "summarize"},
    "container": "c",
    "fallbacks": [{"model": "other"}],
    "fallback_credit_token": "t",
    "thinking.budget_tokens": 1024,
    "thread": {"id": "t"},
    "output_config.task_budget": {"type": "tokens", "total": 20000},
    "tools[].allowed_callers": ["direct"],
    "tools[].input_examples": [{}],
}


def example(schema: Json) -> Any:
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    made = {"string": "x", "boolean": True, "integer": 1, "number": 1, "object": {"a": 1}}
    return made.get(schema.get("type", ""), [{"a": 1}])


def with_field(name: str, value: Any) -> Json:
    """A body that has one field beside the least there must be."""
    body: Json = {"model": "tiny", "max_tokens": 9, "messages": HI}
    head, _, rest = name.partition(".")
    if not rest:
        return body | {name: value}
    if head in ("thinking", "output_config"):
        return body | {
            head: {"type": "enabled", rest: value} if head == "thinking" else {rest: value}
        }
    if head == "tools[]":
        return body | {"tools": [WEATHER | {rest: value}]}
    document = {"type": "document", "source": {"type": "text", "data": "Once."}}
    if rest.startswith("content[].citations"):
        return body | {
            "messages": [
                {"role": "user", "content": [document | {"citations": {"enabled": value}}]}
            ]
        }
    if rest.startswith("content[]."):
        field = rest.removeprefix("content[].")
        return body | {"messages": [{"role": "user", "content": [text("hi", **{field: value})]}]}
    return body | {"messages": [{"role": "user", "content": "hi", rest: value}]}


@pytest.mark.parametrize("route", [MESSAGES, COUNT_TOKENS], ids=lambda route: route.path)
class TestTheTable:
    def ignored(self, route, body: Json) -> tuple[str, ...]:
        if route is MESSAGES:
            return parse(body).ignored
        return parse_count({name: each for name, each in body.items() if name != "max_tokens"})[1]

    def test_a_field_is_in_it_once(self, route):
        names = [row.name for row in route.rows]
        assert len(names) == len(set(names))

    def test_what_it_calls_ignored_is_named_and_what_it_calls_refused_is_refused(self, route):
        for row in route.rows:
            value = EXAMPLES.get(row.name, example(row.schema))
            if row.honour is Honour.IGNORED:
                assert row.name in self.ignored(route, with_field(row.name, value)), row.name
            elif row.honour is Honour.REFUSED:
                with pytest.raises(InvalidRequest) as caught:
                    self.ignored(route, with_field(row.name, value))
                assert row.name.split(".")[-1] in (caught.value.field or "")

    def test_what_it_calls_supported_is_read(self, route):
        form = {"type": "json_schema", "schema": {"type": "object"}}
        special: Json = {
            "output_format": form,
            "grammar": 'root ::= "a"',
            "cache_control": {"type": "ephemeral"},
            "thinking": {"type": "adaptive"},
            "output_config": {"effort": "low"},
            "tools": [WEATHER],
            "tool_choice": {"type": "auto"},
            "messages": HI,
            "model": "tiny",
            "chat_template_kwargs": {"enable_thinking": True},
            "think": True,
            "system": "x",
            "stop_sequences": ["x"],
            "dry_sequence_breakers": ["x"],
            "keep_alive": "1m",
            "ttl": 60,
        }
        for row in route.rows:
            if row.honour is Honour.SUPPORTED and "." not in row.name:
                value = special.get(row.name, example(row.schema))
                assert row.name not in self.ignored(route, with_field(row.name, value)), row.name

    def test_a_field_that_nobody_knows_is_named(self, route):
        assert self.ignored(route, with_field("surprise", 1)) == ("surprise",)


def test_every_field_of_the_library_has_a_row():
    headers = {"betas", "workspace_id"}
    known = {row.name for row in MESSAGES.rows}
    for params in (
        message_create_params.MessageCreateParamsNonStreaming,
        beta.MessageCreateParamsNonStreaming,
    ):
        assert set(params.__annotations__) - headers <= known


def test_every_route_says_what_it_does():
    assert all(route.summary.endswith(".") for route in ROUTES)
