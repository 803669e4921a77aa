"""OpenAI's chat completions as pure functions: bodies in, requests out; events in, chunks out."""

import pytest

from models import chat
from models.chat import GenerateRequest, Message, Overflow, SamplingParams, Text
from models.errors import InvalidRequest
from models.events import Finished, FinishReason, Started, TextDelta, Usage
from models.reply import Reply
from server.answer import Asked
from server.formats import openai_chat, openai_models
from tests.fakes import a_model

HI = [{"role": "user", "content": "hi"}]
EVENTS = [
    Started(3),
    TextDelta("Hel"),
    TextDelta("lo"),
    Finished(FinishReason.MAX_TOKENS, Usage(prompt_tokens=3, cached_tokens=2, completion_tokens=2)),
]


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
            ({"max_tokens": -1}, None),
            ({"max_tokens": None}, None),
        ],
    )
    def test_both_names_of_the_limit(self, body, tokens):
        assert parse(**body).max_tokens == tokens

    def test_a_stop_may_be_one_string(self):
        assert parse(stop="END").stop == ("END",)
        assert parse(stop=["a", "b"]).stop == ("a", "b")

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
            chat.user("ab"),
            chat.assistant(""),
            chat.assistant(""),
            Message("tool", (Text("t"),)),
            Message("tool", (Text("f"),)),
        )

    def test_what_asks_for_nothing_new_is_no_fault(self):
        parse(
            response_format={"type": "text"},
            tools=[],
            tool_choice="auto",
            n=1,
            logprobs=False,
            top_logprobs=0,
            logit_bias={},
            modalities=["text"],
        )

    def test_what_has_no_effect_is_known_by_name(self):
        ignored = openai_chat.parse(
            {
                "model": "tiny",
                "messages": [{"role": "user", "content": "hi", "name": "me"}],
                "user": "me",
                "metadata": {"a": "b"},
                "store": True,
                "service_tier": "auto",
                "parallel_tool_calls": False,
                "reasoning_effort": "low",
                "stream_options": {"include_obfuscation": False},
                "seed": None,
            }
        ).ignored

        assert set(ignored) == {
            "user",
            "metadata",
            "store",
            "service_tier",
            "parallel_tool_calls",
            "reasoning_effort",
            "stream_options.include_obfuscation",
            "messages[].name",
        }


class TestRefusals:
    def test_the_sentences_that_clients_know(self):
        assert refusal(model=None) == "model is required"
        assert refusal(messages=None) == "[] is too short - 'messages'"
        assert refusal(messages=[]) == "[] is too short - 'messages'"

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("tools", [{"type": "function"}]),
            ("functions", [{}]),
            ("tool_choice", "required"),
            ("tool_choice", {"type": "function"}),
            ("n", 2),
            ("logprobs", True),
            ("response_format", {"type": "json_object"}),
            ("response_format", {}),
            ("logit_bias", {"1": 1}),
            ("modalities", ["text", "audio"]),
            ("grammar", "root ::= x"),
        ],
    )
    def test_what_comes_later_is_named_and_not_passed_over(self, field, value):
        assert refusal(**{field: value}) == f'"{field}" is not supported yet.'

    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            ({"messages": "x"}, '"messages" must be a list, not a string.'),
            ({"temperature": "hot"}, '"temperature" must be a number, not a string.'),
            ({"temperature": -1}, '"temperature" must be at least 0.'),
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
                '"messages[0].tool_calls" is not supported yet.',
            ),
        ],
    )
    def test_a_wrong_type_is_told_with_its_place(self, body, sentence):
        assert refusal(**body) == sentence


class TestAnswers:
    def test_a_stream(self):
        encoder = openai_chat.Encoder("tiny")

        chunks = [chunk for event in EVENTS for chunk in encoder.encode(event)]

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
        encoder = openai_chat.Encoder("tiny", with_usage=True)

        *chunks, last = [chunk for event in EVENTS for chunk in encoder.encode(event)]

        assert all(chunk["usage"] is None for chunk in chunks)
        assert last["choices"] == []
        assert last["usage"]["total_tokens"] == 5
        assert last["usage"]["prompt_tokens_details"]["cached_tokens"] == 2

    def test_a_whole_completion(self):
        said = whole(openai_chat.Encoder("tiny"))

        [choice] = said["choices"]
        assert said["object"] == "chat.completion"
        assert choice["message"]["content"] == "Hello"
        assert choice["finish_reason"] == "length"
        assert said["usage"]["prompt_tokens"] == 3

    def test_no_two_answers_have_one_id(self):
        ids = {whole(openai_chat.Encoder("tiny"))["id"] for _ in range(100)}

        assert len(ids) == 100


def test_a_model_of_the_list():
    body = openai_models.list_body([a_model("org/tiny"), a_model("tiny")])

    assert body["data"] == [
        {"id": "org/tiny:latest", "object": "model", "created": 1767323045, "owned_by": "org"},
        {"id": "tiny:latest", "object": "model", "created": 1767323045, "owned_by": "library"},
    ]
    assert openai_models.list_body([])["data"] == []
