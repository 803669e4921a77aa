"""The child processes that have llguidance, from our side: ``grammar_worker.py`` is theirs.

One checks grammars, and is killed and started anew where one takes too long. Another one, with
the vocabulary of an MLX model, says what may come next: see ``mlx_grammar.py``.
"""

import json
import os
import selectors
import subprocess
import threading
import time
from array import array
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from models.engine.grammar import CompiledGrammar, Said
from models.engine.grammar_limits import MOST_NAMED, SECONDS_A_PART, SECONDS_TO_CHECK
from models.errors import InferenceError, InvalidRequest
from models.worker import PYTHON, Command

_WORKER = Path(__file__).with_name("grammar_worker.py")
_START_SECONDS = 30.0  # on a computer that is busy, and with a large vocabulary
_SECONDS_A_MEGABYTE = 30.0  # of an answer that is checked at its end
_MOST_CANDIDATES = 500
_MOST_REMEMBERED = 64  # grammars: an agent's tools are the same at each of its turns
_MOST_PARTS = 2048  # tools, by what they may be given


class NoAnswer(Exception):
    """It took too long, or the child is gone."""


class GrammarChild:
    """One child, ready to be asked. After ``NoAnswer`` it is of no more use.

    ``tokens`` is the vocabulary of a model, if it is to have one.

    Raises:
        NoAnswer: it cannot be started.
    """

    def __init__(
        self, config: dict[str, Any], command: Command = PYTHON, tokens: Sequence[bytes] = ()
    ) -> None:
        self._child = subprocess.Popen(
            [*command, str(_WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # a Ctrl-C in the terminal is meant for us alone
        )
        assert self._child.stdin is not None and self._child.stdout is not None, "made with PIPE"
        self._stdin = self._child.stdin
        self._stdout = self._child.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)
        try:
            self.tell({**config, "tokens": len(tokens)})
            # Not as JSON: that would hold the GIL for as long as it takes to write it all.
            self._write(array("I", map(len, tokens)).tobytes() + b"".join(tokens))
            self.read_line(_START_SECONDS)
        except NoAnswer:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._child.pid

    def tell(self, question: object) -> None:
        """Raises NoAnswer."""
        self._write(json.dumps(question).encode() + b"\n")

    def _write(self, said: bytes) -> None:
        left = memoryview(said)
        try:
            while left:
                left = left[os.write(self._stdin.fileno(), left) :]
        except (OSError, ValueError):
            raise NoAnswer from None

    def read(self, size: int, seconds: float) -> bytes:
        """Return so many bytes. Raises NoAnswer."""
        found = bytearray()
        deadline = time.monotonic() + seconds
        while len(found) < size:
            found += self._some(size - len(found), deadline)
        return bytes(found)

    def read_line(self, seconds: float) -> dict[str, Any]:
        """Raises NoAnswer."""
        found = bytearray()
        deadline = time.monotonic() + seconds
        while not found.endswith(b"\n"):
            found += self._some(1 << 16, deadline)
        return json.loads(found)

    def _some(self, most: int, deadline: float) -> bytes:
        try:
            ready = self._selector.select(max(0.0, deadline - time.monotonic()))
            if ready and (found := os.read(self._stdout.fileno(), most)):
                return found
        except (OSError, ValueError):
            pass
        raise NoAnswer

    def kill(self) -> None:
        """Have whoever waits for an answer get ``NoAnswer``. Any thread."""
        self._child.kill()  # it has nothing to write and nothing to keep

    def close(self) -> None:
        """End it. Harmless when it is gone; nobody else may be asking."""
        self.kill()
        self._child.wait()
        self._selector.close()
        for pipe in (self._stdin, self._stdout):
            with suppress(OSError):
                pipe.close()


class GrammarChecker:
    """Says of grammars, and of answers, whether they are right. Any thread may call it.

    It starts nothing until it is asked.
    """

    def __init__(self, command: Command = PYTHON) -> None:
        self._command = command
        self._lock = threading.Lock()  # one question and its answer at a time
        self._child: GrammarChild | None = None
        self._closed = False
        # What is wrong with the latest, in order; "": nothing.
        self._known: dict[CompiledGrammar, str] = {}
        self._known_parts: dict[str, str] = {}

    def check(self, grammar: CompiledGrammar, parts: int = 0) -> str:
        """Return what is wrong with a grammar in llguidance's words; "": nothing is.

        ``parts`` is of how many it is made that are known to be right.

        Raises:
            InvalidRequest: it takes too long to find out.
        """
        if grammar in self._known:
            return self._known[grammar]
        question = {"grammar": grammar.lark, "text": grammar.text}
        seconds = SECONDS_TO_CHECK + parts * SECONDS_A_PART
        try:
            wrong = str(self._ask(question, seconds).get("error", ""))
        except NoAnswer:
            raise InvalidRequest(
                f"The grammar is too complex: it could not be prepared in {seconds:g} seconds."
            ) from None
        self._remember(grammar, wrong)
        return wrong

    def check_parts(self, larks: Sequence[str]) -> dict[str, str]:
        """Likewise of each of some texts of Lark of which others are made: more are remembered."""
        found = {lark: self._known_parts[lark] for lark in larks if lark in self._known_parts}
        new = [lark for lark in dict.fromkeys(larks) if lark not in found]
        if not new:
            return found
        seconds = SECONDS_TO_CHECK + len(new) * SECONDS_A_PART
        try:
            found |= dict(zip(new, self._ask({"parts": new}, seconds)["errors"], strict=True))
        except NoAnswer:  # it is one of them
            found |= {lark: self._alone(lark) for lark in new}
        with self._lock:
            self._known_parts |= found
            while len(self._known_parts) > _MOST_PARTS:
                del self._known_parts[next(iter(self._known_parts))]
        return found

    def _alone(self, lark: str) -> str:
        try:
            return self.check(CompiledGrammar(lark))
        except InvalidRequest as error:
            return str(error)

    def first_wrong(self, candidates: list[str]) -> tuple[int, str] | None:
        """Return the place of the first of these Lark texts that is wrong, and why.

        None: each is right, or there are too many to look at them all.
        """
        question = {"candidates": candidates[:_MOST_CANDIDATES]}
        with suppress(NoAnswer):
            found = self._ask(question, SECONDS_TO_CHECK)
            if found["place"] is not None:
                return found["place"], found["error"]
        return None

    def matches(self, grammar: CompiledGrammar, said: Said) -> bool:
        """Whether a finished answer is what its grammar allows; True where that cannot be told.

        Raises:
            InferenceError: it could not be found out.
        """
        if not grammar.text:
            return True
        parts = _behind(grammar.behind, [said] if isinstance(said, str) else said)
        numbered = [
            each if isinstance(each, str) else (grammar.named.index(each[0]), each[1])
            for each in parts
        ]
        size = sum(len(each) for each in parts if isinstance(each, str))
        seconds = SECONDS_TO_CHECK + size / 1e6 * _SECONDS_A_MEGABYTE
        try:
            return bool(self._ask({"text": grammar.text, "said": numbered}, seconds)["matches"])
        except NoAnswer:
            raise InferenceError("The answer could not be checked: please try again.") from None

    def close(self) -> None:
        """End the child; what is being asked fails."""
        self._closed = True
        if child := self._child:
            child.kill()
        with self._lock:
            if self._child:
                self._child.close()

    def _remember(self, grammar: CompiledGrammar, wrong: str) -> None:
        with self._lock:
            self._known[grammar] = wrong
            while len(self._known) > _MOST_REMEMBERED:
                del self._known[next(iter(self._known))]

    def _ask(self, question: dict[str, Any], seconds: float) -> dict[str, Any]:
        with self._lock:
            if self._closed:
                raise NoAnswer
            if self._child is None:
                self._child = GrammarChild({"named": MOST_NAMED}, self._command)
            try:
                self._child.tell(question)
                return self._child.read_line(seconds)
            except NoAnswer:
                self._child.close()
                self._child = None
                raise


def _behind(mark: str, said: Said) -> Said:
    for place, part in enumerate(said):
        if mark and isinstance(part, str) and mark in part:
            return [part.partition(mark)[2], *said[place + 1 :]]
    return said
