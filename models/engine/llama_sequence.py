"""One sequence of a llama.cpp child, over as many turns as it takes to write it."""

from dataclasses import replace
from typing import cast

from models.engine.backend import Decoded, Output, Prefilled, Prefilling, Work
from models.engine.llama_client import JSON
from models.engine.thought_budget import ThoughtWatch
from models.events import FinishReason

_LONGEST_CHARACTER = 4  # bytes, and so tokens


class Sequence:
    """Where sequences share a KV cache, none may keep room for all that it is allowed to write:
    a chat may go on to the end of the context, and few do. So it writes ``TURN_TOKENS`` at a
    time, and then waits for room like those that have not begun. What it has written is the
    end of its next prompt, most of which llama.cpp still has.

    A sequence that would not go on as it began is written in one turn: one with a seed, since
    the draws would begin anew, one with a grammar, which would too, and one with pictures, behind
    which llama.cpp takes no ids.
    """

    TURN_TOKENS = 1024

    def __init__(
        self, ticket: int, work: Work, order: int, *, context_length: int, shares_cells: bool
    ) -> None:
        self.ticket = ticket
        self.order = order  # among all sequences; what was inserted earlier has less
        self.work = work
        self.begun = False
        self.leaves = False  # its turn has to end, for there is more to be read than was written
        # If it is stopped.
        self.goes_on = work.sampling.seed is None and work.grammar is None and not work.pictures
        self._context_length = context_length
        self._shares_cells = shares_cells
        self._in_turns = shares_cells and self.goes_on
        # Token ids; text, where llama.cpp did not tell the ids.
        self._prompt: list[int | str] = list(work.tokens)
        self._said = b""  # behind pictures
        self._cells = len(work.tokens)  # at most
        self._left = work.max_tokens
        self._prefilled = False
        self._thought = ThoughtWatch(work.thought) if work.thought else None
        self.written = 0  # in this turn

    @property
    def prompt_tokens(self) -> int:
        """Of the next turn, at most."""
        return self._cells

    @property
    def held_tokens(self) -> int:
        """How many it has read and written."""
        return len(self.work.tokens) + self.work.max_tokens - self._left

    @property
    def tokens(self) -> list[int]:
        """What it has read and written, up to where the ids are not known."""
        texts = (place for place, each in enumerate(self._prompt) if isinstance(each, str))
        return cast("list[int]", self._prompt[: next(texts, None)])

    @property
    def turn_tokens(self) -> int:
        """How much it may write in its next turn."""
        if not self._in_turns:
            return self._left
        return min(self.TURN_TOKENS, self._left, self._context_length - self._cells)

    @property
    def ahead_tokens(self) -> int | None:
        """For how many more it has room at a time; None: for all of its turn."""
        return self.TURN_TOKENS if self._shares_cells and not self._in_turns else None

    def continued(self, body: JSON) -> JSON:
        """Return the request for its next turn; ``body`` is that for the first."""
        self.written = 0
        self.leaves = False
        prompt = self._prompt
        if self.work.pictures:  # no ids, but a text: what was written is the end of it
            first = body["prompt"]
            prompt = first | {
                "prompt_string": first["prompt_string"] + self._said.decode(errors="replace")
            }
        return {**body, "prompt": prompt, "n_predict": self.turn_tokens}

    def take(self, output: Output) -> Output | None:
        """Return what is to be told of what a turn has brought; None: nothing."""
        if self.leaves:
            return None  # what comes of its turn is too late
        match output:
            case Prefilling() | Prefilled():
                told = self._prefilled
                self._prefilled |= isinstance(output, Prefilled)
                return None if told else output
            case Decoded():
                return self._decoded(output)
            case _:
                return output

    def _decoded(self, output: Decoded) -> Output | None:
        if output.finish is FinishReason.MAX_TOKENS and self._goes_on_behind(output.count):
            if self.written and output.count < _LONGEST_CHARACTER:
                return None  # the beginning of a character, if anything: it is written again
            # Of no character, and nobody can read it. Written again it might be for ever.
            output = replace(output, finish=None)
        self._count(output)
        if self._thought:
            self._thought.take(output.piece, output.count)
            if self._thought.is_due() and not output.finish:
                return self._with_thought_ended(output, self._thought)
        return output

    def _goes_on_behind(self, count: int) -> bool:
        """Whether, with so many more tokens, its turn has ended and it has not."""
        comes_on = bool(self.written or count)
        has_room = self._cells + count < self._context_length
        return self._in_turns and comes_on and self._left > count and has_room

    def _with_thought_ended(self, output: Decoded, watch: ThoughtWatch) -> Decoded:
        """Write the end of the thought for the model, which goes on behind it in another turn."""
        budget = self.work.thought
        if budget is None or self._left <= len(budget.closing_tokens):
            return output
        end = Decoded(
            self.ticket,
            budget.closing.encode(),
            budget.closing_tokens,
            count=len(budget.closing_tokens),
        )
        self._count(end)
        watch.take(end.piece, end.count)
        self.leaves = True
        if self.work.grammar:
            self.work = replace(self.work, grammar=self.work.grammar.behind_thought())
        ids = None if output.ids is None else (*output.ids, *budget.closing_tokens)
        return replace(
            output, piece=output.piece + end.piece, ids=ids, count=output.count + end.count
        )

    def _count(self, output: Decoded) -> None:
        self._left -= output.count
        self.written += output.count
        if self.work.pictures:
            self._said += output.piece
        self._note(output)

    def _note(self, output: Decoded) -> None:
        if output.ids is not None:
            self._prompt += output.ids
            self._cells += output.count
        else:
            # Read again it may have other tokens, but no more than bytes, and a space before.
            self._prompt.append(output.piece.decode(errors="replace"))
            self._cells += max(output.count, len(output.piece) + 1)


def run_of_seeds(numbered: tuple[int, Sequence]) -> tuple[str, int | None]:
    """Tell apart those that llama.cpp can start as one: it gives each the next seed.

    One whose thought may have to be ended is started alone: one of several cannot be stopped.
    """
    place, sequence = numbered
    if sequence.work.thought:
        return "ticket", sequence.ticket
    seed = sequence.work.sampling.seed
    return "seeds", None if seed is None else seed - place
