"""Anthropic's messages as pure functions: bodies in, requests out; events in, events out."""

import base64

import pytest

from models import chat
from models.chat import (
    GenerateRequest,
    Image,
    JsonSchema,
    Message,
    Overflow,
    Reasoning,
    SamplingParams,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from models.errors import ContextOverflow, InvalidRequest, ModelNotFound, ServerBusy
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
from server.fields import Json
from server.formats.anthropic.encoder import Encoder
from server.formats.anthropic.requests import parse, parse_count
from server.wires import ANTHROPIC, wire_at

HI = [{"role": "user", "content": "hi"}]
WEATHER = {"name": "weather", "description": "Tells it.", "input_schema": {"type": "object"}}
TIME = {"name": "time", "input_schema": {"type": "object"}, "strict": True}
PICTURE = base64.b64encode(b"picture").decode()


def asked(**body) -> Asked:
    return parse({"model": "tiny", "max_tokens": 9, "messages": HI} | body)


def request(**body) -> GenerateRequest:
    request = asked(**body).request
    assert isinstance(request, GenerateRequest)
    return request


def conversation(*messages: Json, **body) -> tuple[Message, ...]:
    prompt = request(messages=list(messages), **body).prompt
    assert not isinstance(prompt, str)
    return prompt


def user(*blocks: Json) -> Json:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Json) -> Json:
    return {"role": "assistant", "content": list(blocks)}


def text(text: str) -> Json:
    return {"type": "text", "text": text}


def refusal(**body) -> str:
    with pytest.raises(InvalidRequest) as caught:
        asked(**body)
    return str(caught.value)


class TestRequests:
    def test_the_least_of_a_request(self):
        assert request() == GenerateRequest(model="tiny", prompt=(chat.user("hi"),), max_tokens=9)
        assert not asked().stream
        assert asked().ignored == ()

    def test_how_tokens_are_drawn_and_when_it_ends(self):
        got = request(
            temperature=0.5, top_p=0.9, top_k=7, stop_sequences=["a", "", "b"], max_tokens=10**12
        )

        assert got.sampling == SamplingParams(temperature=0.5, top_p=0.9, top_k=7)
        assert got.stop == ("a", "b")
        assert got.max_tokens == 10**12

    def test_a_prompt_that_is_too_long_is_cut_only_where_that_is_asked_for(self):
        assert request().overflow is Overflow.REFUSE
        assert request(truncation="auto").overflow is Overflow.DROP
        assert request(truncate=True).overflow is Overflow.DROP

    def test_what_every_family_takes_beside_its_own(self):
        got = request(num_ctx=512, keep_alive="1m", seed=3)

        assert (got.context_length, got.keep_alive_seconds, got.sampling.seed) == (512, 60, 3)
        assert request(context_length=256).context_length == 256

    @pytest.mark.parametrize(
        ("effort", "thinking", "level", "wish"),
        [
            (None, None, None, ""),
            ("xhigh", None, "max", "output_config.effort"),
            (None, {"type": "enabled", "budget_tokens": 1024}, True, "thinking"),
            (None, {"type": "between_tools"}, True, "thinking"),
            ("high", {"type": "adaptive"}, "high", "thinking"),
            ("high", {"type": "disabled"}, False, ""),
        ],
    )
    def test_thinking_is_a_wish(self, effort, thinking, level, wish):
        got = asked(output_config={"effort": effort}, thinking=thinking)

        assert isinstance(got.request, GenerateRequest)
        assert got.request.thinking == level
        assert got.wish == wish

    def test_the_form_of_the_answer(self):
        form = {"type": "json_schema", "schema": {"type": "object"}}

        assert request(output_config={"format": form}).constraint == JsonSchema({"type": "object"})

    def test_tools_and_how_they_may_be_called(self):
        got = request(
            tools=[WEATHER, TIME | {"type": "custom"}],
            tool_choice={"type": "tool", "name": "time", "disable_parallel_tool_use": True},
        )

        assert got.tools == (
            Tool("weather", "Tells it.", {"type": "object"}),
            Tool("time", "", {"type": "object"}, strict=True),
        )
        assert got.tool_choice == ToolChoice("required", ("time",), parallel=False)
        modes = {
            kind: request(tools=[TIME], tool_choice={"type": kind}).tool_choice.mode
            for kind in ("auto", "any", "none")
        }
        assert modes == {"auto": "auto", "any": "required", "none": "none"}

    def test_what_has_no_effect_is_named(self):
        cached = {"cache_control": {"type": "ephemeral"}}
        got = asked(
            system=[text("Be brief.") | cached],
            messages=[user(text("hi") | cached)],
            tools=[WEATHER | {"defer_loading": True}, {"type": "web_search_20250305", "name": "s"}],
            metadata={"user_id": "u"},
            service_tier="auto",
            context_management={"edits": []},
            thinking={"type": "adaptive", "display": "omitted"},
        )

        assert set(got.ignored) == {
            "tools[].defer_loading",
            "tools[].type",
            "metadata",
            "service_tier",
            "context_management",
        }
        assert isinstance(got.request, GenerateRequest)
        assert [tool.name for tool in got.request.tools] == ["weather"]

    def test_a_count_is_of_all_that_makes_the_prompt(self):
        got, ignored = parse_count(
            {
                "model": "tiny",
                "system": "Be brief.",
                "messages": HI,
                "tools": [TIME],
                "stream": True,
            }
        )

        assert got.prompt == (chat.system("Be brief."), chat.user("hi"))
        assert [tool.name for tool in got.tools] == ["time"]
        assert ignored == ("stream",)

    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            ({"model": None}, "model is required"),
            ({"model": 3}, '"model" must be a string, not a number.'),
            ({"max_tokens": None}, "max_tokens is required and must be positive"),
            ({"max_tokens": -1}, "max_tokens is required and must be positive"),
            ({"max_tokens": 10**30}, '"max_tokens" must be at most 9223372036854775807.'),
            ({"max_tokens": "9"}, '"max_tokens" must be a whole number, not a string.'),
            ({"messages": None}, "messages is required"),
            ({"messages": []}, "messages is required"),
            ({"messages": {}}, '"messages" must be a list, not an object.'),
            ({"messages": ["hi"]}, '"messages[0]" must be an object, not a string.'),
            ({"system": 3}, '"system" must be a string or a list of blocks, not a number.'),
            (
                {"system": [{"type": "image"}]},
                '"system[0].type" must be one of text, tool_addition, tool_removal,',
            ),
            ({"stop_sequences": [3]}, '"stop_sequences" must be a string or a list of strings,'),
            ({"stream": "yes"}, '"stream" must be true or false, not a string.'),
            ({"temperature": "hot"}, '"temperature" must be a number, not a string.'),
            ({"thinking": True}, '"thinking" must be an object, not true or false.'),
            (
                {"thinking": {"type": "deep"}},
                '"thinking.type" must be one of enabled, adaptive, between_tools, disabled,',
            ),
            (
                {"output_config": {"effort": "huge"}},
                '"output_config.effort" must be one of low, medium, high, xhigh, max,',
            ),
            (
                {"output_config": {"format": {"type": "xml"}}},
                "\"output_config.format.type\" must be one of json_schema, not 'xml'.",
            ),
            (
                {"output_config": {"format": {"type": "json_schema"}}},
                '"output_config.format.schema" is missing.',
            ),
            ({"tools": [{"name": "t"}]}, '"tools[0].input_schema" is missing.'),
            ({"tools": [{"input_schema": {}}]}, '"tools[0].name" is missing.'),
            ({"tool_choice": "auto"}, '"tool_choice" must be an object, not a string.'),
            ({"tool_choice": {"type": "some"}}, '"tool_choice.type" must be one of auto, any,'),
            (
                {"tools": [TIME], "tool_choice": {"type": "tool", "name": "x"}},
                "\"tool_choice.name\" 'x' is none of the tools.",
            ),
            (
                {"tool_choice": {"type": "any"}},
                '"tool_choice" requires a call, and there are no tools.',
            ),
        ],
    )
    def test_what_is_wrong_is_named(self, body, sentence):
        assert refusal(**body).startswith(sentence)


class TestConversations:
    def test_a_line_for_anthropics_books_is_no_part_of_the_prompt(self):
        """With it nothing would be found in a prompt cache: it is another in each request."""
        said: list[object] = []
        for nonce in ("a1b2", "c3d4"):
            line = f"x-anthropic-billing-header: cc_version=2.1.332; cch={nonce};"
            said += [
                conversation(*HI, system=[text(line), text("Be brief.")]),
                conversation(*HI, system=f"{line}\n\nBe brief."),
                conversation(*HI, system=[text(f"{line}\nBe brief.")]),
            ]
        plain = conversation(*HI, system="Be brief.")
        assert said == [plain] * 6

        kept = "Never say x-anthropic-billing-header: it is a secret."
        assert conversation(*HI, system=kept) == (chat.system(kept), *conversation(*HI))
        asked = {"role": "user", "content": "x-anthropic-billing-header: what is it?"}
        assert conversation(asked) == (chat.user("x-anthropic-billing-header: what is it?"),)

    def test_a_system_text_comes_first_and_may_come_again(self):
        later = {"role": "system", "content": [text("Be polite.")]}

        assert conversation(*HI, later, system=[text("Be brief."), text(" Be kind.")]) == (
            Message("system", (Text("Be brief."), Text(" Be kind."))),
            chat.user("hi"),
            chat.system("Be polite."),
        )

    def test_neighbours_of_one_role_are_one_message(self):
        said = conversation(
            {"role": "assistant", "content": "Hello."},
            user(text("How "), text("are you?")),
            {"role": "user", "content": "Well?"},
        )

        assert said == (
            chat.assistant("Hello."),
            Message("user", (Text("How "), Text("are you?"), Text("\n"), Text("Well?"))),
        )

    def test_an_assistant_may_have_had_nothing_to_say(self):
        for nothing in ("", [], [text("")]):
            silent = {"role": "assistant", "content": nothing}
            assert conversation(*HI, silent, *HI)[0].text == "hi\nhi"

    def test_a_tool_turn_comes_back(self):
        call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Zürich"}}
        thought = {"type": "thinking", "thinking": "Hm.", "signature": "x"}
        hidden = {"type": "redacted_thinking", "data": "xyz"}
        result = {"type": "tool_result", "tool_use_id": "toolu_1"}

        said = conversation(
            *HI,
            assistant(thought, hidden, text("I look."), call, call | {"id": "toolu_2"}),
            user(
                result | {"content": "sunny"},
                result | {"content": [text("no"), text("")], "is_error": True},
                text("And?"),
            ),
        )

        city = '{"city": "Zürich"}'
        assert said[1:] == (
            Message(
                "assistant",
                (
                    Reasoning("Hm."),
                    Text("I look."),
                    ToolCall("toolu_1", "weather", city),
                    ToolCall("toolu_2", "weather", city),
                ),
            ),
            Message("tool", (ToolResult("toolu_1", (Text("sunny"),), "weather"),)),
            Message("tool", (ToolResult("toolu_1", (Text("no"),), "weather", is_error=True),)),
            chat.user("And?"),
        )

    def test_a_result_may_be_nothing_a_picture_or_the_name_of_a_tool(self):
        result = {"type": "tool_result", "tool_use_id": "toolu_1"}
        source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
        blocks = [
            {"type": "image", "source": source},
            {"type": "tool_reference", "tool_name": "time"},
        ]

        said = conversation(user(result, result | {"content": blocks}))

        assert said == (
            Message("tool", (ToolResult("toolu_1", ()),)),
            Message("tool", (ToolResult("toolu_1", (Image(b"picture"), Text("time"))),)),
        )

    def test_pictures_come_in_base64_or_by_their_address(self):
        sources = [
            {"type": "base64", "media_type": "image/jpeg", "data": PICTURE},
            {"type": "url", "url": "https://example.org/a.png"},
        ]

        [message] = conversation(user(*({"type": "image", "source": each} for each in sources)))

        assert message.parts == (Image(b"picture"), Image("https://example.org/a.png"))

    def test_a_document_may_be_plain_text(self):
        source = {"type": "text", "media_type": "text/plain", "data": "Once."}

        assert conversation(user({"type": "document", "source": source})) == (chat.user("Once."),)

    def test_what_only_anthropics_models_understand_is_passed_over_and_named(self):
        tool = {"type": "tool_reference", "name": "time"}
        hidden = assistant({"type": "redacted_thinking", "data": "xyz"})
        change = {"role": "system", "content": [{"type": "tool_addition", "tool": tool}]}

        got = asked(messages=[*HI, hidden, change])

        assert isinstance(got.request, GenerateRequest)
        assert got.request.prompt == (chat.user("hi"),)
        assert got.ignored == ("messages[].content[].type",)

    @pytest.mark.parametrize(
        ("message", "sentence"),
        [
            ({"content": "hi"}, '"messages[0].role" is missing.'),
            ({"role": "tool", "content": "hi"}, '"messages[0].role" must be one of user,'),
            ({"role": "user"}, '"messages[0].content" is missing.'),
            ({"role": "user", "content": 3}, '"messages[0].content" must be a string or a list of'),
            ({"role": "user", "content": ""}, '"messages[0].content" must not be empty.'),
            ({"role": "user", "content": []}, '"messages[0].content" must not be empty.'),
            ({"role": "assistant", "content": ""}, '"messages" must say something.'),
            (user(text("")), '"messages[0].content[0].text" must not be empty.'),
            (user({"text": "hi"}), '"messages[0].content[0].type" is missing.'),
            (
                user({"type": "hologram"}),
                '"messages[0].content[0].type" must be one of text, image, document,',
            ),
            (
                user({"type": "tool_use"}),
                '"messages[0].content[0].type" must be one of text, image, document,',
            ),
            (
                assistant({"type": "tool_use", "id": "a", "name": "b"}),
                '"messages[0].content[0].input" is missing.',
            ),
            (
                assistant({"type": "tool_use", "id": "a", "name": "b", "input": "{}"}),
                '"messages[0].content[0].input" must be an object, not a string.',
            ),
            (user({"type": "tool_result"}), '"messages[0].content[0].tool_use_id" is missing.'),
            (user({"type": "image"}), '"messages[0].content[0].source" is missing.'),
            (
                user({"type": "document", "source": {"type": "base64", "data": PICTURE}}),
                '"messages[0].content[0].source.type" must be one of text, content, not',
            ),
            (
                user({"type": "image", "source": {"type": "file", "file_id": "f"}}),
                "\"messages[0].content[0].source.type\" must be one of base64, url, not 'file'.",
            ),
            (
                user({"type": "image", "source": {"type": "base64", "data": "http://a/b"}}),
                "invalid image input",
            ),
            (
                user({"type": "image", "source": {"type": "url", "url": "file:///etc/passwd"}}),
                '"messages[0].content[0].source.url" must be the picture itself, or',
            ),
        ],
    )
    def test_what_is_wrong_is_named(self, message, sentence):
        assert refusal(messages=[message]).startswith(sentence)


def streamed(*events: Event) -> list[Json]:
    encoder = Encoder("tiny")
    return [each for event in events for each in encoder.encode(event)]


class TestAnswers:
    def test_every_event_of_a_stream(self):
        usage = Usage(30, cached_tokens=20, completion_tokens=9, reasoning_tokens=3)

        start, *events = streamed(
            Started(30),
            ReasoningDelta("Hm."),
            TextDelta("I "),
            TextDelta("look."),
            ToolCallDelta(0, id="toolu_1", name="weather"),
            ToolCallDelta(0, '{"city":'),
            ToolCallDelta(0, '"Bern"}'),
            Finished(FinishReason.TOOL_CALLS, usage),
        )

        message = start["message"]
        assert message.pop("id").startswith("msg_")
        assert start == {
            "type": "message_start",
            "message": {
                "type": "message",
                "role": "assistant",
                "model": "tiny",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {
                    "input_tokens": 30,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0,
                    "cache_creation": {
                        "ephemeral_5m_input_tokens": 0,
                        "ephemeral_1h_input_tokens": 0,
                    },
                    "output_tokens": 0,
                    "output_tokens_details": {"thinking_tokens": 0},
                    "service_tier": "standard",
                },
            },
        }

        def begin(index: int, **block: object) -> Json:
            return {"type": "content_block_start", "index": index, "content_block": block}

        def delta(index: int, **delta: str) -> Json:
            return {"type": "content_block_delta", "index": index, "delta": delta}

        def stop(index: int) -> Json:
            return {"type": "content_block_stop", "index": index}

        assert events == [
            {"type": "ping"},
            begin(0, type="thinking", thinking="", signature=""),
            delta(0, type="thinking_delta", thinking="Hm."),
            delta(0, type="signature_delta", signature="inglenook"),
            stop(0),
            begin(1, type="text", text=""),
            delta(1, type="text_delta", text="I "),
            delta(1, type="text_delta", text="look."),
            stop(1),
            begin(2, type="tool_use", id="toolu_1", name="weather", input={}),
            delta(2, type="input_json_delta", partial_json=""),
            delta(2, type="input_json_delta", partial_json='{"city":'),
            delta(2, type="input_json_delta", partial_json='"Bern"}'),
            stop(2),
            {
                "type": "message_delta",
                "delta": {"stop_reason": "tool_use", "stop_sequence": None},
                "usage": {
                    "input_tokens": 30,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0,
                    "output_tokens": 9,
                    "output_tokens_details": {"thinking_tokens": 3},
                },
            },
            {"type": "message_stop"},
        ]

    def test_two_calls_are_two_blocks_and_each_has_an_id(self):
        events = streamed(
            Started(1),
            ToolCallDelta(0, "{}", name="time"),
            ToolCallDelta(1, "{}", name="time"),
            Finished(FinishReason.TOOL_CALLS),
        )

        blocks = [each["content_block"] for each in events if "content_block" in each]
        assert all(block["id"].startswith("toolu_") for block in blocks)
        assert blocks[0]["id"] != blocks[1]["id"]

    @pytest.mark.parametrize(
        ("end", "reason", "sequence"),
        [
            (Finished(FinishReason.END_OF_TURN), "end_turn", None),
            (Finished(FinishReason.MAX_TOKENS), "max_tokens", None),
            (Finished(FinishReason.STOP_STRING, stop_string="\n\n"), "stop_sequence", "\n\n"),
            (Finished(FinishReason.TOOL_CALLS), "tool_use", None),
            (Finished(FinishReason.CANCELLED), "end_turn", None),
        ],
    )
    def test_why_it_ended(self, end, reason, sequence):
        said = {"stop_reason": reason, "stop_sequence": sequence}

        *_, last, _ = streamed(Started(1), end)
        assert last["delta"] == said
        assert Encoder("tiny").whole(Reply(), end).items() >= said.items()

    def test_a_stream_that_is_cancelled_before_it_starts_is_whole(self):
        names = [each["type"] for each in streamed(Finished(FinishReason.CANCELLED))]

        assert names == ["message_start", "ping", "message_delta", "message_stop"]

    def test_a_message_that_says_nothing_has_no_blocks(self):
        assert Encoder("tiny").whole(Reply(), Finished(FinishReason.END_OF_TURN))["content"] == []

    def test_arguments_that_are_no_object_do_not_end_an_answer(self):
        reply = Reply()
        reply.take(ToolCallDelta(0, "{oops", "a", "t"))

        [block] = Encoder("tiny").whole(reply, Finished(FinishReason.TOOL_CALLS))["content"]

        assert block["input"] == {"": "{oops"}


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (405, "not_found_error"),
            (408, "invalid_request_error"),
            (413, "request_too_large"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (503, "overloaded_error"),
            (529, "overloaded_error"),
        ],
    )
    def test_each_status_has_its_type(self, status, kind):
        body, content_type = ANTHROPIC.unknown_path(status, "page not found", "GET", "/v1/x")

        assert content_type == "application/json"
        assert f'"type":"{kind}"'.encode() in body

    def test_errors_say_what_agents_look_for(self):
        for error, message in {
            ModelNotFound("m"): "model 'm' not found",
            ContextOverflow(
                prompt_tokens=300, context_length=200
            ): "prompt is too long: 300 tokens > 200 maximum",
        }.items():
            assert ANTHROPIC.error_body(error)["error"]["message"] == message
        assert ANTHROPIC.error_body(ServerBusy("Full."))["error"]["type"] == "overloaded_error"

    def test_an_error_in_a_stream_is_an_event_of_that_name(self):
        frame = ANTHROPIC.frame(ANTHROPIC.error_body(InvalidRequest("No.")))

        assert frame.startswith(b'event: error\ndata: {"type":"error","error":{')

    @pytest.mark.parametrize(
        "path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/messages/x"]
    )
    def test_the_wire_has_all_below_its_path(self, path):
        assert wire_at(path) is ANTHROPIC
        assert wire_at("/v1/messagesx").name == "openai"
