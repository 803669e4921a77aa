"""Reader of Gemma's calls: an object without quotes around its names."""

import json
import re
from collections.abc import Iterator

from models.engine.calls import Outcome, Piece, SteppedReader, skip_space
from models.engine.calls_json import pattern_of
from models.engine.decoder import Held, undecided
from models.engine.json_scan import is_object
from models.engine.typed_values import literal_as_json
from models.markup import Calls

_LONGEST_HEAD = 256  # characters
_BARE = re.compile(r"[^\s,:{}\[\]][^,{}\[\]]*")
_KEY = re.compile(r"([^\s,:{}\[\]<][^,:{}\[\]]*):")


class GemmaCalls(SteppedReader):
    """``call:look_up{city:<|"|>Bern<|"|>,days:2}`` and the end tag."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(self._read_head)
        self._row = calls
        self._quote = (
            calls.parameter.partition("{value}")[0].partition("{key}")[2].removeprefix(":")
        )
        self._head = re.compile(pattern_of(calls.call.partition("{parameters}")[0]))
        self._open: list[str] = []  # braces and brackets
        self._at_key = False
        self._said: list[str] = []

    def _read_head(self, held: Held, last: bool) -> Iterator[Piece]:
        if found := self._head.match(held.text):
            yield Piece(name=found["name"], tokens=held.take(found.end()).tokens)
            self._open, self._at_key, self._said = ["{"], True, ["{"]
            yield Piece(arguments="{")
            self._next(self._read_part)
        elif last or len(held.text) > _LONGEST_HEAD or self._row.end in held.text:
            self.outcome = Outcome.TEXT

    def _tell(self, said: str, held: Held, length: int) -> Piece:
        self._said.append(said)
        return Piece(arguments=said, tokens=held.take(length).tokens)

    def _read_part(self, held: Held, last: bool) -> Iterator[Piece]:
        """One name, value or mark."""
        skip_space(held)
        text = held.text
        if not text:
            self._cut(last)
        elif text[0] in "}]":
            yield self._tell("}" if self._open.pop() == "{" else "]", held, 1)
            self._next(self._read_part if self._open else self._read_end)
        elif text[0] == ",":
            self._at_key = self._open[-1] == "{"
            yield self._tell(", ", held, 1)
            self._next(self._read_part)
        elif text[0] in "{[" and not self._at_key:
            self._open.append(text[0])
            self._at_key = text[0] == "{"
            yield self._tell(text[0], held, 1)
            self._next(self._read_part)
        elif self._quote.startswith(text[: len(self._quote)]):
            if len(text) >= len(self._quote):
                yield self._tell('"', held, len(self._quote))
                self._next(self._read_string)
            else:
                self._cut(last)
        elif self._at_key and (key := _KEY.match(text)):
            yield self._tell(f"{json.dumps(key[1], ensure_ascii=False)}: ", held, key.end())
            self._at_key = False
            self._next(self._read_part)
        elif text.startswith(self._row.end) or (self._at_key and text[0] == ":"):
            self._cut(last=True)
        elif not self._at_key and (bare := _BARE.match(text)) and bare.end() < len(text):
            yield self._tell(literal_as_json(bare[0]), held, bare.end())
            self._next(self._read_part)
        else:
            self._cut(last)

    def _read_string(self, held: Held, last: bool) -> Iterator[Piece]:
        text, quote = held.text, self._quote
        place = text.find(quote)
        end = place if place >= 0 else len(text) - (0 if last else undecided(text, (quote,)))
        if end:
            yield self._tell(json.dumps(text[:end], ensure_ascii=False)[1:-1], held, end)
        if place < 0:
            self._cut(last)
            return
        was_key, self._at_key = self._at_key, False
        yield self._tell('": ' if was_key else '"', held, len(quote))
        if was_key:
            skip_space(held)
            held.take(held.text.startswith(":"))
        self._next(self._read_part)

    def _cut(self, last: bool) -> None:
        if last:
            self._next(self._read_end)

    def _read_end(self, held: Held, last: bool) -> Iterator[Piece]:
        yield from ()
        skip_space(held)
        text, end = held.text, self._row.end
        if not last and end.startswith(text) and text != end:
            return
        self.faulty |= not is_object("".join(self._said))
        held.take(len(end) if text.startswith(end) or (last and end.startswith(text)) else 0)
        self.outcome = Outcome.OVER
