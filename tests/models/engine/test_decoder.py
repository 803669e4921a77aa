"""The decoder holds back what may be half a character or the start of a stop string."""

import random
from collections.abc import Iterator

import pytest

from models.engine.decoder import Decoder, PlainText, Span
from models.events import Delta, FinishReason, TextDelta, TokenLogprob


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


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("stop", [(), ("never",)])
def test_what_is_no_character_is_shown_as_such_however_it_is_cut(seed: int, stop: tuple[str, ...]):
    data = b"a \xff\xfe b \xe3\x81 c \xed\xa0\x80 \xf0\x9f\x98 nev d"

    said, _ = decode(Decoder(stop), cut(data, seed))

    assert said == data.decode(errors="replace")


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


# -- Text and its tokens stay together ---------------------------------------------


def token(number: int, piece: bytes) -> TokenLogprob:
    return TokenLogprob(number, piece, -number / 10)


def tokens_of(deltas: list[Delta]) -> list[TokenLogprob]:
    return [token for delta in deltas for token in delta.tokens]


def feed(decoder: Decoder, number: int, piece: bytes) -> list[Delta]:
    return decoder.feed(piece, None, (token(number, piece),))[0]


def test_the_tokens_of_half_a_character_come_with_the_whole():
    first, second, third = (
        TokenLogprob(number, piece, -0.1)
        for number, piece in enumerate((b"a\xf0", b"\x9f\x98", b"\x80b"))
    )
    decoder = Decoder(())

    assert decoder.feed(first.piece, None, (first,))[0] == [TextDelta("a", (first,))]
    assert decoder.feed(second.piece, None, (second,))[0] == []
    assert decoder.feed(third.piece, None, (third,))[0] == [TextDelta("😀b", (second, third))]


def test_the_tokens_of_a_possible_stop_string_are_held_with_it():
    decoder = Decoder(("STOP",))

    assert feed(decoder, 1, b"a S") == [TextDelta("a ", (token(1, b"a S"),))]
    assert feed(decoder, 2, b"T") == []
    assert feed(decoder, 3, b"AR") == [TextDelta("STAR", (token(2, b"T"), token(3, b"AR")))]


def test_the_tokens_of_a_stop_string_are_not_said():
    decoder = Decoder(("STOP",))
    feed(decoder, 1, b"so ")
    feed(decoder, 2, b"ST")

    deltas, finish = decoder.feed(b"OP", None, (token(3, b"OP"),))

    assert (deltas, finish) == ([], FinishReason.STOP_STRING)
    assert decoder.stop_string == "STOP"
    assert decoder.said_bytes == len("so ")


def test_a_token_that_a_stop_string_begins_in_is_said_with_its_beginning():
    decoder = Decoder(("hen",))

    deltas, finish = decoder.feed(b"when", None, (token(1, b"when"),))

    assert deltas == [TextDelta("w", (token(1, b"when"),))]
    assert finish is FinishReason.STOP_STRING


def test_of_several_stop_strings_the_one_that_ended_it_is_told():
    decoder = Decoder(("never", "lo", "world"))

    decoder.feed(b"hello world", None)

    assert decoder.stop_string == "lo"


def test_without_a_stop_string_none_is_told():
    decoder = Decoder(("never",))

    _deltas, finish = decoder.feed(b"hello", FinishReason.MAX_TOKENS)

    assert (decoder.stop_string, finish) == (None, FinishReason.MAX_TOKENS)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("stop", [(), ("zebra", "😀😁", "ßx")])
def test_every_token_is_said_once_and_in_its_order(seed: int, stop: tuple[str, ...]):
    data = "Käse 😀 zebr 😀 日本語 ß done".encode()
    numbered = [token(number, piece) for number, piece in enumerate(cut(data, seed))]
    decoder = Decoder(stop)
    deltas: list[Delta] = []
    for each in numbered:
        last = FinishReason.END_OF_TURN if each is numbered[-1] else None
        deltas += decoder.feed(each.piece, last, (each,))[0]

    assert tokens_of(deltas) == numbered
    assert text_of(deltas).encode() == data
    assert decoder.said_bytes == len(data)
    # No delta is ahead of its tokens: their bytes have all of its text.
    said, made = b"", b""
    for delta in deltas:
        assert isinstance(delta, TextDelta)
        said += delta.text.encode()
        made += b"".join(each.piece for each in delta.tokens)
        assert len(made) >= len(said)


def test_a_channel_hears_all_and_the_end():
    class Shouting(PlainText):
        def feed(self, span: Span) -> Iterator[Delta]:
            yield TextDelta(span.text.upper(), span.tokens)

        def end(self) -> Iterator[Delta]:
            yield TextDelta("!")

    decoder = Decoder((), Shouting())

    assert decoder.feed(b"hello", None)[0] == [TextDelta("HELLO")]
    assert decoder.feed(b" you", FinishReason.END_OF_TURN)[0] == [
        TextDelta(" YOU"),
        TextDelta("!"),
    ]
