"""Grammars on llama.cpp: what is asked for, and a look at what came.

Its server has llguidance in it and reads the same text. But where that gives up in mid-answer,
at a limit of its own, the rest is free text and nothing is said of it (xllamacpp
2026.10.11549). So a finished answer is checked by llguidance of ours before it is told that it
is finished.
"""

from collections import defaultdict
from collections.abc import Callable

from models.engine.backend import Decoded, Output, SequenceFailed
from models.engine.grammar import CompiledGrammar
from models.engine.grammar_maker import GrammarMaker, find_tokens
from models.engine.tokenizer import Tokenizer
from models.errors import InferenceError
from models.events import FinishReason
from models.worker import PYTHON, Command


class LlamaGrammars:
    """The grammars of one model. ``maker`` makes them, on any thread."""

    def __init__(self, tokenizer: Tokenizer, eos_token: str, command: Command = PYTHON) -> None:
        self.maker = GrammarMaker(
            lambda: find_tokens(tokenizer, eos_token=eos_token), command=command
        )

    def watch(
        self, grammar: CompiledGrammar | None, put: Callable[[Output], None]
    ) -> Callable[[Output], None]:
        """Return what takes the outputs of sequences of one grammar, on their stream's thread.

        An answer that the model has ended, and that is not what it had to be, fails.
        """
        if grammar is None:
            return put
        said: defaultdict[int, bytearray] = defaultdict(bytearray)  # by ticket

        def check(output: Output) -> None:
            if isinstance(output, Decoded):
                said[output.ticket] += output.piece
                if output.finish is FinishReason.END_OF_TURN:
                    output = self._checked(output, grammar, bytes(said[output.ticket]))
            put(output)

        return check

    def close(self) -> None:
        self.maker.close()

    def _checked(self, last: Decoded, grammar: CompiledGrammar, said: bytes) -> Output:
        try:
            if self.maker.matches(grammar, said.decode(errors="replace")):
                return last
            error = InferenceError(
                "The answer does not have the form that was asked for: the engine could not "
                "keep to it. A simpler form may help."
            )
        except InferenceError as failure:
            error = failure
        return SequenceFailed(last.ticket, error)
