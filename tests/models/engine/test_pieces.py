"""Tokens to bytes: nothing lost, nothing twice, for every kind of vocabulary."""

import json
import random
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from models.engine.pieces import Redecoded, SpelledOut, pieces_of

pytestmark = pytest.mark.skipif(
    find_spec("transformers") is None,
    reason="transformers comes with MLX, which is not installed: pip install -e '.[mlx]'",
)

ALPHABETS = [
    range(0x20, 0x7F),
    range(0xA0, 0x250),
    range(0x300, 0x370),  # combining marks
    range(0x4E00, 0x4F00),
    range(0x1F300, 0x1F650),
    [0x0A, 0x09, 0x20, 0x20, 0x200D, 0xFE0F, 0xFFFD, 0x2581, 0x10FFFF],
]


def texts(count: int) -> list[str]:
    chance = random.Random(20261121)
    return [
        "".join(
            chr(chance.choice(chance.choice(ALPHABETS))) for _ in range(chance.randrange(1, 40))
        )
        for _ in range(count)
    ]


def tokenizer_from(path: Path) -> Any:
    return import_module("transformers").PreTrainedTokenizerFast(tokenizer_file=str(path))


def tokenizer_of(**parts: Any) -> Any:
    """A tokenizer made of the parts of a tokenizer.json."""
    empty = ["normalizer", "pre_tokenizer", "post_processor", "truncation", "padding"]
    whole = dict.fromkeys(empty) | {"version": "1.0", "added_tokens": []} | parts
    tokenizer = import_module("tokenizers").Tokenizer.from_str(json.dumps(whole))
    return import_module("transformers").PreTrainedTokenizerFast(tokenizer_object=tokenizer)


@pytest.fixture
def byte_level(testdata: Path) -> Any:
    return tokenizer_from(testdata / "models/tinychat/tokenizer.json")


def sentencepiece() -> Any:
    """As Llama 2's: a space is ▁, one is put in front, and unknown characters are bytes."""
    space = {"pattern": {"String": " "}, "content": "▁"}
    back = {"pattern": {"String": "▁"}, "content": " "}
    words = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"helowrd", "▁h", "el"]
    return tokenizer_of(
        model={
            "type": "BPE",
            "vocab": {word: place for place, word in enumerate(words)},
            "merges": ["▁ h", "e l"],
            "unk_token": "<unk>",
            "byte_fallback": True,
        },
        normalizer={
            "type": "Sequence",
            "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace"} | space],
        },
        decoder={
            "type": "Sequence",
            "decoders": [
                {"type": "Replace"} | back,
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
    )


def metaspace() -> Any:
    words = [["<unk>", 0.0], ["▁hello", -1.0], ["▁world", -1.0]]
    mark = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return tokenizer_of(
        model={"type": "Unigram", "vocab": words, "unk_id": 0}, pre_tokenizer=mark, decoder=mark
    )


def wordpiece() -> Any:
    words = ["[UNK]", "the", "sea", "##side", "##s", "é"]
    return tokenizer_of(
        model={
            "type": "WordPiece",
            "vocab": {word: place for place, word in enumerate(words)},
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
        },
        pre_tokenizer={"type": "Whitespace"},
        decoder={"type": "WordPiece", "prefix": "##", "cleanup": False},
    )


def said(pieces: Any, tokens: list[int]) -> str:
    return (b"".join(map(pieces.piece, tokens)) + pieces.rest()).decode()


def test_a_byte_level_vocabulary_spells_any_text(byte_level: Any) -> None:
    new_pieces = pieces_of(byte_level)

    assert isinstance(new_pieces(), SpelledOut)
    for text in texts(300):
        assert said(new_pieces(), byte_level.encode(text)) == text


def test_a_large_byte_level_vocabulary_spells_any_text(testdata: Path) -> None:
    qwen = tokenizer_from(testdata / "tokenizers/qwen2/tokenizer.json")
    new_pieces = pieces_of(qwen)

    for text in texts(300):
        normalised = qwen.backend_tokenizer.normalizer.normalize_str(text)
        assert said(new_pieces(), qwen.encode(text)) == normalised


def test_a_character_may_be_spread_over_several_pieces(byte_level: Any) -> None:
    pieces = [pieces_of(byte_level)().piece(token) for token in byte_level.encode("🙂")]

    assert len(pieces) > 1
    assert b"".join(pieces).decode() == "🙂"


def test_a_sentencepiece_vocabulary_spells_any_text() -> None:
    tokenizer = sentencepiece()
    new_pieces = pieces_of(tokenizer)

    assert isinstance(new_pieces(), SpelledOut)
    for text in texts(300):
        # It does not tell a space from the character it writes for one.
        assert said(new_pieces(), tokenizer.encode(text)) == " " + text.replace("▁", " ")


def test_a_completion_keeps_the_space_before_its_first_word() -> None:
    tokenizer = metaspace()

    assert said(pieces_of(tokenizer)(), tokenizer.encode("hello world")) == " hello world"


def test_special_tokens_are_silent_and_added_words_are_not(byte_level: Any) -> None:
    byte_level.add_tokens(["<think>", "été"])
    pieces = pieces_of(byte_level)()

    tokens = byte_level.encode("<|im_start|>a<think>été<|im_end|>")

    assert said(pieces, tokens) == "a<think>été"


def test_a_token_beyond_the_vocabulary_is_silent(byte_level: Any) -> None:
    assert pieces_of(byte_level)().piece(len(byte_level) + 100) == b""


def test_text_that_depends_on_the_tokens_before_is_decoded_with_them() -> None:
    tokenizer = wordpiece()
    pieces = pieces_of(tokenizer)()

    assert isinstance(pieces, Redecoded)
    assert said(pieces, [1, 2, 3, 5, 2, 4]) == "the seaside é seas"


def test_decoding_again_loses_and_doubles_nothing(byte_level: Any) -> None:
    sentence_piece = sentencepiece()
    for text in texts(150):
        assert said(Redecoded(byte_level), byte_level.encode(text)) == text
        tokens = sentence_piece.encode(text)
        assert said(Redecoded(sentence_piece), tokens) == sentence_piece.decode(tokens)


def test_two_sequences_that_are_decoded_again_do_not_mix() -> None:
    new_pieces = pieces_of(wordpiece())
    first, second = new_pieces(), new_pieces()

    assert [first.piece(2), second.piece(1), first.piece(3), second.piece(2)] == [
        b"sea",
        b"the",
        b"side",
        b" sea",
    ]
