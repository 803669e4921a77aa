"""Grammars on the MLX engine: what may come next, as a mask on the logits of one sequence.

llguidance runs in a process of its own (``grammar_worker.py``): to give it a vocabulary holds
the GIL for up to two seconds. A step asks it for a mask, which takes 30 microseconds.

Nothing here imports mlx: whoever owns the GPU passes ``mlx.core`` in.
"""

import re
import threading
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType

from models.engine import tokenizer
from models.engine.grammar import CompiledGrammar
from models.engine.grammar_maker import GrammarMaker, find_tokens
from models.engine.grammar_process import GrammarChild, NoAnswer
from models.engine.mlx_grammar_desk import Desk, Mismatch, stopped
from models.engine.mlx_sampling import Array
from models.engine.pieces import FastTokenizer, SpelledOut, Tokenizer, pieces_of
from models.engine.tag_watch import TagWatch
from models.errors import InvalidRequest
from models.worker import PYTHON, Command

_WORD_BITS = 32
# Special or not, a tag is no text, or "</think>" could stand in a thought. What else a
# vocabulary has added are words and runs of spaces.
_TAG = re.compile(r"<.+>|\[[A-Z_/]+\]")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    pieces: list[bytes]  # of each token, special ones as they are written
    special: list[int]  # which are no text
    end: list[int]  # which end a turn

    @property
    def bytes(self) -> dict[int, int]:
        """The tokens that are a byte each, by the byte."""
        special = set(self.special)
        return {
            piece[0]: token
            for token, piece in enumerate(self.pieces)
            if len(piece) == 1 and token not in special
        }


def vocabulary_of(tokenizer: Tokenizer, end: Iterable[int]) -> Vocabulary:
    """Return what each token of a model adds to a text.

    Raises:
        InvalidRequest: there is no telling, or no token ends a turn.
    """
    pieces = pieces_of(tokenizer)()
    ends = sorted(end)
    if not isinstance(pieces, SpelledOut) or not ends:
        raise InvalidRequest("This model's vocabulary is of a kind that no grammar can use.")
    fast: FastTokenizer = getattr(tokenizer, "backend_tokenizer")  # noqa: B009  # or no SpelledOut
    written = [pieces.piece(token) for token in range(len(tokenizer))]
    special = {*tokenizer.all_special_ids, *ends}
    for token, added in fast.get_added_tokens_decoder().items():
        if added.special or _TAG.fullmatch(added.content):
            special.add(token)
            written[token] = added.content.encode()
    return Vocabulary(written, sorted(special), ends)


class MlxGrammars:
    """The grammars of one loaded model. ``maker`` makes them, on any thread.

    ``end`` are the tokens that end a turn.
    """

    def __init__(
        self,
        mx: ModuleType,
        loaded: Tokenizer,
        ours: tokenizer.Tokenizer,
        end: Iterable[int],
        *,
        command: Command = PYTHON,
    ) -> None:
        self._mx = mx
        self._loaded = loaded
        self._new_pieces = pieces_of(loaded)
        self._end = sorted(end)
        self._command = command
        self._starting = threading.Lock()  # others who want it wait for the first
        self._desk: Desk | None = None
        self._closed = False
        self.maker = GrammarMaker(
            lambda: find_tokens(ours, end=self._end), self._start, command=command
        )

    def processor(self, grammar: CompiledGrammar) -> "GrammarProcessor":
        """Return what keeps a sequence to its grammar. On the lane's thread; never waits.

        Raises:
            ModelCrashed: the process has stopped since the grammar was made.
        """
        assert self._desk, "started when the grammar was made"
        return GrammarProcessor(self._mx, self._desk, grammar, self._piece)

    def close(self) -> None:
        self._closed = True
        self.maker.close()
        with self._starting:
            if self._desk:
                self._desk.close()

    def _piece(self, token: int) -> bytes:
        """What a token shows, whatever is before it."""
        pieces = self._new_pieces()
        return pieces.piece(token) + pieces.rest()

    def _start(self) -> None:
        """Have the process ready, on a thread that may wait: a large vocabulary takes seconds.

        Raises:
            InvalidRequest: the model's vocabulary cannot be used.
            ModelCrashed: it cannot be started.
        """
        with self._starting:
            if self._closed or (self._desk and not self._desk.gone):
                return
            vocabulary = vocabulary_of(self._loaded, self._end)
            config = {"special": vocabulary.special, "end": vocabulary.end}
            if self._desk:
                self._desk.close()
            try:
                child = GrammarChild(config, self._command, vocabulary.pieces)
                self._desk = Desk(child, vocabulary.bytes)
            except NoAnswer:
                raise stopped() from None


class GrammarProcessor:
    """A logits processor of one sequence.

    mlx_lm works one token ahead: the token behind a trigger has been drawn when the engine
    is told of the trigger. So while a grammar waits, its first mask is laid on where the
    newest token is the trigger, on the device: no value is read, and nobody waits. Behind it
    each token is read.

    Raises:
        InferenceError: the sequence cannot go on. ``Sequence.process`` keeps it for after the
            step, since it is no trouble of the others.
        ModelCrashed: the process that has the grammar is gone.
    """

    def __init__(
        self,
        mx: ModuleType,
        desk: Desk,
        grammar: CompiledGrammar,
        piece: Callable[[int], bytes],
    ) -> None:
        self._mx = mx
        self._desk = desk
        self._trigger = grammar.trigger
        self._shifts = mx.arange(_WORD_BITS, dtype=mx.uint32)
        self._prompt: int | None = None  # tokens before the first that is drawn
        self._handed_out = 0
        self._read: int | None = None  # tokens up to which the mask is right; None: it waits
        self._mask: bytes | None = None
        self._tag = TagWatch(grammar.tag, grammar.trigger or 0, piece) if grammar.tag else None
        self._given_up = False  # behind the tag stood no call
        self._number = desk.begin(grammar.lark if grammar.trigger is None else grammar.tail)
        weakref.finalize(self, desk.over, self._number)

    def saw(self, token: int) -> None:
        """Be told of each token that is handed out, before the next call."""
        self._handed_out += 1
        if self._tag and self._read is None:
            self._tag.saw(token)
        if self._read is None and token == self._trigger and self._prompt is not None:
            self._read = self._prompt + self._handed_out

    def __call__(self, tokens: Array, logits: Array) -> Array:
        if self._given_up:
            return logits
        mx = self._mx
        length = tokens.shape[0]
        if self._prompt is None:
            self._prompt = length
            if self._trigger is None:
                self._read = length
        if self._read is not None:
            # The device works on the logits while we wait for the mask. The tokens first, and
            # apart: who waits for an array waits for all that was submitted with it.
            mx.async_eval(tokens)
            mx.async_eval(logits)
        self._go_on(tokens, length)
        if self._tag and self._tag.has_begun and self._read is None:
            self._look_for_tag(self._tag, tokens, length)
        if self._given_up:
            return logits
        allowed = self._allowed(logits.shape[-1])
        if self._read is None:
            allowed = allowed | (tokens[-1] != self._trigger)
        return mx.where(allowed, logits, mx.array(-mx.inf, logits.dtype))

    def _go_on(self, tokens: Array, length: int) -> None:
        """Have the mask that belongs behind so many tokens."""
        if self._mask is None:
            self._mask = self._desk.answer(self._number)
        if self._read is None or self._read == length:
            return
        # Fewer than were read: what was drawn ahead of time is drawn again.
        new: list[int] = memoryview(tokens)[self._read :].tolist()
        self._desk.tell([self._number, new, max(0, self._read - length)])
        self._read = length
        self._mask = self._desk.answer(self._number)

    def _look_for_tag(self, tag: TagWatch, tokens: Array, length: int) -> None:
        """Begin where the tag is spelled. What stands behind it already is read as bytes."""
        untold = length - (self._prompt or 0) - self._handed_out
        rest = tag.behind(memoryview(tokens)[length - untold :].tolist() if untold else [])
        if rest is None:
            return
        try:
            if rest:
                self._desk.tell([self._number, [self._desk.bytes[each] for each in rest], 0])
                self._mask = self._desk.answer(self._number)
            self._read = length
        except (Mismatch, KeyError):
            self._given_up = True

    def _allowed(self, width: int) -> Array:
        """A truth for each of the logits."""
        mx = self._mx
        words = mx.array(memoryview(self._mask or b"").cast("I"))
        bits = ((words[:, None] >> self._shifts) & 1).reshape(1, -1)[:, :width]
        if bits.shape[-1] < width:  # rows that pad the weights
            bits = mx.pad(bits, ((0, 0), (0, width - bits.shape[-1])))
        return bits.astype(mx.bool_)
