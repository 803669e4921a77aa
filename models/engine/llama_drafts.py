"""Counts what came of the drafts of a GGUF model, and tells whether they are worth their time."""

from collections.abc import Callable
from dataclasses import replace

from models.counters import Counters
from models.engine.backend import Decoded, LoadSpec, Output
from models.engine.llama_process import LlamaProcess
from models.engine.llama_request import LlamaRequests
from models.engine.llama_trial import DraftTrial
from models.model import Model

# Tokens that would have been written without drafts in the time that these have cost: 3 % of the
# thousand after which a draft model has to have drafted something.
_MOST_LOST = 30
_WINDOW = 1000
_MOST_WON = 300  # tokens; what was won long ago is no reason to go on losing
# Of a drafted token, where no trial has come to its end: with 135M weights on one thread, one more
# of the 15 that are looked up makes a pass so much longer, and one of the 3 that a model guesses.
_COST, _COST_OF_FEW = 0.45, 0.75


class DraftCount:
    """By what a drafted token costs, timed when the model is loaded, and then by the text alone.

    An accepted token has spared a pass of its sequence. Each drafted one has made a pass longer,
    for all that are in it, and a draft model had to write it. ``wake`` is called once, when it
    may be asked again whether the time is known.
    """

    def __init__(self, spec: LoadSpec, wake: Callable[[], None]) -> None:
        self._drafts = spec.drafts
        self._wake = wake
        self._trial: DraftTrial | None = None
        self._drafted = self._accepted = 0  # tokens, since the model was loaded
        self._written = 0  # tokens, since one was drafted
        self._lost = 0.0  # tokens; below 0: won
        self.cost = _COST  # of a drafted token, in passes over one
        if isinstance(spec.drafts, Model):
            self.cost = _COST_OF_FEW + spec.drafts.size_bytes / max(1, spec.model.size_bytes)

    def is_timed(self, process: LlamaProcess, requests: LlamaRequests) -> bool:
        """Return whether it is known what drafts cost: the child is asked for that meanwhile."""
        if self._drafts is None:
            return True
        if self._trial is None:
            guessed = isinstance(self._drafts, Model)
            self._trial = DraftTrial(process, requests, self._wake, guessed=guessed)
        if self._trial.is_over and self._trial.cost is not None:
            self.cost = self._trial.cost
        return self._trial.is_over

    def added_to(self, counters: Counters) -> Counters:
        in_vain = isinstance(self._drafts, Model) and self._written >= _WINDOW
        return replace(
            counters,
            drafted_tokens=self._drafted,
            accepted_tokens=self._accepted,
            drafts_lose=in_vain or self._lost > _MOST_LOST,
        )

    def note(self, output: Output, at_once: int) -> None:
        """``at_once``: how many sequences the pass was for."""
        if self._drafts is None or not isinstance(output, Decoded):
            return
        self._drafted += output.drafted
        self._accepted += output.accepted
        self._written = 0 if output.drafted else self._written + output.count
        lost = output.drafted * self.least_right(at_once) - output.accepted
        self._lost = max(-_MOST_WON, self._lost + lost)

    def least_right(self, at_once: int) -> float:
        """Return the share of drafted tokens that has to be right for as much as without drafts.

        The more are written at once, the less of a pass each takes that goes without.
        """
        return at_once * self.cost / (1 + (at_once - 1) * self.cost)
