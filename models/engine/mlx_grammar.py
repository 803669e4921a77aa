"""Grammars on the MLX engine: what may come next, as a mask on the logits of one sequence.

llguidance runs in a process of its own (``grammar_worker.py``): to give it a vocabulary holds
the GIL for up to two seconds. A step asks it for a mask, which takes 30 microseconds.

Nothing here imports mlx: whoever owns the GPU passes ``mlx.core`` in.
"""

import logging
import re
import struct
import threading
import weakref
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from types import ModuleType

from models.engine import tokenizer
from models.engine.grammar import CompiledGrammar
from models.engine.grammar_maker import GrammarMaker, find_tokens
from models.engine.grammar_process import GrammarChild, NoAnswer
from models.engine.mlx_sampling import Array
from models.engine.pieces import FastTokenizer, SpelledOut, Tokenizer, pieces_of
from models.errors import InferenceError, InvalidRequest, ModelCrashed
from models.worker import PYTHON, Command

log = logging.getLogger(__name__)

# For one mask: limits of llguidance end its work after some 50 ms. The first of hundreds of tools
# takes a second, and more where others work.
_SECONDS = 20.0
_WORD_BITS = 32
_HEADER = struct.Struct("<IBI")  # as in grammar_worker.py, which can import nothing of ours
# Special or not, a tag is no text, or "</think>" could stand in a thought. What else a
# vocabulary has added are words and runs of spaces.
_TAG = re.compile(r"<.+>|\[[A-Z_/]+\]")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    pieces: list[bytes]  # of each token, special ones as they are written
    special: list[int]  # which are no text
    end: list[int]  # which end a turn


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
        self._end = sorted(end)
        self._command = command
        self._starting = threading.Lock()  # others who want it wait for the first
        self._desk: _Desk | None = None
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
        return GrammarProcessor(self._mx, self._desk, grammar)

    def close(self) -> None:
        self._closed = True
        self.maker.close()
        with self._starting:
            if self._desk:
                self._desk.close()

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
                self._desk = _Desk(GrammarChild(config, self._command, vocabulary.pieces))
            except NoAnswer:
                raise _stopped() from None


class _Desk:
    """One child, and the answers of it that nobody has asked for yet. The lane's thread.

    Raises:
        ModelCrashed: the child has stopped. Whoever wants a grammar next has another.
    """

    def __init__(self, child: GrammarChild) -> None:
        self.gone = False
        self._child = child
        self._numbers = count()
        self._answers: dict[int, deque[tuple[bool, bytes]]] = {}
        self._over: deque[int] = deque()  # any thread adds

    def begin(self, lark: str) -> int:
        """Return the number of a new sequence. Its first mask is on its way."""
        number = next(self._numbers)
        self._answers[number] = deque()
        self.tell([number, lark])
        return number

    def tell(self, question: object) -> None:
        try:
            while self._over:
                number = self._over.popleft()
                self._answers.pop(number, None)
                self._child.tell([number])
            self._child.tell(question)
        except NoAnswer:
            raise self._stop() from None

    def answer(self, number: int) -> bytes:
        """Return the mask that was asked for first.

        Raises:
            InferenceError: the sequence is not what its grammar allows.
        """
        try:
            while not self._answers[number]:
                self._take_one()
        except NoAnswer:
            raise self._stop() from None
        fine, answer = self._answers[number].popleft()
        if not fine:
            log.error("A grammar could not go on: %s", answer.decode(errors="replace"))
            raise InferenceError("The answer could not be kept to its form: see the log.")
        return answer

    def _take_one(self) -> None:
        """Raises NoAnswer."""
        number, fine, size = _HEADER.unpack(self._child.read(_HEADER.size, _SECONDS))
        answer = self._child.read(size, _SECONDS)
        if number in self._answers:
            self._answers[number].append((fine, answer))

    def _stop(self) -> ModelCrashed:
        if not self.gone:
            log.warning("The process that has the grammars (pid %d) has stopped", self._child.pid)
        self.gone = True
        self._child.kill()
        return _stopped()

    def over(self, number: int) -> None:
        """Nothing more is asked of a sequence. Any thread."""
        self._over.append(number)

    def close(self) -> None:
        self.gone = True
        self._child.close()


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

    def __init__(self, mx: ModuleType, desk: _Desk, grammar: CompiledGrammar) -> None:
        self._mx = mx
        self._desk = desk
        self._trigger = grammar.trigger
        self._shifts = mx.arange(_WORD_BITS, dtype=mx.uint32)
        self._prompt: int | None = None  # tokens before the first that is drawn
        self._handed_out = 0
        self._read: int | None = None  # tokens up to which the mask is right; None: it waits
        self._mask: bytes | None = None
        self._number = desk.begin(grammar.lark if grammar.trigger is None else grammar.tail)
        weakref.finalize(self, desk.over, self._number)

    def saw(self, token: int) -> None:
        """Be told of each token that is handed out, before the next call."""
        self._handed_out += 1
        if self._read is None and token == self._trigger and self._prompt is not None:
            self._read = self._prompt + self._handed_out

    def __call__(self, tokens: Array, logits: Array) -> Array:
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

    def _allowed(self, width: int) -> Array:
        """A truth for each of the logits."""
        mx = self._mx
        words = mx.array(memoryview(self._mask or b"").cast("I"))
        bits = ((words[:, None] >> self._shifts) & 1).reshape(1, -1)[:, :width]
        if bits.shape[-1] < width:  # rows that pad the weights
            bits = mx.pad(bits, ((0, 0), (0, width - bits.shape[-1])))
        return bits.astype(mx.bool_)


def _stopped() -> ModelCrashed:
    return ModelCrashed("The process that keeps answers to their form has stopped: try again.")
