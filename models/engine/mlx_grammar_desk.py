"""The process that has a model's grammars, from the side of the lane: what it is asked, and when.

An answer is waited for where it is needed, and nowhere else; ``mlx_grammar.py`` asks.
"""

import logging
import struct
from collections import deque
from collections.abc import Mapping
from itertools import count

from models.engine.grammar_process import GrammarChild, NoAnswer
from models.errors import InferenceError, ModelCrashed

log = logging.getLogger(__name__)

# For one mask: limits of llguidance end its work after some 50 ms. The first of hundreds of tools
# takes a second, and more where others work.
_SECONDS = 20.0
_HEADER = struct.Struct("<IBI")  # as in grammar_worker.py, which can import nothing of ours


class Mismatch(InferenceError):
    """A sequence is not what its grammar allows."""


class Desk:
    """One child, and the answers of it that nobody has asked for yet. The lane's thread.

    Raises:
        ModelCrashed: the child has stopped. Whoever wants a grammar next has another.
    """

    def __init__(self, child: GrammarChild, bytes_: Mapping[int, int]) -> None:
        self.gone = False
        self.bytes = bytes_
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
            Mismatch: the sequence is not what its grammar allows.
        """
        try:
            while not self._answers[number]:
                self._take_one()
        except NoAnswer:
            raise self._stop() from None
        fine, answer = self._answers[number].popleft()
        if not fine:
            log.error("A grammar could not go on: %s", answer.decode(errors="replace"))
            raise Mismatch("The answer could not be kept to its form: see the log.")
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
        return stopped()

    def over(self, number: int) -> None:
        """Nothing more is asked of a sequence. Any thread."""
        self._over.append(number)

    def close(self) -> None:
        self.gone = True
        self._child.close()


def stopped() -> ModelCrashed:
    return ModelCrashed("The process that keeps answers to their form has stopped: try again.")
