"""OpenAI's Responses as pure functions: bodies in, requests out; events in, events out."""

import base64
from collections.abc import Sequence
from typing import Any

import pytest

from models import chat
from models.chat import (
    GenerateRequest,
    Grammar,
    Image,
    JsonObject,
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
from models.errors import InvalidRequest, ModelCrashed, ServerBusy
from models.events import (
    Event,
    Finished,
    FinishReason,
    Progress,
    ReasoningDelta,
    Stage,
    Started,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from models.reply import Reply
from server.fields import Json
from server.formats.openai_responses.encoder import Encoder
from server.formats.openai_responses.requests import Kept, Wanted, draft, read
from server.formats.openai_responses.sealed import seal, unseal
from tests.server.openai_schemas import (
    faults,
    faults_of_event,
    faults_of_response,
    needs_schemas,
)

PICTURE = base64.b64encode(b"picture").decode()
WEATHER: Json = {
    "type": "function",
    "name": "weather",
    "description": "Tells it.",
    "parameters": {"type": "object"},
    "strict": False,
}
FILES: Json = {
    "type": "namespace",
    "name": "files",
    "description": "Files.",
    "tools": [{"type": "function", "name": "read", "parameters": {"type": "object"}}],
}
PLAIN = {"type": "text"}
PATCH: Json = {"type": "custom", "name": "patch", "description": "Changes files."}
SEARCH: Json = {"type": "web_search", "external_web_access": False}


def wanted(before: Sequence[Json] = (), referred: dict[str, Json] | None = None, **body) -> Wanted:
    return read(draft({"model": "tiny", "input": "hi"} | body), Kept(before, referred))


def request(**body) -> GenerateRequest:
    return wanted(**body).request


def conversation(*items: Json, **body) -> tuple[Message, ...]:
    prompt = request(input=list(items), **body).prompt
    assert not isinstance(prompt, str)
    return prompt


def message(role: str, *parts: Json | str) -> Json:
    content = [
        {"type": "output_text" if role == "assistant" else "input_text", "text": part}
        if isinstance(part, str)
        else part
        for part in parts
    ]
    return {"type": "message", "role": role, "content": content}


def call(id: str, name: str, arguments: str = "{}", **more: str) -> Json:
    return {"type": "function_call", "call_id": id, "name": name, "arguments": arguments} | more


def output(id: str, output: Any) -> Json:
    return {"type": "function_call_output", "call_id": id, "output": output}


def refusal(**body) -> str:
    with pytest.raises(InvalidRequest) as caught:
        wanted(**body)
    return str(caught.value)


class TestRequests:
    def test_the_least_of_a_request(self):
        got = wanted()

        assert got.request == GenerateRequest(model="tiny", prompt=(chat.user("hi"),))
        assert (got.stream, got.store, got.background, got.ignored) == (False, True, False, ())

    def test_how_tokens_are_drawn_and_when_it_ends(self):
        got = request(temperature=0.5, top_p=0.9, top_k=7, max_output_tokens=9, stop=["a"])

        assert got.sampling == SamplingParams(temperature=0.5, top_p=0.9, top_k=7)
        assert (got.max_tokens, got.stop) == (9, ("a",))

    def test_instructions_come_first(self):
        got = conversation(message("developer", "Be kind."), instructions="Be brief.")

        assert got == (chat.system("Be brief."), chat.system("Be kind."))

    def test_the_form_of_the_answer(self):
        schema = {"type": "json_schema", "name": "a", "schema": {"type": "object"}, "strict": True}

        assert request(text={"format": schema}).constraint == JsonSchema({"type": "object"})
        assert request(text={"format": {"type": "json_object"}}).constraint == JsonObject()
        assert request(text={"format": {"type": "text"}}).constraint is None
        assert request(grammar="root ::= [a]").constraint == Grammar("root ::= [a]", "gbnf")

    @pytest.mark.parametrize(
        ("body", "thinking", "wish"),
        [
            ({}, None, ""),
            ({"reasoning": {"effort": "high", "summary": "auto"}}, "high", "reasoning.effort"),
            ({"reasoning": {"effort": "none"}}, False, "reasoning.effort"),
            ({"reasoning": {"summary": "auto"}}, None, ""),
            ({"think": True, "reasoning": {"effort": "low"}}, True, ""),
            (
                {"chat_template_kwargs": {"enable_thinking": False}},
                False,
                "chat_template_kwargs.enable_thinking",
            ),
        ],
    )
    def test_thinking(self, body, thinking, wish):
        got = wanted(**body)

        assert (got.request.thinking, got.wish) == (thinking, wish)
        assert got.ignored == ()

    def test_odds_are_told_where_they_are_included(self):
        odds = ["message.output_text.logprobs"]

        assert request().top_logprobs is None
        assert request(include=odds).top_logprobs == 0
        assert request(include=odds, top_logprobs=3).top_logprobs == 3

    def test_what_every_family_takes_beside_its_own(self):
        got = request(num_ctx=512, keep_alive="1m", seed=3, truncation="auto")

        assert (got.context_length, got.keep_alive_seconds, got.sampling.seed) == (512, 60, 3)
        assert got.overflow is Overflow.DROP

    def test_what_has_no_effect_is_named(self):
        got = wanted(
            input=[
                message("user", {"type": "input_text", "text": "hi"}),
                {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            ],
            tools=[SEARCH, WEATHER | {"defer_loading": True}],
            include=["web_search_call.results"],
            prompt_cache_key="k",
            client_metadata={"a": "b"},
            service_tier="flex",
            text={"verbosity": "low"},
            stream_options={"include_obfuscation": False},
            context_management=[{"type": "compaction"}],
            unheard_of=1,
        )

        assert set(got.ignored) == {
            "input[].type",
            "tools[].type",
            "tools[].defer_loading",
            "include",
            "prompt_cache_key",
            "client_metadata",
            "service_tier",
            "text.verbosity",
            "stream_options.include_obfuscation",
            "context_management",
            "unheard_of",
        }
        assert [tool.name for tool in got.request.tools] == ["weather"]

    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            ({"model": None}, "model is required"),
            ({"input": None}, '"input" is missing.'),
            ({"input": []}, '"input" is missing.'),
            ({"input": 5}, '"input" must be a string or a list of items, not a number.'),
            ({"input": [{"role": "tool", "content": "x"}]}, '"input[0].role" must be one of user,'),
            ({"input": [{"role": "user"}]}, '"input[0].content" is missing.'),
            ({"input": [{"type": "thing"}]}, '"input[0].type" must be one of message, reasoning,'),
            ({"input": [{"id": "msg_1"}]}, "Item with id 'msg_1' not found."),
            (
                {"input": [message("user", {"type": "input_file", "file_id": "f"})]},
                "\"input[0].content[0].type\" 'input_file' is not supported:",
            ),
            (
                {"input": [message("user", {"type": "input_image", "file_id": "f"})]},
                '"input[0].content[0].image_url" is missing',
            ),
            (
                {"input": [{"type": "compaction", "encrypted_content": "x"}]},
                '"input[0].encrypted_content" is none of ours',
            ),
            ({"prompt": {"id": "pmpt_1"}}, '"prompt" is not supported'),
            ({"moderation": {"model": "m"}}, '"moderation" is not supported'),
            ({"max_output_tokens": 0}, '"max_output_tokens" must be at least 1.'),
            ({"temperature": 2.5}, '"temperature" must be at most 2.'),
            ({"top_logprobs": 21}, '"top_logprobs" must be at most 20.'),
            ({"truncation": "some"}, "\"truncation\" must be 'auto' or 'disabled'"),
            ({"reasoning": {"effort": "huge"}}, '"reasoning.effort" must be one of none,'),
            ({"reasoning": {"summary": "long"}}, '"reasoning.summary" must be one of auto,'),
            ({"text": {"format": {"type": "xml"}}}, "\"text.format.type\" must be 'text',"),
            (
                {"text": {"format": {"type": "json_schema", "name": "a"}}},
                '"text.format.schema" is missing.',
            ),
            ({"text": {"verbosity": "loud"}}, '"text.verbosity" must be one of low,'),
            ({"include": ["thoughts"]}, '"include" must be of reasoning.encrypted_content,'),
            ({"metadata": {"a": 1}}, '"metadata" must be texts of 512 characters'),
            ({"metadata": dict.fromkeys(map(str, range(17)), "")}, '"metadata" may have 16'),
            ({"background": True, "store": False}, '"background" needs "store" to be true.'),
            (
                {"previous_response_id": "resp_1", "conversation": "conv_1"},
                'Give one of "previous_response_id" and "conversation".',
            ),
        ],
    )
    def test_what_is_wrong_is_named(self, body, sentence):
        assert refusal(**body).startswith(sentence)


class TestTools:
    def test_functions_groups_and_tools_that_take_text(self):
        got = wanted(tools=[WEATHER, FILES, PATCH, SEARCH])

        weather, files, patch = got.request.tools
        assert weather == Tool("weather", "Tells it.", {"type": "object"})
        assert files == Tool("files.read", "", {"type": "object"})
        assert patch.name == "patch"
        assert patch.parameters and patch.parameters["required"] == ["input"]
        assert [tool["type"] for tool in got.head["tools"]] == ["function", "namespace", "custom"]

    @pytest.mark.parametrize(
        ("choice", "read"),
        [
            ("none", ToolChoice("none")),
            ("required", ToolChoice("required")),
            ({"type": "function", "name": "weather"}, ToolChoice("required", ("weather",))),
            ({"type": "function", "name": "read"}, ToolChoice("required", ("files.read",))),
            ({"type": "custom", "name": "patch"}, ToolChoice("required", ("patch",))),
            (
                {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [{"type": "function", "name": "weather"}, {"type": "web_search"}],
                },
                ToolChoice("auto", ("weather",)),
            ),
            (
                {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]},
                ToolChoice("none"),
            ),
        ],
    )
    def test_which_may_or_must_be_called(self, choice, read):
        assert request(tools=[WEATHER, FILES, PATCH], tool_choice=choice).tool_choice == read

    def test_what_is_said_to_a_tool_may_have_to_match(self):
        rule = {"type": "grammar", "syntax": "regex", "definition": "a|b+"}
        got = wanted(tools=[PATCH | {"format": rule}, PATCH | {"name": "b", "format": PLAIN}])

        ruled, free = got.request.tools
        assert ruled.strict
        assert ruled.parameters
        said = {"type": "string", "pattern": "^(?:a|b+)$"}
        assert ruled.parameters["properties"] == {"input": said}
        assert free.parameters
        assert free.parameters["properties"] == {"input": {"type": "string"}}
        assert got.ignored == ()
        assert got.head["tools"][0]["format"] == rule

    @pytest.mark.parametrize(
        ("form", "sentence"),
        [
            ({}, '"tools[0].format.type" is missing.'),
            ({"type": "xml"}, "\"tools[0].format.type\" must be 'text' or 'grammar'"),
            ({"type": "grammar"}, '"tools[0].format.syntax" is missing.'),
            ({"type": "grammar", "syntax": "regex"}, '"tools[0].format.definition" is missing.'),
            (
                {"type": "grammar", "syntax": "gbnf", "definition": "a"},
                "\"tools[0].format.syntax\" must be 'lark' or 'regex'",
            ),
            (
                {"type": "grammar", "syntax": "lark", "definition": 'start: a\na: "(" a ")"'},
                "The grammar cannot be obeyed: line 2: 'a' leads back to itself",
            ),
        ],
    )
    def test_what_cannot_be_kept_to_is_refused(self, form, sentence):
        assert refusal(tools=[PATCH | {"format": form}]).startswith(sentence)

    def test_one_call_at_a_time(self):
        got = request(tools=[WEATHER], parallel_tool_calls=False)

        assert got.tool_choice == ToolChoice(parallel=False)

    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            ({"tool_choice": "required"}, '"tool_choice" requires a call, and there are no tools'),
            (
                {"tools": [SEARCH], "tool_choice": "required"},
                '"tool_choice" requires a call, and there are no tools',
            ),
            (
                {"tools": [SEARCH, WEATHER], "tool_choice": {"type": "web_search_preview"}},
                "\"tool_choice.type\" 'web_search_preview' is not supported",
            ),
            (
                {"tools": [WEATHER], "tool_choice": {"type": "function", "name": "x"}},
                "\"tool_choice\" names 'x', which is none of the tools.",
            ),
            ({"tools": [WEATHER, WEATHER]}, "\"tools[1].name\" 'weather' is there twice."),
            ({"tools": [{"type": "function"}]}, '"tools[0].name" is missing.'),
        ],
    )
    def test_what_is_wrong_is_named(self, body, sentence):
        assert refusal(**body).startswith(sentence)


class TestConversations:
    def test_every_role_and_kind_of_part(self):
        picture = {"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE}"}

        assert conversation(
            {"role": "system", "content": "Be brief."},
            message("user", "What is this?", picture),
            message("assistant", {"type": "refusal", "refusal": "I cannot say."}),
        ) == (
            chat.system("Be brief."),
            Message("user", (Text("What is this?"), Image(b"picture"))),
            chat.assistant("I cannot say."),
        )

    def test_a_thought_what_is_said_and_the_calls_are_one_message(self):
        thought = {"type": "reasoning", "summary": [], "content": [
            {"type": "reasoning_text", "text": "Hm."}
        ]}  # fmt: skip

        assert conversation(
            {"role": "user", "content": "Weather?"},
            thought,
            message("assistant", "I look."),
            call("call_1", "weather", '{"city": "Bern"}'),
            call("call_2", "read", namespace="files"),
            output("call_1", "Rain."),
            output("call_2", [{"type": "input_text", "text": "a file"}]),
            thought,
            message("assistant", "It rains."),
        ) == (
            chat.user("Weather?"),
            Message(
                "assistant",
                (
                    Reasoning("Hm."),
                    Text("I look."),
                    ToolCall("call_1", "weather", '{"city": "Bern"}'),
                    ToolCall("call_2", "files.read", "{}"),
                ),
            ),
            Message("tool", (ToolResult("call_1", (Text("Rain."),), "weather"),)),
            Message("tool", (ToolResult("call_2", (Text("a file"),), "files.read"),)),
            Message("assistant", (Reasoning("Hm."), Text("It rains."))),
        )

    def test_a_tool_that_takes_text(self):
        called = {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": "+ a"}
        result = {"type": "custom_tool_call_output", "call_id": "c", "output": "done"}

        assert conversation(called, result) == (
            Message("assistant", (ToolCall("c", "patch", '{"input": "+ a"}'),)),
            Message("tool", (ToolResult("c", (Text("done"),), "patch"),)),
        )

    def test_thoughts_come_back_sealed_or_as_a_summary(self):
        sealed = {"type": "reasoning", "summary": [], "encrypted_content": seal("Hm, so.")}
        summary = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
        another = {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}
        end = message("assistant", "Yes.")

        assert conversation(sealed, end)[0].parts[0] == Reasoning("Hm, so.")
        assert conversation(summary, end)[0].parts[0] == Reasoning("Hm.")
        assert conversation(another, end)[0].parts == (Text("Yes."),)
        assert wanted(input=[another, end]).ignored == ("input[].encrypted_content",)

    def test_a_compaction_stands_for_what_was_said(self):
        compact = {"type": "compaction", "encrypted_content": seal("We spoke of dogs.")}

        assert conversation(compact, message("user", "And cats?")) == (
            chat.assistant("We spoke of dogs."),
            chat.user("And cats?"),
        )

    def test_a_call_that_was_cut_off_does_not_end_a_chain(self):
        cut = call("call_1", "weather", '{"ci') | {"status": "incomplete"}

        got = wanted(before=[message("user", "Weather?"), cut], input="Go on.")

        assert got.request.prompt == (chat.user("Weather?"), chat.user("Go on."))

    def test_what_was_said_before_and_what_is_referred_to(self):
        got = wanted(
            before=[message("user", "hi") | {"id": "msg_1"}, message("assistant", "Hello.")],
            referred={"msg_9": message("user", "kept") | {"id": "msg_9"}},
            input=[{"type": "item_reference", "id": "msg_9"}],
        )

        assert got.request.prompt == (chat.user("hi"), chat.assistant("Hello."), chat.user("kept"))
        assert [item["id"] for item in got.items] == ["msg_9"]

    @needs_schemas
    def test_items_are_kept_as_they_are_published(self):
        got = wanted(
            input=[
                {"role": "user", "content": "hi"},
                message("developer", "Be kind."),
                message("user", {"type": "input_image", "image_url": "https://a/b.png"}),
                {"type": "reasoning", "summary": []},
                message("assistant", "Hello.") | {"id": "msg_1", "phase": "final_answer"},
                call("call_1", "weather"),
                output("call_1", "Rain."),
                output("call_1", [{"type": "input_text", "text": "Rain."}]),
            ]
        )

        assert len(got.items) == 8
        assert got.items[4]["id"] == "msg_1"
        for item in got.items:
            assert faults("openai", "ItemResource", item) == []
            assert faults("open-responses", "ItemField", item) == []

    def test_a_text_that_was_sealed_is_read_again(self):
        assert unseal(seal("Hm. 🐕")) == "Hm. 🐕"
        assert unseal(seal("Hm.")[:-8]) is None
        assert unseal("inglenook1.!") is None


H = TokenLogprob(5, b"H", -0.5, (TokenLogprob(5, b"H", -0.5), TokenLogprob(6, b"\xe2", -1.5)))
RECORDED: list[Event] = [
    Progress(Stage.LOADING, 1, 2),
    Started(26),
    ReasoningDelta("Let me "),
    ReasoningDelta("see."),
    TextDelta("H", (H,)),
    TextDelta("i "),
    ToolCallDelta(0, id="call_a", name="weather"),
    ToolCallDelta(0, '{"city":'),
    ToolCallDelta(0, '"Bern"}'),
    ToolCallDelta(1, "{}", id="call_b", name="files.read"),
    Finished(FinishReason.TOOL_CALLS, Usage(26, 20, 9, 4)),
]


def stream(*events: Event, **body) -> list[Json]:
    encoder = Encoder(wanted(tools=[WEATHER, FILES, PATCH], **body))
    return [chunk for event in events for chunk in encoder.encode(event)]


def whole(*events: Event, **body) -> Json:
    reply = Reply()
    for event in events:
        reply.take(event)
    assert reply.finished
    encoder = Encoder(wanted(tools=[WEATHER, FILES, PATCH], **body))
    return encoder.whole(reply, reply.finished)


def without_ids(value: Any) -> Any:
    match value:
        case dict():
            changing = {"id", "item_id", "created_at", "completed_at"}
            return {k: without_ids(v) for k, v in value.items() if k not in changing}
        case list():
            return [without_ids(each) for each in value]
        case _:
            return value


class TestAnswers:
    def test_every_event_in_its_order(self):
        said = stream(*RECORDED)

        assert [each["type"].removeprefix("response.") for each in said] == [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "reasoning_text.delta",
            "reasoning_text.delta",
            "reasoning_text.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "completed",
        ]
        assert [each["sequence_number"] for each in said] == list(range(len(said)))

    def test_the_answer_that_is_no_stream_is_the_end_of_the_one_that_is(self):
        assert without_ids(whole(*RECORDED)) == without_ids(stream(*RECORDED)[-1]["response"])

    def test_what_the_items_hold(self):
        thought, said, first, second = whole(*RECORDED)["output"]

        assert thought["content"] == [{"type": "reasoning_text", "text": "Let me see."}]
        assert said["content"][0]["text"] == "Hi "
        assert said["content"][0]["logprobs"][0]["token"] == "H"
        assert (first["call_id"], first["name"]) == ("call_a", "weather")
        assert first["arguments"] == '{"city":"Bern"}'
        assert (second["name"], second["namespace"]) == ("read", "files")
        assert whole(*RECORDED)["usage"] == {
            "input_tokens": 26,
            "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 0},
            "output_tokens": 9,
            "output_tokens_details": {"reasoning_tokens": 4},
            "total_tokens": 35,
        }

    def test_ids_of_items_are_the_same_from_their_beginning_to_their_end(self):
        said = stream(*RECORDED)
        ids = [item["id"] for item in said[-1]["response"]["output"]]

        for each in said[2:-1]:
            id = each["item"]["id"] if "item" in each else each["item_id"]
            assert id == ids[each["output_index"]]

    @needs_schemas
    @pytest.mark.parametrize(
        "body", [{}, {"reasoning": {"effort": "low", "summary": "auto"}}, {"metadata": {"a": "b"}}]
    )
    def test_every_event_is_as_it_is_published(self, body):
        # Open Responses has no groups of tools, nor tools that take text.
        for event in stream(*RECORDED, **body):
            assert faults_of_event(event, ours_alone=True) == []
        plain = [event for event in RECORDED if getattr(event, "index", 0) == 0]
        encoder = Encoder(wanted(tools=[WEATHER], **body))
        for told in [chunk for event in plain for chunk in encoder.encode(event)]:
            assert faults_of_event(told) == []

    @needs_schemas
    def test_every_body_is_as_it_is_published(self):
        encoder = Encoder(wanted(tools=[WEATHER], reasoning={"effort": "low"}, conversation="c"))
        reply = Reply()
        for event in RECORDED[:6]:
            reply.take(event)

        assert faults_of_response(encoder.whole(reply, Finished(FinishReason.MAX_TOKENS))) == []
        assert faults_of_response(whole(*RECORDED), ours_alone=True) == []

    def test_who_asks_for_a_summary_is_told_the_thought_as_one(self):
        body = {"reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"]}
        said = stream(*RECORDED, **body)
        thought = said[-1]["response"]["output"][0]

        assert [each["delta"] for each in said if each["type"].endswith("summary_text.delta")] == [
            "Let me ",
            "see.",
        ]
        assert thought["summary"] == [{"type": "summary_text", "text": "Let me see."}]
        assert unseal(thought["encrypted_content"]) == "Let me see."
        assert conversation(thought, message("assistant", "Hi"))[0].parts[0] == Reasoning(
            "Let me see."
        )

    def test_a_tool_that_takes_text_is_called_with_text(self):
        said = stream(
            Started(1),
            ToolCallDelta(0, '{"input": "+', id="c", name="patch"),
            ToolCallDelta(0, ' a"}'),
            Finished(FinishReason.TOOL_CALLS),
        )

        assert [each["type"] for each in said[2:-1]] == [
            "response.output_item.added",
            "response.custom_tool_call_input.delta",
            "response.custom_tool_call_input.done",
            "response.output_item.done",
        ]
        item = said[-1]["response"]["output"][0]
        assert (item["type"], item["call_id"], item["input"]) == ("custom_tool_call", "c", "+ a")

    def test_an_answer_that_is_cut_is_incomplete(self):
        *_, last = stream(Started(1), TextDelta("Hi"), Finished(FinishReason.MAX_TOKENS))

        assert last["type"] == "response.incomplete"
        assert last["response"]["status"] == "incomplete"
        assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
        assert last["response"]["output"][0]["status"] == "incomplete"
        assert last["response"]["completed_at"] is None

    def test_an_answer_that_says_nothing_says_so(self):
        [item] = whole(Started(1), Finished(FinishReason.END_OF_TURN))["output"]

        assert item["content"][0]["text"] == ""

    @needs_schemas
    @pytest.mark.parametrize(
        ("error", "code"),
        [(ModelCrashed("It died."), "server_error"), (ServerBusy("Busy."), "rate_limit_exceeded")],
    )
    def test_an_error_in_the_middle_is_told_in_both_ways(self, error, code):
        encoder = Encoder(wanted())
        said = [chunk for event in RECORDED[1:6] for chunk in encoder.encode(event)]
        told, failed = encoder.fail(error)

        assert told["sequence_number"] == len(said)
        assert failed["sequence_number"] == len(said) + 1
        assert failed["response"]["status"] == "failed"
        assert failed["response"]["error"]["code"] == code
        assert failed["response"]["output"][-1]["status"] == "incomplete"
        assert faults_of_event(told) == faults_of_event(failed) == []

    def test_a_long_wait_is_heard_of(self):
        encoder = Encoder(wanted())

        said = [encoder.beat(), encoder.beat(), *encoder.encode(Started(9)), encoder.beat()]

        assert [each["type"].removeprefix("response.") for each in said] == [
            "created",
            "in_progress",
            "in_progress",
            "in_progress",
        ]
        assert [each["sequence_number"] for each in said] == [0, 1, 2, 3]

    def test_one_in_the_background_waits_as_long_as_it_must(self):
        encoder = Encoder(wanted(background=True))

        said = [*encoder.queue(), encoder.beat(), *encoder.encode(Started(9)), encoder.beat()]

        assert [each["type"].removeprefix("response.") for each in said] == [
            "created",
            "queued",
            "queued",
            "in_progress",
            "in_progress",
        ]
