"""Which of a chat's exchanges fit into the context, found from the newest back."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import accumulate

from models.chat import Message, Part, Text, ToolCall, ToolResult
from models.engine.counted import TooLong
from models.engine.prepared import Whole
from models.engine.turns import exchanges

_KEPT_HEAD = 4  # Ollama's num_keep: tokens kept when the middle of a prompt is cut out
_USUAL_DENSITY = 4.0  # characters a token, before anything has been read
_USUAL_FRAME = 16  # characters that a template puts around a message
_FEW_GUESSES = 2  # after which a room that is nearly full will do
_MANY_GUESSES = 6  # after which the halves are tried
_MARGIN = 0.95  # of a room: nearly full
_STEP = 3 / 8  # of what fits, at the most: what is dropped beyond need
_CUT = "\n[…]\n"  # stands where the middle of a text was

Measure = Callable[[tuple[Message, ...], int], Whole]
"""Gives the tokens of messages. Raises TooLong where they are more than the number."""


class History:
    """A chat that may be too long. The system's messages and the last exchange stay."""

    def __init__(self, messages: tuple[Message, ...], measure: Measure, room: int) -> None:
        self._messages = messages
        self._measure = measure
        self._room = room
        said = [each for each in messages if each.role != "system"]
        self._exchanges = exchanges(said)
        # By how many exchanges before the last are kept: characters, templates included.
        newest_first = [
            sum(size_of(each) + _USUAL_FRAME for each in exchange)
            for exchange in reversed(self._exchanges)
        ]
        self._sizes = list(accumulate(newest_first))

    def newest(self) -> tuple[tuple[Message, ...], Whole | None]:
        """Return the messages to keep and their tokens; None where even the last do not fit."""
        count, whole = self._fitting()
        return self._kept(count), whole

    def newest_in_steps(self) -> tuple[tuple[Message, ...], Whole | None]:
        """As ``newest``, but with the first that is kept the same for several turns.

        Where each turn dropped one more exchange, a cache of prompts would find nothing behind
        the system's messages. So what is dropped ends behind a multiple of a step of the
        chat's size, which is a power of two: that hardly ever changes with what fits.
        """
        count, found = self._fitting()
        fitting, whole = self._sizes[count] if self._sizes else 0, max(self._sizes, default=0)
        if found is None or fitting == whole:
            return self._kept(count), found
        step = 1 << (max(1, int(_STEP * fitting)).bit_length() - 1)
        gone = whole - fitting
        least = gone // step * step
        for place in (least, least + step):
            steady = max(0, bisect_right(self._sizes, whole - place) - 1)
            if self._sizes[steady] > fitting / _MARGIN:
                continue  # what was found to fit was as good as full
            try:
                return self._kept(steady), self._measure(self._kept(steady), self._room)
            except TooLong:
                continue
        return self._kept(count), found

    def with_texts_cut(self, messages: tuple[Message, ...]) -> Whole:
        """Return the tokens of messages of which the longest texts have lost their middle.

        They leave half of the context for the answer. Raises TooLong where pictures alone do not.
        """
        target = sum(room_for_cut(self._room))
        for fixed in ("system", None):  # whose texts stay whole
            longest = int(2 * _USUAL_DENSITY * target)  # rather too much at first
            while longest > 0:
                cut = tuple(_cut(each, longest, fixed) for each in messages)
                try:
                    return self._measure(cut, target)
                except TooLong as error:
                    share = target * _MARGIN / (error.likely or error.tokens)
                    longest = int(longest * min(0.9, share))
        # The template's own words are too many.
        empty = tuple(_cut(each, 0, None) for each in messages)
        whole = self._measure(empty, 1 << 30)
        if whole.pictures:
            raise TooLong(len(whole.tokens), exact=True)
        return Whole(without_middle(whole.tokens, self._room))

    def _fitting(self) -> tuple[int, Whole | None]:
        """Return how many exchanges before the last may stay, and all tokens."""
        fits, too_many = -1, max(1, len(self._sizes))
        whole: Whole | None = None
        density = _USUAL_DENSITY
        if self._sizes and self._sizes[-1] <= 2 * density * self._room:
            density *= 2  # rather once too much than a whole chat in steps
        guesses = 0
        while too_many - fits > 1 and not (guesses >= _FEW_GUESSES and self._fills(whole)):
            guess = bisect_right(self._sizes, self._room * density) - 1
            if guesses >= _MANY_GUESSES:
                guess = (fits + too_many) // 2
            guess = min(max(guess, fits + 1), too_many - 1)
            guesses += 1
            try:
                whole = self._measure(self._kept(guess), self._room)
                fits, count = guess, len(whole.tokens)
            except TooLong as error:
                too_many, count = guess, error.likely
            size = self._sizes[guess] if self._sizes else 0
            density = size / count if count else density / 2
        return max(0, fits), whole

    def _fills(self, whole: Whole | None) -> bool:
        return whole is not None and len(whole.tokens) >= _MARGIN * self._room

    def _kept(self, count: int) -> tuple[Message, ...]:
        """The messages of the system, the last exchange, and so many before it."""
        gone = sum(map(len, self._exchanges[: max(0, len(self._exchanges) - 1 - count)]))
        kept: list[Message] = []
        for message in self._messages:
            if message.role != "system" and gone:
                gone -= 1
            else:
                kept.append(message)
        return tuple(kept)


def size_of(message: Message) -> int:
    """Return the characters of what a message says: at the least, as a template writes it."""
    return sum(map(len, texts_of(message)))


def texts_of(message: Message) -> Iterator[str]:
    """What a message says. What was thought before it, many templates leave out."""
    for part in message.parts:
        match part:
            case Text():
                yield part.text
            case ToolCall():
                yield part.arguments
            case ToolResult():
                yield part.text
            case _:
                pass


def room_for_cut(room: int) -> tuple[int, int]:
    """Return how many tokens of the head and the tail are kept when a middle is cut out.

    Half of the context is left for the answer, as Ollama does.
    """
    head = min(_KEPT_HEAD, room)
    return head, (room + 1 - head) // 2 if room > head else 0


def without_middle(tokens: list[int], room: int) -> list[int]:
    """Return tokens without their middle; all of them where they fit."""
    if len(tokens) <= room:
        return tokens
    head, tail = room_for_cut(room)
    return tokens[:head] + tokens[len(tokens) - tail :]


def _cut(message: Message, longest: int, fixed: str | None) -> Message:
    if message.role == fixed:
        return message
    return replace(message, parts=tuple(_cut_part(each, longest) for each in message.parts))


def _cut_part(part: Part, longest: int) -> Part:
    match part:
        case Text(text):
            return Text(_cut_text(text, longest))
        case ToolResult(parts=parts):
            texts = (
                Text(_cut_text(each.text, longest)) if isinstance(each, Text) else each
                for each in parts
            )
            return replace(part, parts=tuple(texts))
        case _:
            return part


def _cut_text(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    half = longest // 2
    return text[:half] + _CUT + text[len(text) - half :] if half else ""
