"""OpenAI's completions as pure functions: bodies in, requests out; events in, pieces out."""

import json

import pytest

from models.chat import GenerateRequest, Overflow
from models.errors import InvalidRequest
from models.events import (
    Event,
    Finished,
    FinishReason,
    PromptRead,
    Started,
    TextDelta,
    TokenLogprob,
    Usage,
)
from models.reply import Reply
from server.answer import Asked
from server.fields import Json
from server.formats.openai.completions import parse
from server.framing import to_json

END = Finished(FinishReason.MAX_TOKENS, Usage(prompt_tokens=3, completion_tokens=2))


def token(piece: str | bytes, logprob: float, *top: TokenLogprob) -> TokenLogprob:
    return TokenLogprob(0, piece.encode() if isinstance(piece, str) else piece, logprob, top)


def asked(**body) -> Asked:
    return parse({"model": "tiny"} | body)


def requests(**body) -> list[GenerateRequest]:
    choices = asked(**body).choices
    assert choices
    return list(choices.requests)


def refusal(**body) -> str:
    with pytest.raises(InvalidRequest) as caught:
        asked(**body)
    return str(caught.value)


def whole(asked: Asked, *replies: tuple[Event, ...]) -> Json:
    assert asked.choices
    folded: list[Reply] = []
    for events in replies:
        folded.append(Reply())
        for event in events:
            folded[-1].take(event)
    return asked.choices.whole(folded)


def streamed(asked: Asked, *events: Event, choice: int = 0) -> list[Json]:
    encoder = asked.encoders[choice]
    return [json.loads(to_json(chunk)) for event in events for chunk in encoder.encode(event)]


class TestRequests:
    def test_the_least_that_can_be_asked(self):
        assert requests(prompt="Once") == [
            GenerateRequest(model="tiny", prompt="Once", max_tokens=16)
        ]
        assert requests() == [GenerateRequest(model="tiny", prompt="", max_tokens=16)]

    def test_every_form_of_a_prompt(self):
        def given(prompt: object) -> list[object]:
            return [each.prompt or each.preceding_tokens for each in requests(prompt=prompt)]

        assert given(["a", "b"]) == ["a", "b"]
        assert given([1, 2]) == [(1, 2)]
        assert given([[1, 2], [3]]) == [(1, 2), (3,)]
        for wrong in ([1, "a"], [[]], [[1], "a"], [True], [-1], [2**31], 5, {}):
            assert "prompt" in refusal(prompt=wrong)
        assert refusal(prompt=[]) == '"prompt" must not be an empty list.'

    def test_how_much_is_written(self):
        assert requests(prompt="a", max_tokens=5)[0].max_tokens == 5
        assert requests(prompt="a", max_tokens=0)[0].max_tokens == 1
        assert refusal(max_tokens=-1) == '"max_tokens" must be at least 0.'

    def test_a_prompt_is_read_for_its_odds_only_where_that_is_told(self):
        def reads(**body: object) -> bool:
            return requests(**body)[0].prompt_logprobs

        assert reads(prompt="a", echo=True, logprobs=1)
        assert reads(prompt=[1], echo=True)
        assert not reads(prompt="a", echo=True)
        assert not reads(prompt=[1], logprobs=1)

    def test_several_of_each_prompt(self):
        choices = asked(prompt=["a", "b"], n=2, best_of=3, seed=2**63 - 2).choices

        assert choices
        assert choices.seeds == (2**63 - 2, 2**63 - 1, 0)
        assert len(choices.encoders) == 4
        assert choices.requests[0].top_logprobs == 0  # by which the best are found

    def test_a_prompt_that_is_too_long_is_cut_where_that_is_asked_for(self):
        assert requests(truncation="auto")[0].overflow is Overflow.TRUNCATE
        assert requests()[0].overflow is Overflow.REFUSE

    def test_what_cannot_be_is_refused(self):
        assert refusal(n=3, best_of=2) == '"best_of" must be at least "n".'
        assert refusal(best_of=2, stream=True).startswith('"best_of" cannot be more than "n"')
        assert "more than 128 in all" in refusal(prompt=["a"] * 65, n=2)
        assert refusal(prompt=[1], suffix="x") == 'A "suffix" needs a "prompt" that is a text.'
        assert "suffix" in refusal(prompt="a", suffix="x", echo=True, logprobs=1)
        assert refusal(logprobs=21) == '"logprobs" must be at most 20.'

    def test_what_has_no_effect_is_known_by_name(self):
        assert asked(prompt="a", user="me", new="x").ignored == ("user", "new")


class TestAnswers:
    def test_a_whole_one(self):
        said = whole(asked(prompt="Once"), (Started(3), TextDelta(" upon"), END))

        assert said["object"] == "text_completion"
        assert said["id"].startswith("cmpl-")
        assert said["choices"] == [
            {"text": " upon", "index": 0, "logprobs": None, "finish_reason": "length"}
        ]
        assert said["usage"]["total_tokens"] == 5
        assert said["timings"]["predicted_n"] == 2

    def test_a_stream(self):
        pieces = streamed(asked(prompt="Once"), Started(3), TextDelta("a"), TextDelta("b"), END)

        assert [each["choices"][0]["text"] for each in pieces] == ["a", "b", ""]
        assert pieces[-1]["choices"][0]["finish_reason"] == "length"
        assert len({each["id"] for each in pieces}) == 1

    def test_a_stream_ends_with_its_usage_once_all_choices_have(self):
        several = asked(prompt=["a", "b"], stream_options={"include_usage": True})

        assert [len(each["choices"]) for each in streamed(several, END, choice=1)] == [1]
        *_, last = streamed(several, END, choice=0)

        assert last["choices"] == []
        assert last["usage"]["prompt_tokens"] == 6
        assert last["usage"]["completion_tokens"] == 4

    def test_a_prompt_is_counted_once_for_its_choices(self):
        said = whole(asked(prompt="a", n=2), (END,), (END,))

        assert said["usage"]["prompt_tokens"] == 3
        assert said["usage"]["completion_tokens"] == 4

    @pytest.mark.parametrize("stream", [False, True])
    def test_an_echo(self, stream: bool):
        echo = asked(prompt="Once", echo=True)
        events = (Started(3), TextDelta(" upon"), END)
        if stream:
            assert [each["choices"][0]["text"] for each in streamed(echo, *events)] == [
                "Once",
                " upon",
                "",
            ]
        else:
            assert whole(echo, events)["choices"][0]["text"] == "Once upon"

    @pytest.mark.parametrize(
        "read",
        [
            PromptRead((token("<s>", 0), token("On", -1), token("ce", -2))),
            PromptRead((token("", 0), token(" On", -1), token("ce", -2))),
        ],
    )
    def test_what_a_model_puts_before_a_text_is_no_part_of_the_echo(self, read: PromptRead):
        echo = asked(prompt="Once", echo=True, logprobs=0)

        [choice] = whole(echo, (Started(3), read, TextDelta("!", (token("!", -3),)), END))[
            "choices"
        ]

        assert choice["text"] == "Once!"
        assert choice["logprobs"]["token_logprobs"] == [-1, -2, -3]

    def test_the_odds_of_a_prompt_and_of_what_follows(self):
        echo = asked(prompt=[1, 2], echo=True, logprobs=1)
        read = PromptRead((token("On", 0), token("ce", -2, token("to", -0.5))))
        events = (Started(2), read, TextDelta("!", (token("!", -3, token("!", -3)),)), END)

        [choice] = whole(echo, events)["choices"]
        pieces = streamed(echo, *events)

        assert choice["text"] == "Once!"
        assert choice["logprobs"] == {
            "tokens": ["On", "ce", "!"],
            "token_logprobs": [None, -2, -3],
            "top_logprobs": [None, {"to": -0.5, "ce": -2}, {"!": -3}],
            "text_offset": [0, 2, 4],
        }
        parts = [each["choices"][0]["logprobs"] for each in pieces[:2]]
        for name, values in choice["logprobs"].items():
            assert [*parts[0][name], *parts[1][name]] == values

    def test_half_a_character_is_written_by_its_bytes(self):
        odds = asked(prompt="a", logprobs=0)
        made = TextDelta("é", (token(b"\xc3", -1), token(b"\xa9", -2)))

        logprobs = whole(odds, (made, END))["choices"][0]["logprobs"]

        assert logprobs["tokens"] == ["bytes:\\xc3", "bytes:\\xa9"]
        assert logprobs["text_offset"] == [0, 0]

    def test_nothing_is_written_where_nothing_is_wanted(self):
        silent = asked(prompt="Once", echo=True, max_tokens=0, logprobs=0)
        read = PromptRead((token("On", 0), token("ce", -2)))
        events = (Started(2), read, TextDelta("!", (token("!", -3),)), END)

        said = whole(silent, events)

        assert said["choices"][0]["text"] == "Once"
        assert said["choices"][0]["logprobs"]["tokens"] == ["On", "ce"]
        assert said["choices"][0]["finish_reason"] == "length"
        assert said["usage"]["completion_tokens"] == 0
        assert [each["choices"][0]["text"] for each in streamed(silent, *events)] == ["Once", ""]

    def test_the_best_of_several_is_told(self):
        best = asked(prompt="a", best_of=2)

        def reply(text: str, logprob: float) -> tuple[Event, ...]:
            return TextDelta(text, (token(text, logprob),)), END

        said = whole(best, reply("worse", -2), reply("better", -1))

        assert [each["text"] for each in said["choices"]] == ["better"]
        assert said["choices"][0]["logprobs"] is None  # nobody asked for them
        assert said["usage"]["completion_tokens"] == 4
