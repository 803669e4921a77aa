"""OpenAI's embeddings as pure functions: bodies in, requests out; vectors in, bodies out."""

import base64
import struct

import pytest

from models.chat import EmbedRequest, Overflow
from models.errors import InvalidRequest
from models.events import Embedded
from models.reply import Reply
from server.answer import Asked
from server.formats.openai.embeddings import parse

VECTORS = Embedded(((0.5, -0.25), (1.0, 0.0)), 7)


def asked(**body) -> Asked:
    return parse({"model": "tiny"} | body)


def request(**body) -> EmbedRequest:
    made = asked(**body).request
    assert isinstance(made, EmbedRequest)
    return made


def refusal(**body) -> str:
    with pytest.raises(InvalidRequest) as caught:
        asked(**body)
    return str(caught.value)


def test_every_form_of_an_input():
    assert request(input="a").inputs == ("a",)
    assert request(input=["a", "b"]).inputs == ("a", "b")
    assert request(input=[1, 2]).inputs == ((1, 2),)
    assert request(input=[[1, 2], [3]]).inputs == ((1, 2), (3,))


def test_what_else_can_be_asked():
    made = request(input="a", dimensions=64, keep_alive="1m", truncate=True, num_ctx=512)

    assert made.dimensions == 64
    assert made.keep_alive_seconds == 60
    assert made.overflow is not Overflow.REFUSE
    assert made.context_length == 512
    assert request(input="a").overflow is Overflow.REFUSE
    assert asked(input="a", user="me").ignored == ("user",)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "invalid input"),
        ({"input": []}, "invalid input"),
        ({"input": ""}, '"input" cannot be an empty string.'),
        ({"input": ["a", ""]}, '"input" cannot be an empty string.'),
        ({"input": ["a"] * 2049}, '"input" may have at most 2048 texts.'),
        ({"input": "a", "dimensions": 0}, '"dimensions" must be at least 1.'),
        (
            {"input": "a", "encoding_format": "hex"},
            "Invalid value for 'encoding_format' = hex. Supported values: ['float', 'base64'].",
        ),
        ({"input": [["a"]]}, '"input" must be a text, the ids of its tokens, or a list of either, '
         "not a list."),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(body: dict, sentence: str):
    assert refusal(**body) == sentence


def test_vectors_as_numbers_and_as_bytes():
    numbers = asked(input=["a", "b"]).encoder.whole(Reply(), VECTORS)
    packed = asked(input=["a", "b"], encoding_format="base64").encoder.whole(Reply(), VECTORS)

    assert [tuple(each["embedding"]) for each in numbers["data"]] == list(VECTORS.vectors)
    assert [each["index"] for each in numbers["data"]] == [0, 1]
    assert numbers["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert [
        struct.unpack("<2f", base64.b64decode(each["embedding"])) for each in packed["data"]
    ] == list(VECTORS.vectors)
