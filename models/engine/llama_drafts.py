"""Counts what came of the drafts of a GGUF model, and tells whether they are worth their time."""

from dataclasses import replace

from models.counters import Counters
from models.engine.backend import Decoded, LoadSpec, Output
from models.model import Model

_WINDOW = 1000  # tokens over which it is looked whether drafts lose
# A token more in a pass takes so much of what a pass over one takes, with 135M weights on one
# thread: of the 15 that are looked up, and of the 3 that a model guesses. A GPU asks for less.
_COST, _COST_OF_FEW = 0.45, 0.75


class DraftCount:
    """By the text alone and never by the clock, which counts what else the computer does.

    An accepted token has spared a pass. Each drafted one has made a pass longer, and a draft
    model had to write it.
    """

    def __init__(self, spec: LoadSpec) -> None:
        self._drafted = self._accepted = 0  # tokens, since the model was loaded
        self._lose = False  # over the last window
        self._drafts = spec.drafts
        self._cost = _COST
        if isinstance(spec.drafts, Model):
            self._cost = _COST_OF_FEW + spec.drafts.size_bytes / max(1, spec.model.size_bytes)
        self._begin()

    def added_to(self, counters: Counters) -> Counters:
        return replace(
            counters,
            drafted_tokens=self._drafted,
            accepted_tokens=self._accepted,
            drafts_lose=self._lose,
        )

    def note(self, output: Output) -> None:
        if self._drafts is None or not isinstance(output, Decoded):
            return
        self._drafted += output.drafted
        self._accepted += output.accepted
        self._left -= output.count
        if self._left <= 0:
            self._lose = self._has_lost()
            self._begin()

    def _begin(self) -> None:
        self._left = _WINDOW
        self._before = self._drafted, self._accepted

    def _has_lost(self) -> bool:
        drafted, accepted = self._drafted - self._before[0], self._accepted - self._before[1]
        if not drafted:  # a look-up has cost nothing, and a draft model is there for nothing
            return isinstance(self._drafts, Model)
        return accepted < drafted * self._cost
