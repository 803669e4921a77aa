"""Grammars on llama.cpp: what is asked for, and a look at what came.

Its server has llguidance in it and reads the same text. But where that gives up in mid-answer,
at a limit of its own, the rest is free text and nothing is said of it (xllamacpp
2026.10.11549). So a finished answer is checked by llguidance of ours before it is told that it
is finished.
"""

from collections.abc import Callable, Iterator

from models.engine.backend import Decoded, Output, SequenceFailed
from models.engine.grammar import CompiledGrammar, Said
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
        answers: dict[int, _Answer] = {}  # by ticket

        def check(output: Output) -> None:
            if isinstance(output, Decoded):
                answer = answers.setdefault(output.ticket, _Answer(grammar))
                answer.take(output)
                if output.finish is FinishReason.END_OF_TURN:
                    output = self._checked(output, grammar, answer)
            put(output)

        return check

    def close(self) -> None:
        self.maker.close()

    def _checked(self, last: Decoded, grammar: CompiledGrammar, answer: "_Answer") -> Output:
        try:
            if any(self.maker.matches(grammar, said) for said in answer.readings()):
                return last
            error = InferenceError(
                "The answer does not have the form that was asked for: the engine could not "
                "keep to it. A simpler form may help."
            )
        except InferenceError as failure:
            error = failure
        return SequenceFailed(last.ticket, error)


class _Answer:
    """What has been said in one sequence, with the tokens that its grammar names."""

    def __init__(self, grammar: CompiledGrammar) -> None:
        self._named = frozenset(grammar.named)
        self._before: list[str | tuple[int, str]] = []
        self._text = bytearray()  # since the latest of those tokens

    def take(self, output: Decoded) -> None:
        ids = output.ids or ()
        if len(ids) == 1 and ids[0] in self._named:
            token = ids[0], output.piece.decode(errors="replace")
            self._before += [self._text.decode(errors="replace"), token]
            self._text.clear()
        else:
            self._text += output.piece

    def readings(self) -> Iterator[Said]:
        yield [*self._before, self._text.decode(errors="replace")]
        if self._before and not self._text:  # it may have ended the turn, and not been meant
            yield self._before[:-1]
