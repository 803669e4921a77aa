"""Ollama's generate and chat as pure functions: bodies in, requests out; events in, objects out."""

import base64
import json
import math
import re
from typing import Any

import pytest

from models.chat import (
    GenerateRequest,
    Image,
    JsonObject,
    JsonSchema,
    LoadRequest,
    Message,
    Overflow,
    Reasoning,
    SamplingParams,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    UnloadRequest,
    system,
    user,
)
from models.engine.template import ChatTemplate
from models.errors import InvalidRequest, ModelNotFound
from models.events import Finished, FinishReason, Loaded, Started, TextDelta, Unloaded, Usage
from models.reply import Reply
from server.formats import ollama
from server.formats.ollama.encoder import Encoder, say_message, say_response
from server.framing import to_json

HI = [{"role": "user", "content": "hi"}]
USAGE = Usage(
    prompt_tokens=26,
    cached_tokens=3,
    completion_tokens=2,
    load_seconds=0.5,
    prefill_seconds=0.25,
    decode_seconds=1.0,
)
EVENTS = [
    Started(26),
    TextDelta("Hel"),
    TextDelta("lo"),
    Finished(FinishReason.END_OF_TURN, USAGE, (1, 2, 3)),
]


def generate(**body) -> Any:
    return ollama.parse_generate({"model": "tiny", "prompt": "hi"} | body).request


def chat(**body) -> Any:
    return ollama.parse_chat({"model": "tiny", "messages": HI} | body).request


def whole(say, *events) -> dict:
    reply = Reply()
    for event in events:
        reply.take(event)
    return Encoder("tiny", say).whole(reply, events[-1])


def refusal(parse, **body) -> str:
    with pytest.raises(InvalidRequest) as caught:
        parse(**body)
    return str(caught.value)


class TestRequests:
    def test_a_chat(self):
        assert chat() == GenerateRequest(
            model="tiny", prompt=(user("hi"),), overflow=Overflow.TRUNCATE
        )

    def test_a_generation_is_a_chat_of_one_turn(self):
        assert generate(system="Be a cat.").prompt == (
            system("Be a cat."),
            user("hi"),
        )

    def test_a_raw_prompt_goes_to_the_model_as_it_stands(self):
        assert generate(raw=True).prompt == "hi"

    def test_a_template_of_its_own_makes_the_prompt(self):
        asked = generate(template="{{ .System }} Q: {{ .Prompt }} A:", system="S")

        assert asked.prompt == (system("S"), user("hi"))
        assert ChatTemplate(asked.template).render(asked.prompt) == "S Q: hi A:"

    def test_the_tokens_of_an_earlier_turn_go_first(self):
        assert generate(context=[1, 2]).preceding_tokens == (1, 2)

    def test_all_options(self):
        options = {
            "temperature": 0,
            "top_p": 0.5,
            "top_k": 7,
            "min_p": 0.1,
            "typical_p": 0.9,
            "seed": 3,
            "repeat_penalty": 1.1,
            "repeat_last_n": 32,
            "presence_penalty": 0.2,
            "frequency_penalty": 0.3,
            "num_predict": 3.9,
            "num_ctx": 1024,
            "stop": ["a", ""],
        }

        asked = generate(options=options)

        assert asked.sampling == SamplingParams(
            temperature=0,
            top_p=0.5,
            top_k=7,
            min_p=0.1,
            typical_p=0.9,
            seed=3,
            repeat_penalty=1.1,
            repeat_last_n=32,
            presence_penalty=0.2,
            frequency_penalty=0.3,
        )
        assert asked.max_tokens == 3  # Go cuts a fraction off
        assert asked.context_length == 1024
        assert asked.stop == ("a",)

    @pytest.mark.parametrize("said", [0, -1, -2, None])
    def test_these_are_no_limit(self, said):
        assert generate(options={"num_predict": said}).max_tokens is None

    def test_a_negative_seed_is_any(self):
        assert generate(options={"seed": -1}).sampling.seed is None

    def test_a_negative_top_k_is_all(self):
        assert generate(options={"top_k": -1}).sampling.top_k == 0

    def test_minus_one_looks_back_on_the_whole_context(self):
        assert generate(options={"repeat_last_n": -1}).sampling.repeat_last_n >= 1 << 18

    @pytest.mark.parametrize("parse", [generate, chat])
    @pytest.mark.parametrize("level", [True, False, None, "low", "medium", "high", "max"])
    def test_thinking(self, parse, level):
        assert parse(think=level).thinking == level

    def test_what_follows_the_completion(self):
        assert generate(suffix="x").suffix == "x"

    def test_truncating_can_be_refused(self):
        assert chat(truncate=False).overflow is Overflow.REFUSE

    @pytest.mark.parametrize("parse", [generate, chat])
    def test_nothing_to_say_loads_the_model(self, parse):
        empty = {"prompt": "", "messages": [], "options": {"num_ctx": 512}}

        assert parse(**empty, keep_alive=-1) == LoadRequest(
            model="tiny", context_length=512, keep_alive_seconds=math.inf
        )
        assert parse(**empty, keep_alive="0s") == UnloadRequest(model="tiny")

    def test_a_message_without_content_is_empty(self):
        messages = [
            {"role": "SYSTEM", "content": None},
            {"role": "user"},
            {"role": "tool", "content": [{"type": "text", "text": "a"}]},
        ]

        assert chat(messages=messages).prompt == (
            system(""),
            user(""),
            Message("tool", (ToolResult("", (Text("a"),)),)),
        )

    def test_what_asks_for_nothing_is_the_plain_request(self):
        plain = [{"role": "user", "content": "hi", "images": [], "tool_calls": None}]

        assert chat() == chat(think=None, format=None, tools=[], logprobs=False, messages=plain)

    def test_a_conversation_with_tools_and_thoughts(self):
        messages = [
            {
                "role": "assistant",
                "content": "",
                "thinking": "hm",
                "tool_calls": [
                    {"id": "c1", "function": {"index": 0, "name": "a", "arguments": {"x": 1}}},
                    {"function": {"name": "b", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_name": "a", "tool_call_id": "c1", "content": "sunny"},
        ]

        assert chat(messages=messages).prompt == (
            Message(
                "assistant",
                (
                    Reasoning("hm"),
                    Text(""),
                    ToolCall("c1", "a", '{"x": 1}'),
                    ToolCall("", "b", "{}"),
                ),
            ),
            Message("tool", (ToolResult("c1", (Text("sunny"),), "a"),)),
        )

    def test_pictures(self):
        seen = [{"role": "user", "content": "hi", "images": ["iVBORw=="]}]

        assert chat(messages=seen).prompt == (Message("user", (Text("hi"), Image(b"\x89PNG"))),)
        assert generate(images=["iVBORw=="]).prompt == (
            Message("user", (Image(b"\x89PNG"), Text("hi"))),
        )

    def test_pictures_stand_where_the_text_has_a_place_for_them(self):
        one, other = base64.b64encode(b"one").decode(), base64.b64encode(b"other").decode()
        seen = {"role": "user", "content": "[img] or [img]?", "images": [one, other]}

        [message] = chat(messages=[seen]).prompt
        assert message.parts == (Image(b"one"), Text(" or "), Image(b"other"), Text("?"))
        [message] = chat(messages=[{**seen, "content": "Is [img] red?"}]).prompt
        assert message.parts == (Text("Is "), Image(b"one"), Text(" red?"), Image(b"other"))
        [message] = generate(prompt="Is [img] red?", images=[one, other]).prompt
        assert message.parts == (Image(b"other"), Text("Is "), Image(b"one"), Text(" red?"))
        [message] = chat(messages=[{**seen, "images": [one]}]).prompt
        assert message.parts == (Image(b"one"), Text(" or [img]?"))

    def test_tools(self):
        schema = {"type": "object"}
        tool = {"type": "function", "function": {"name": "a", "parameters": schema}}

        assert chat(tools=[tool]).tools == (Tool("a", parameters=schema),)

    @pytest.mark.parametrize("parse", [generate, chat])
    def test_what_the_answer_must_look_like(self, parse):
        assert parse(format="json").constraint == JsonObject()
        assert parse(format={"type": "object"}).constraint == JsonSchema({"type": "object"})
        assert parse(format="").constraint is None

    def test_odds(self):
        assert chat(logprobs=True).top_logprobs == 0
        assert chat(logprobs=True, top_logprobs=20).top_logprobs == 20
        assert chat(top_logprobs=20).top_logprobs is None
        asked = ollama.parse_chat({"model": "tiny", "messages": HI, "top_logprobs": 3})
        assert asked.ignored == ("top_logprobs",)

    def test_unknown_fields_and_options_are_ignored_by_name(self):
        ignored = ollama.parse_chat(
            {
                "model": "tiny",
                "messages": [{"role": "user", "content": "hi", "wonder": "hm"}],
                "surprise": 1,
                "shift": True,
                "options": {"num_gpu": 1, "no_such_option": 2, "temperature": 0},
            }
        ).ignored

        assert set(ignored) == {
            "surprise",
            "shift",
            "options.num_gpu",
            "options.no_such_option",
            "messages[].wonder",
        }


class TestRefusals:
    """The sentences are Ollama's where Ollama has one: clients look for them."""

    def test_no_model(self):
        assert refusal(chat, model="") == "model is required"
        with pytest.raises(ModelNotFound) as caught:
            generate(model=None)
        assert caught.value.model == ""

    @pytest.mark.parametrize("extra", ["system", "template", "context"])
    def test_raw_and_anything_that_makes_a_prompt(self, extra):
        value = [1] if extra == "context" else "x"

        assert refusal(generate, raw=True, **{extra: value}) == (
            "raw mode does not support template, system, or context"
        )

    @pytest.mark.parametrize(("value", "said"), [("deep", '"deep"'), (5, "5"), ([], "[]")])
    def test_a_think_value_that_is_none(self, value, said):
        assert refusal(chat, think=value) == (
            f'invalid think value: {said} (must be "high", "medium", "low", "max", true, or false)'
        )

    def test_top_logprobs_out_of_range(self):
        assert refusal(chat, top_logprobs=21) == "top_logprobs must be between 0 and 20"

    @pytest.mark.parametrize(
        ("option", "value", "kind"),
        [
            ("temperature", "hot", "float32"),
            ("temperature", True, "float32"),
            ("num_predict", "many", "integer"),
            ("num_gpu", "all", "integer"),
            ("top_k", {}, "integer"),
            ("use_mmap", 1, "boolean"),
            ("stop", 5, "array"),
        ],
    )
    def test_an_option_of_the_wrong_type(self, option, value, kind):
        assert refusal(chat, options={option: value}) == (
            f'option "{option}" must be of type {kind}'
        )

    @pytest.mark.parametrize(
        ("option", "value", "bound"),
        [
            ("temperature", -0.1, "at least 0"),
            ("top_p", 1.1, "at most 1"),
            ("repeat_penalty", 0, "at least 0.01"),
            ("repeat_last_n", 1 << 30, "at most 1048576"),
        ],
    )
    def test_an_option_that_no_engine_can_take(self, option, value, bound):
        assert refusal(chat, options={option: value}) == f'"options.{option}" must be {bound}.'

    def test_a_format_that_is_none(self):
        assert refusal(chat, format="yaml") == (
            'invalid format: "\\"yaml\\""; expected "json" or a valid JSON Schema object'
        )
        assert refusal(chat, format=5) == (
            'invalid format: "5"; expected "json" or a valid JSON Schema object'
        )
        assert refusal(chat, format=[]) == (
            '"format" must be "json" or a JSON Schema object, not a list.'
        )

    def test_a_prompt_that_is_not_sent(self):
        assert refusal(chat, _debug_render_only=True) == (
            '"_debug_render_only" is not supported: prompts are told by /apply-template.'
        )

    def test_pictures_that_have_no_place_in_the_prompt(self):
        assert refusal(generate, images=["iVBORw=="], raw=True) == (
            '"images" cannot be given with "raw".'
        )

    @pytest.mark.parametrize("image", ["!!", "data:image/png,x", "abcde", "", "ab=c", "é"])
    def test_pictures_that_are_none(self, image):
        assert refusal(generate, images=[image]) == "invalid image input"

    @pytest.mark.parametrize(
        ("messages", "sentence"),
        [
            ("hi", '"messages" must be a list, not a string.'),
            (["hi"], '"messages[0]" must be an object, not a string.'),
            ([{"content": "hi"}], '"messages[0].role" is missing.'),
            (
                [{"role": "robot"}],
                "\"messages[0].role\" must be one of system, user, assistant, tool, not 'robot'.",
            ),
            (
                [{"role": "user", "content": 5}],
                '"messages[0].content" must be a string or a list of parts, not a number.',
            ),
            (
                [{"role": "user", "content": [{"type": "image_url"}]}],
                '"messages[0].content[0].image_url" is missing.',
            ),
            (
                [{"role": "user", "content": [{"type": "video"}]}],
                "\"messages[0].content[0].type\" must be 'text' or 'image_url', not 'video'.",
            ),
        ],
    )
    def test_messages_that_are_none(self, messages, sentence):
        assert refusal(chat, messages=messages) == sentence

    @pytest.mark.parametrize("context", ["x", ["a"], [1.5], [True], [-1], [1 << 31]])
    def test_a_context_that_is_no_list_of_ids(self, context):
        assert refusal(generate, context=context).startswith('"context" must be a list')


class TestAnswers:
    def test_a_streamed_chat(self):
        encoder = Encoder("tiny", say_message)

        lines = [json.loads(to_json(chunk)) for event in EVENTS for chunk in encoder.encode(event)]

        assert [line["message"] for line in lines] == [
            {"role": "assistant", "content": "Hel"},
            {"role": "assistant", "content": "lo"},
            {"role": "assistant", "content": ""},
        ]
        assert [line["done"] for line in lines] == [False, False, True]
        assert {line["model"] for line in lines} == {"tiny"}
        for line in lines:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", line["created_at"])

    def test_a_whole_generation_ends_with_what_it_took(self):
        said = whole(say_response, *EVENTS)

        del said["created_at"]
        assert said == {
            "model": "tiny",
            "response": "Hello",
            "done": True,
            "done_reason": "stop",
            "context": [1, 2, 3],
            "total_duration": 1_750_000_000,
            "load_duration": 500_000_000,
            "prompt_eval_count": 26,
            "prompt_eval_duration": 250_000_000,
            "eval_count": 2,
            "eval_duration": 1_000_000_000,
        }

    def test_a_chat_and_a_raw_generation_have_no_context(self):
        assert "context" not in whole(say_message, Finished(FinishReason.END_OF_TURN))

    @pytest.mark.parametrize(
        ("reason", "said"),
        [
            (FinishReason.END_OF_TURN, "stop"),
            (FinishReason.STOP_STRING, "stop"),
            (FinishReason.MAX_TOKENS, "length"),
            (FinishReason.CANCELLED, "stop"),
        ],
    )
    def test_why_it_ended(self, reason, said):
        assert whole(say_message, Finished(reason))["done_reason"] == said

    @pytest.mark.parametrize(("event", "said"), [(Loaded(1.5), "load"), (Unloaded(), "unload")])
    def test_loading_is_done_and_no_more(self, event, said):
        answer = whole(say_response, event)

        del answer["created_at"]
        assert answer == {"model": "tiny", "response": "", "done": True, "done_reason": said}
