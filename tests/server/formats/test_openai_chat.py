"""OpenAI's chat completions as pure functions: bodies in, requests out; events in, chunks out."""

import base64
import json

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
from models.errors import InvalidRequest
from models.events import Finished, FinishReason, Started, TextDelta, ToolCallDelta, Usage
from models.reply import Reply
from server.answer import Asked
from server.capabilities import capabilities
from server.formats.openai import chat as openai_chat
from server.formats.openai import models as openai_models
from server.framing import to_json
from tests.fakes import a_model

HI = [{"role": "user", "content": "hi"}]
EVENTS = [
    Started(3),
    TextDelta("Hel"),
    TextDelta("lo"),
    Finished(FinishReason.MAX_TOKENS, Usage(prompt_tokens=3, cached_tokens=2, completion_tokens=2)),
]


def decoded(chunk) -> dict:
    return json.loads(to_json(chunk))


def asked(**body) -> Asked:
    return openai_chat.parse({"model": "tiny", "messages": HI} | body)


def parse(**body) -> GenerateRequest:
    request = asked(**body).request
    assert isinstance(request, GenerateRequest)
    return request


def whole(encoder: openai_chat.Encoder) -> dict:
    reply = Reply()
    for event in EVENTS:
        reply.take(event)
    end = EVENTS[-1]
    assert isinstance(end, Finished)
    return encoder.whole(reply, end)


def refusal(**body) -> str:
    with pytest.raises(InvalidRequest) as caught:
        parse(**body)
    return str(caught.value)


def custom(name: str = "tell", form: dict | None = None) -> dict:
    said = {"name": name, "description": "A text"} | ({"format": form} if form else {})
    return {"type": "custom", "custom": said}


def lark(definition: str) -> dict:
    return {"type": "grammar", "grammar": {"syntax": "lark", "definition": definition}}


class TestRequests:
    def test_the_least_that_can_be_asked(self):
        assert parse() == GenerateRequest(
            model="tiny", prompt=(chat.user("hi"),), overflow=Overflow.REFUSE
        )

    def test_sampling_is_left_to_the_model_unless_asked_for(self):
        assert parse().sampling == SamplingParams()
        assert parse(temperature=0, top_p=1, seed=4, top_k=5, min_p=0.1, repeat_penalty=1.1) == (
            GenerateRequest(
                model="tiny",
                prompt=(chat.user("hi"),),
                sampling=SamplingParams(
                    temperature=0, top_p=1, seed=4, top_k=5, min_p=0.1, repeat_penalty=1.1
                ),
            )
        )

    @pytest.mark.parametrize(
        ("body", "tokens"),
        [
            ({"max_tokens": 5}, 5),
            ({"max_completion_tokens": 6}, 6),
            ({"max_completion_tokens": 6, "max_tokens": 5}, 6),
            ({"max_tokens": None}, None),
        ],
    )
    def test_both_names_of_the_limit(self, body, tokens):
        assert parse(**body).max_tokens == tokens

    def test_several_choices_have_seeds_of_their_own(self):
        choices = asked(n=3, seed=7).choices

        assert choices and choices.seeds == (7, 8, 9)
        assert len(choices.encoders) == 3
        assert asked(n=1).choices is None
        unseeded = asked(n=2).choices
        assert unseeded and unseeded.seeds == (None, None)

    def test_a_stop_may_be_one_string(self):
        assert parse(stop="END").stop == ("END",)
        assert parse(stop=["a", "b"]).stop == ("a", "b")

    def test_a_prompt_that_is_too_long_is_cut_only_where_that_is_asked_for(self):
        assert parse(truncate=False, truncation="disabled").overflow is Overflow.REFUSE
        assert parse(truncate=True).overflow is Overflow.DROP
        assert parse(truncation="auto").overflow is Overflow.DROP
        assert asked(truncation="auto", truncate=True).ignored == ()
        assert refusal(truncation="middle") == (
            "\"truncation\" must be 'auto' or 'disabled', not 'middle'."
        )

    def test_the_context_length_can_be_asked_for(self):
        assert parse(num_ctx=512).context_length == 512
        assert parse(options={"num_ctx": 512}).context_length == 512
        assert parse(keep_alive="1m").keep_alive_seconds == 60

    def test_every_role(self):
        messages = [
            {"role": "developer", "content": "d"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            {"role": "assistant", "content": None},
            {"role": "assistant"},
            {"role": "tool", "content": "t", "tool_call_id": "1"},
            {"role": "function", "content": "f", "name": "n"},
        ]

        assert parse(messages=messages).prompt == (
            chat.system("d"),
            Message("user", (Text("a"), Text("b"))),
            chat.assistant(""),
            chat.assistant(""),
            Message("tool", (ToolResult("1", (Text("t"),)),)),
            Message("tool", (ToolResult("", (Text("f"),), "n"),)),
        )

    def test_what_asks_for_nothing_new_is_the_plain_request(self):
        assert parse() == parse(
            response_format={"type": "text"},
            tools=[],
            functions=[],
            tool_choice="auto",
            n=1,
            logprobs=False,
            top_logprobs=0,
            logit_bias={},
            modalities=["text"],
        )

    def test_a_conversation_with_tools_and_thoughts(self):
        call = {
            "id": "c1",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city": "Bern"}'},
        }
        messages = [
            {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "sunny"}]},
            {"role": "assistant", "function_call": {"name": "time", "arguments": {"a": "é"}}},
            {"role": "function", "name": "time", "content": "now"},
        ]

        assert parse(messages=messages).prompt == (
            Message(
                "assistant",
                (Reasoning("hm"), ToolCall("c1", "weather", '{"city": "Bern"}')),
            ),
            Message("tool", (ToolResult("c1", (Text("sunny"),), "weather"),)),
            Message("assistant", (ToolCall("", "time", '{"a": "é"}'),)),
            Message("tool", (ToolResult("", (Text("now"),), "time"),)),
        )

    def test_pictures_in_every_way_that_clients_send_them(self):
        data = "data:image/png;base64,iVBO\nRw=="
        content = [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": data}},
            {"type": "image_url", "image_url": data},
            {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
            {"type": "image_url", "image_url": {"url": "iVBORw", "detail": "high"}},
            {"type": "image_url", "image_url": {"url": data, "detail": "low"}},
            {"type": "input_image", "image_url": data, "detail": "low"},
        ]

        [message] = parse(messages=[{"role": "user", "content": content}]).prompt

        assert message == Message(
            "user",
            (
                Text("What is it?"),
                Image(b"\x89PNG"),
                Image(b"\x89PNG"),
                Image("https://a.example/b.png"),
                Image(b"\x89PNG"),
                Image(b"\x89PNG", "low"),
                Image(b"\x89PNG", "low"),
            ),
        )

    def test_a_large_picture_is_decoded_to_the_last_byte(self):
        picture = bytes(range(256)) * 10_001
        encoded = base64.b64encode(picture).decode()
        broken = encoded[: 1 << 20][:-1] + "=" + encoded[1 << 20 :]

        def seen(data: str):
            url = f"data:image/png;base64,{data}"
            content = [{"type": "image_url", "image_url": url}]
            return {"messages": [{"role": "user", "content": content}]}

        assert parse(**seen(encoded)).prompt == (Message("user", (Image(picture),)),)
        assert refusal(**seen(broken)) == "invalid image input"

    def test_tools(self):
        schema = {"type": "object", "properties": {"city": {"type": "string"}}}
        function = {
            "name": "weather",
            "description": "Of a city",
            "parameters": schema,
            "strict": True,
        }
        tool = Tool("weather", "Of a city", schema, strict=True)

        assert parse(tools=[{"type": "function", "function": function}]).tools == (tool,)
        assert parse(functions=[function]).tools == (tool,)
        assert parse(tools=[{"function": {"name": "a"}}]).tools == (Tool("a"),)

    @pytest.mark.parametrize(
        ("body", "choice"),
        [
            ({}, ToolChoice()),
            ({"tool_choice": "auto"}, ToolChoice("auto")),
            ({"tool_choice": "none"}, ToolChoice("none")),
            ({"tool_choice": "required"}, ToolChoice("required")),
            ({"parallel_tool_calls": False}, ToolChoice(parallel=False)),
            (
                {"tool_choice": {"type": "function", "function": {"name": "a"}}},
                ToolChoice("required", ("a",)),
            ),
            (
                {
                    "tool_choice": {
                        "type": "allowed_tools",
                        "allowed_tools": {
                            "mode": "auto",
                            "tools": [{"type": "function", "function": {"name": "b"}}],
                        },
                    }
                },
                ToolChoice("auto", ("b",)),
            ),
        ],
    )
    def test_which_tools_may_be_called(self, body, choice):
        tools = [{"type": "function", "function": {"name": name}} for name in "ab"]

        assert parse(tools=tools, **body).tool_choice == choice

    def test_tools_that_take_text(self):
        free, kept = parse(tools=[custom(), custom("say", lark('start: "a" | "b"'))]).tools

        assert (free.name, free.description, free.strict) == ("tell", "A text", False)
        assert free.parameters
        assert free.parameters["properties"] == {"input": {"type": "string"}}
        assert kept.strict
        assert kept.parameters
        assert kept.kept_to
        told = {"type": "string", "description": 'In this Lark grammar:\nstart: "a" | "b"'}
        assert kept.parameters["properties"] == {"input": told}
        held = {"type": "string", "pattern": "^(?:(?:(?:a)|(?:b)))$"}
        assert kept.kept_to["properties"] == {"input": held}

    def test_which_text_tools_may_be_called(self):
        tools = [custom(), custom("say")]
        named = {"type": "custom", "custom": {"name": "say"}}
        allowed = {"mode": "required", "tools": [named]}
        several = {"type": "allowed_tools", "allowed_tools": allowed}

        for choice in (named, several):
            got = parse(tools=tools, tool_choice=choice).tool_choice
            assert got == ToolChoice("required", ("say",))

    def test_calls_with_text_that_have_been(self):
        call = {"id": "c", "type": "custom", "custom": {"name": "tell", "input": 'a "b"\n'}}
        said = {"role": "assistant", "content": None, "tool_calls": [call]}
        result = {"role": "tool", "tool_call_id": "c", "content": "done"}

        _, called, done = parse(messages=[*HI, said, result]).prompt

        assert called == Message("assistant", (ToolCall("c", "tell", '{"input": "a \\"b\\"\\n"}'),))
        assert done == Message("tool", (ToolResult("c", (Text("done"),), "tell"),))

    def test_which_functions_may_be_called(self):
        functions = [{"name": "a"}]

        assert parse(functions=functions, function_call="none").tool_choice == ToolChoice("none")
        assert parse(functions=functions, function_call={"name": "a"}).tool_choice == ToolChoice(
            "required", ("a",)
        )

    @pytest.mark.parametrize(
        ("body", "constraint"),
        [
            ({"response_format": {"type": "json_object"}}, JsonObject()),
            (
                {"response_format": {"type": "json_object", "schema": {"type": "null"}}},
                JsonSchema({"type": "null"}),
            ),
            (
                {"response_format": {"type": "json_object", "value": {"type": "null"}}},
                JsonSchema({"type": "null"}),
            ),
            (
                {
                    "response_format": {
                        "type": "json_schema",
                        "json_schema": {"name": "x", "strict": True, "schema": {"type": "object"}},
                    }
                },
                JsonSchema({"type": "object"}),
            ),
            ({"json_schema": {"type": "array"}}, JsonSchema({"type": "array"})),
            ({"grammar": 'root ::= "x"'}, Grammar('root ::= "x"', "gbnf")),
        ],
    )
    def test_what_the_answer_must_look_like(self, body, constraint):
        assert parse(**body).constraint == constraint
        assert asked(**body).ignored == ()

    def test_odds(self):
        assert parse(logprobs=True).top_logprobs == 0
        assert parse(logprobs=True, top_logprobs=3).top_logprobs == 3
        assert parse(logprobs=False).top_logprobs is None
        assert parse(logit_bias={"15": -100, "yes": 2.5}).sampling.logit_bias == (
            (15, -100.0),
            ("yes", 2.5),
        )

    @pytest.mark.parametrize(
        ("body", "thinking", "wish"),
        [
            ({"reasoning_effort": "none"}, False, "reasoning_effort"),
            ({"reasoning_effort": "minimal"}, "low", "reasoning_effort"),
            ({"reasoning": {"effort": "xhigh"}}, "max", "reasoning.effort"),
            (
                {"chat_template_kwargs": {"enable_thinking": False}},
                False,
                "chat_template_kwargs.enable_thinking",
            ),
            ({"think": True}, True, ""),
            ({"think": "high"}, "high", ""),
        ],
    )
    def test_how_hard_to_think(self, body, thinking, wish):
        assert parse(**body).thinking == thinking
        assert asked(**body).wish == wish

    def test_what_has_no_effect_is_known_by_name(self):
        ignored = openai_chat.parse(
            {
                "model": "tiny",
                "messages": [{"role": "user", "content": "hi", "name": "me"}],
                "user": "me",
                "metadata": {"a": "b"},
                "store": True,
                "service_tier": "auto",
                "stream_options": {"include_obfuscation": False},
                "seed": None,
            }
        ).ignored

        assert set(ignored) == {
            "user",
            "metadata",
            "store",
            "service_tier",
            "stream_options.include_obfuscation",
            "messages[].name",
        }


class TestRefusals:
    def test_the_sentences_that_clients_know(self):
        assert refusal(model=None) == "model is required"
        assert refusal(messages=None) == "[] is too short - 'messages'"
        assert refusal(messages=[]) == "[] is too short - 'messages'"

    def test_a_function_that_must_be_called_has_to_be_there(self):
        assert asked(function_call="auto").ignored == ()
        assert "none of the tools" in refusal(function_call={"name": "a"})

    def test_what_nothing_behind_could_do(self):
        assert refusal(n=129) == '"n" must be at most 128.'
        assert refusal(modalities=["text", "audio"]) == (
            "\"modalities\" is not supported but for 'text': nothing here speaks."
        )

    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            ({"messages": "x"}, '"messages" must be a list, not a string.'),
            ({"temperature": "hot"}, '"temperature" must be a number, not a string.'),
            ({"temperature": -1}, '"temperature" must be at least 0.'),
            ({"temperature": 2.1}, '"temperature" must be at most 2.'),
            ({"max_tokens": -1}, '"max_tokens" must be at least 1.'),
            ({"max_completion_tokens": 0}, '"max_completion_tokens" must be at least 1.'),
            ({"max_tokens": "5"}, '"max_tokens" must be a whole number, not a string.'),
            ({"stop": [1]}, '"stop" must be a string or a list of strings, not a list.'),
            (
                {"messages": [{"role": "user", "content": None}]},
                '"messages[0].content" must be a string or a list of parts, not null.',
            ),
            ({"messages": [{"role": "user"}]}, '"messages[0].content" is missing.'),
            (
                {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
                '"messages[0].content[0].text" is missing.',
            ),
            (
                {"messages": [{"role": "assistant", "tool_calls": [{}]}]},
                '"messages[0].tool_calls[0].function" is missing.',
            ),
            (
                {
                    "messages": [
                        {"role": "assistant", "function_call": {"name": "a", "arguments": "{"}}
                    ]
                },
                '"messages[0].function_call.arguments" must be a JSON object in a string, '
                "not a string.",
            ),
            (
                {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
                "\"messages[0].content[0].type\" 'input_audio' is not supported: "
                "no model here hears: send text or pictures.",
            ),
            (
                {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
                "\"messages[0].content[0].type\" must be 'text' or 'image_url', not 'video'.",
            ),
            (
                {
                    "messages": [
                        {
                            "role": "user",
                            "content": [
                                {
                                    "type": "image_url",
                                    "image_url": {"url": "data:image/png;base64,!"},
                                }
                            ],
                        }
                    ]
                },
                "invalid image input",
            ),
            (
                {
                    "messages": [
                        {"role": "user", "content": [{"type": "image_url", "image_url": "a.png"}]}
                    ]
                },
                "invalid image input",
            ),
            ({"tools": [{"type": "function"}]}, '"tools[0].function" is missing.'),
            ({"functions": [{}]}, '"functions[0].name" is missing.'),
            (
                {"tools": [{"type": "search"}]},
                "\"tools[0].type\" 'search' is not supported: only functions are.",
            ),
            ({"tools": [{"type": "custom"}]}, '"tools[0].custom" is missing.'),
            (
                {"tools": [custom(form={"type": "grammar", "grammar": {"syntax": "lark"}})]},
                '"tools[0].custom.format.grammar.definition" is missing.',
            ),
            (
                {"tools": [custom(form=lark('start: "a" b'))]},
                "The grammar cannot be obeyed: line 1: there is no 'b'.",
            ),
            (
                {"tool_choice": "required"},
                '"tool_choice" requires a call, and there are no tools.',
            ),
            (
                {"tool_choice": {"type": "function", "function": {"name": "b"}}},
                "\"tool_choice\" names 'b', which is none of the tools.",
            ),
            (
                {"tool_choice": "maybe"},
                "\"tool_choice\" must be 'none', 'auto', 'required' or a tool, not a string.",
            ),
            ({"response_format": {}}, '"response_format.type" is missing.'),
            (
                {"response_format": {"type": "xml"}},
                "\"response_format.type\" must be 'text', 'json_object' or 'json_schema', "
                "not 'xml'.",
            ),
            (
                {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
                '"response_format.json_schema.schema" is missing.',
            ),
            (
                {"response_format": {"type": "json_object"}, "grammar": "x"},
                'Give one of "response_format", "grammar" and "json_schema".',
            ),
            ({"top_logprobs": 3}, '"top_logprobs" needs "logprobs" to be true.'),
            ({"logprobs": True, "top_logprobs": 21}, '"top_logprobs" must be at most 20.'),
            ({"logit_bias": {"1": 101}}, '"logit_bias.1" must be at most 100.0.'),
            (
                {"reasoning_effort": "wild"},
                '"reasoning_effort" must be one of none, minimal, low, medium, high, xhigh, '
                "ultra, max, not 'wild'.",
            ),
        ],
    )
    def test_a_wrong_type_is_told_with_its_place(self, body, sentence):
        assert refusal(**body) == sentence


class TestAnswers:
    def test_a_stream(self):
        encoder = openai_chat.Encoder(openai_chat.Common("tiny"))

        chunks = [decoded(chunk) for event in EVENTS for chunk in encoder.encode(event)]

        assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
            {"role": "assistant", "content": ""},
            {"content": "Hel"},
            {"content": "lo"},
            {},
        ]
        assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [
            None,
            None,
            None,
            "length",
        ]
        assert len({chunk["id"] for chunk in chunks}) == 1
        assert all("usage" not in chunk for chunk in chunks)

    def test_a_stream_with_usage_has_it_in_every_chunk(self):
        encoder = openai_chat.Encoder(openai_chat.Common("tiny", with_usage=True))

        *chunks, last = [decoded(chunk) for event in EVENTS for chunk in encoder.encode(event)]

        assert all(chunk["usage"] is None for chunk in chunks)
        assert last["choices"] == []
        assert last["usage"]["total_tokens"] == 5
        assert last["usage"]["prompt_tokens_details"]["cached_tokens"] == 2

    def test_a_whole_completion(self):
        said = whole(openai_chat.Encoder(openai_chat.Common("tiny")))

        [choice] = said["choices"]
        assert said["object"] == "chat.completion"
        assert choice["message"]["content"] == "Hello"
        assert choice["finish_reason"] == "length"
        assert said["usage"]["prompt_tokens"] == 3

    def test_a_call_with_text_comes_whole_among_others(self):
        common = openai_chat.Common("tiny", texts=frozenset({"tell"}))
        events = [
            Started(3),
            ToolCallDelta(0, id="c0", name="tell"),
            ToolCallDelta(0, '{"input": "a\\n'),
            ToolCallDelta(0, 'b"}'),
            ToolCallDelta(1, "{}", id="c1", name="look"),
            ToolCallDelta(2, '{"input": "c"}', id="c2", name="tell"),
            Finished(FinishReason.TOOL_CALLS),
        ]
        encoder, reply = openai_chat.Encoder(common), Reply()
        for event in events:
            reply.take(event)

        chunks = [decoded(chunk) for event in events for chunk in encoder.encode(event)]
        whole = openai_chat.Encoder(common).whole(reply, Finished(FinishReason.TOOL_CALLS))

        calls = [
            {"index": 0, "id": "c0", "type": "custom", "custom": {"name": "tell", "input": "a\nb"}},
            {"index": 1, "id": "c1", "type": "function",
             "function": {"name": "look", "arguments": "{}"}},
            {"index": 2, "id": "c2", "type": "custom", "custom": {"name": "tell", "input": "c"}},
        ]  # fmt: skip
        told = [chunk["choices"][0]["delta"].get("tool_calls", []) for chunk in chunks]
        assert [call for each in told for call in each] == calls
        assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
        assert whole["choices"][0]["message"]["tool_calls"] == calls

    def test_no_two_answers_have_one_id(self):
        ids = {whole(openai_chat.Encoder(openai_chat.Common("tiny")))["id"] for _ in range(100)}

        assert len(ids) == 100


def test_a_model_of_the_list():
    body = openai_models.list_body([a_model("org/tiny"), a_model("tiny")])

    assert [each["id"] for each in body["data"]] == ["org/tiny:latest", "tiny:latest"]
    assert [each["owned_by"] for each in body["data"]] == ["org", "library"]
    assert body["data"][0] == {
        "id": "org/tiny:latest",
        "object": "model",
        "created": 1767323045,
        "owned_by": "org",
        "context_length": 256,
        "capabilities": capabilities(a_model()),
        "state": "not-loaded",
    }
    assert openai_models.list_body([])["data"] == []


def test_variables_of_the_template_go_to_it_and_thinking_is_read_of_them():
    given = {"enable_thinking": False, "style": "loud", "n": [1]}

    request = parse(chat_template_kwargs=given)

    assert request.template_variables == {"style": "loud", "n": [1]}
    assert request.thinking is False
    assert asked(chat_template_kwargs=given).ignored == ()
