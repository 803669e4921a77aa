"""The child process that has llguidance: nothing else of ours is loaded here.

What it builds holds the GIL for up to seconds, and a grammar may be made to take for ever: it
is killed then, and nobody else notices. One line of JSON on stdin is one question. When stdin
ends, because the parent closed it or died, so does this process.

The first says what it is for, and is answered by {} when the child is ready:

{"tokens": 0, "named": N}                           it checks; N special tokens may be named
{"tokens": N, "special": [ID, ...], "end": [ID, ...]}   it has a vocabulary, of which come the
                                                    lengths of N tokens, and then their bytes

It checks:

{"grammar": LARK, "text": LARK} is it one, and what can come first: {} or {"error": TEXT}
{"text": LARK, "said": [PART, ...]} does it match: {"matches": BOOL}. A part is a text, or
                                [N, TEXT]: what the grammar calls token 256 + N, and what it shows
{"parts": [LARK, ...]}          what is wrong with each: {"errors": [TEXT, ...]}
{"candidates": [LARK, ...]}     which is the first that is wrong: {"place": N or null, "error": …}

With a vocabulary it says for each step what may come next, in bytes: see ``_Matchers``.

[SEQUENCE, LARK]             a sequence begins
[SEQUENCE, [ID, ...], N]     it goes on, after its latest N tokens have been taken back
[SEQUENCE]                   it is over, and not answered
"""

import ctypes
import json
import os
import random
import struct
import sys
from array import array
from typing import Any, BinaryIO

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

_HEADER = struct.Struct("<IBI")  # sequence, whether it went well, bytes that follow

# A lexer state takes 1 to 2 kB. Everything else is llguidance's own, which llama.cpp has too.
_LIMITS = LLParserLimits(max_lexer_states=100_000)


# What is tried of a new grammar: some 3 ms.
_TRIES = 3
_TRIED_BYTES = 50

_MOST_READINGS = 64


class _Vocabulary:
    """What ``TokenizerWrapper`` is made of."""

    bos_token_id = None

    def __init__(self, tokens: list[bytes], special: list[int]) -> None:
        # An end of its own, behind all others: the real ones are named by the grammar, and
        # llguidance does not take a token for both.
        self.tokens = [*tokens, b"<end>"]
        self.eos_token_id = len(tokens)
        self.special_token_ids = [*special, len(tokens)]

    def __call__(self, text: bytes) -> list[int]:
        return []  # it is asked for tokens that are forced, which nobody wants here


def _tokenizer(
    tokens: list[bytes], special: list[int], slices: list[str] | None = None
) -> LLTokenizer:
    return LLTokenizer(TokenizerWrapper(_Vocabulary(tokens, special)), slices=slices)


def main() -> None:
    # Whatever prints on stdout: keep the real one for ourselves.
    answers = os.fdopen(os.dup(1), "wb", 0)
    os.dup2(2, 1)
    first = sys.stdin.buffer.readline()
    if not first:
        return
    config: dict[str, Any] = json.loads(first)
    if config.get("tokens"):
        _Matchers(config, answers).run()
        return
    tokens = [bytes([each]) for each in range(256)]
    tokens += [f"<{number}>".encode() for number in range(config["named"])]
    tokenizer = _tokenizer(tokens, list(range(256, len(tokens))), slices=[])
    answers.write(b"{}\n")
    for line in sys.stdin.buffer:
        answers.write(json.dumps(_answer(tokenizer, json.loads(line))).encode() + b"\n")


def _answer(tokenizer: LLTokenizer, asked: dict[str, Any]) -> dict[str, Any]:
    match asked:
        case {"grammar": str(lark), "text": str(text)}:
            if wrong := _wrong(lark):
                return {"error": wrong}
            wrong = _tried(tokenizer, text) if text else ""
            return {"error": wrong} if wrong else {}
        case {"text": str(text), "said": [*said]}:
            return {"matches": _matches(tokenizer, text, said)}
        case {"parts": [*larks]}:
            return {"errors": [_wrong(str(lark)) for lark in larks]}
        case {"candidates": [*larks]}:
            for place, lark in enumerate(larks):
                if wrong := _wrong(str(lark)):
                    return {"place": place, "error": wrong}
            return {"place": None}
        case _:
            raise ValueError(f"not understood: {asked}")


def _matches(tokenizer: LLTokenizer, text: str, said: list[Any]) -> bool:
    readings = [LLMatcher(tokenizer, text, log_level=0, limits=_LIMITS)]
    for part in said:
        if isinstance(part, str):
            readings = [each for each in readings if each.consume_tokens(list(part.encode()))]
            continue
        number, shown = part
        # The token may be meant, or the text that it shows.
        others = [each.deep_copy() for each in readings] if shown else []
        readings = [each for each in readings if each.consume_token(256 + number)]
        readings += [each for each in others if each.consume_tokens(list(shown.encode()))]
        if len(readings) > _MOST_READINGS:
            return True  # or it would take for ever to find out
    return any(each.is_accepting() for each in readings)


def _tried(tokenizer: LLTokenizer, text: str) -> str:
    """Say a few random things: some limits show only on the way."""
    chance = random.Random(0)
    fresh = LLMatcher(tokenizer, text, log_level=0, limits=_LIMITS)
    for _ in range(_TRIES):
        matcher = fresh.deep_copy()
        for _ in range(_TRIED_BYTES):
            if matcher.is_stopped():
                break
            mask = matcher.compute_bitmask()
            allowed = [each for each in range(256) if mask[each // 8] >> each % 8 & 1]
            if not allowed:
                break
            matcher.consume_token(chance.choice(allowed))
        if matcher.is_error():
            return matcher.get_error()
    return ""


def _wrong(lark: str) -> str:
    is_wrong, words = LLMatcher.validate_grammar_with_warnings(lark, limits=_LIMITS)
    return words[0] if is_wrong else ""


class _Matchers:
    """What the next token of each sequence may be: a bit for each row of the logits.

    An answer is ``_HEADER`` and then the mask, or, where something is wrong, the reason.
    """

    def __init__(self, asked: dict[str, Any], answers: BinaryIO) -> None:
        lengths = array("I")
        lengths.frombytes(sys.stdin.buffer.read(asked["tokens"] * lengths.itemsize))
        tokens = [sys.stdin.buffer.read(length) for length in lengths]
        self._tokenizer = _tokenizer(tokens, asked["special"])
        self._answers = answers
        self._matchers: dict[int, LLMatcher] = {}
        self._size = (self._tokenizer.vocab_size + 31) // 32 * 4
        self._mask = ctypes.create_string_buffer(self._size)
        end = bytearray(self._size)  # when all is said: only the end
        for each in asked["end"]:
            end[each // 8] |= 1 << each % 8
        self._end = bytes(end)
        answers.write(b"{}\n")

    def run(self) -> None:
        for line in sys.stdin.buffer:
            match json.loads(line):
                case [int(sequence)]:
                    self._matchers.pop(sequence, None)
                case [int(sequence), str(lark)]:
                    matcher = LLMatcher(self._tokenizer, lark, log_level=0, limits=_LIMITS)
                    self._matchers[sequence] = matcher
                    self._answer(sequence, matcher)
                case [int(sequence), [*tokens], int(back)]:
                    matcher = self._matchers[sequence]
                    if back:
                        matcher.rollback(back)
                    if not matcher.is_stopped():  # behind the end it is not looked at
                        matcher.consume_tokens(tokens)
                    self._answer(sequence, matcher)
                case other:
                    raise ValueError(f"not understood: {other}")

    def _answer(self, sequence: int, matcher: LLMatcher) -> None:
        mask = self._end
        if not matcher.is_stopped():
            matcher.unsafe_compute_mask_ptr(ctypes.addressof(self._mask), self._size)
            mask = bytes(self._mask)
        fine = not matcher.is_error()  # of the tokens or of the mask
        answer = mask if fine else matcher.get_error().encode()
        self._answers.write(_HEADER.pack(sequence, fine, len(answer)) + answer)


if __name__ == "__main__":
    main()
