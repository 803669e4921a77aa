"""The decoder holds back what may be half a character or the start of a stop string."""

import random

import pytest

from models.engine.decoder import Decoder
from models.events import Delta, FinishReason, TextDelta


def text_of(deltas: list[Delta]) -> str:
    assert all(isinstance(delta, TextDelta) for delta in deltas)
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def decode(decoder: Decoder, pieces: list[bytes]) -> tuple[str, FinishReason | None]:
    said, finish = "", None
    for position, piece in enumerate(pieces):
        last = FinishReason.END_OF_TURN if position == len(pieces) - 1 else None
        deltas, finish = decoder.feed(piece, last)
        said += text_of(deltas)
        if finish:
            break
    return said, finish


def cut(data: bytes, seed: int) -> list[bytes]:
    chance = random.Random(seed)
    pieces: list[bytes] = []
    while data:
        size = chance.randint(1, 4)
        pieces.append(data[:size])
        data = data[size:]
    return pieces


@pytest.mark.parametrize("seed", range(20))
def test_text_arrives_whole_however_its_bytes_are_cut(seed: int):
    text = "Käse 😀 日本語 👩‍💻 ∑ done"

    said, finish = decode(Decoder(()), cut(text.encode(), seed))

    assert said == text
    assert finish is FinishReason.END_OF_TURN


def test_no_delta_is_ever_empty_or_half_a_character():
    decoder = Decoder(())
    deltas = [delta for byte in "é😀".encode() for delta in decoder.feed(bytes([byte]), None)[0]]

    assert deltas == [TextDelta("é"), TextDelta("😀")]


def test_half_a_character_at_the_end_is_dropped():
    said, _ = decode(Decoder(()), [b"ab", "😀".encode()[:2]])

    assert said == "ab"


@pytest.mark.parametrize("seed", range(20))
def test_a_stop_string_ends_the_text_however_it_is_cut(seed: int):
    data = b"one </stop nearly </stop> never said"

    said, finish = decode(Decoder(("</stop>", "nothing")), cut(data, seed))

    assert said == "one </stop nearly "
    assert finish is FinishReason.STOP_STRING


def test_the_earliest_of_several_stop_strings_wins():
    said, _ = decode(Decoder(("world", "lo")), [b"hello world"])

    assert said == "hel"


def test_the_beginning_of_a_stop_string_is_said_once_it_cannot_be_one():
    decoder = Decoder(("STOP",))

    assert decoder.feed(b"a ST", None)[0] == [TextDelta("a ")]
    assert decoder.feed(b"ART", None)[0] == [TextDelta("START")]


def test_a_possible_beginning_is_said_at_the_end():
    said, _ = decode(Decoder(("STOP",)), [b"a ST"])

    assert said == "a ST"


def test_an_empty_stop_string_stops_nothing():
    said, finish = decode(Decoder(("",)), [b"all of it"])

    assert said == "all of it"
    assert finish is FinishReason.END_OF_TURN
