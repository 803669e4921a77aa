"""Decoding with drafts that are looked up in the text so far, for one sequence alone.

A draft is what followed the last time that the newest tokens stood in the text: in an edit of a
file it is mostly right. One forward pass reads the draft, and what would have been drawn anyway
is kept, so the text is the same but for rounding. See docs/decisions/mlx-lookup.md.
"""

from collections.abc import Collection, Sequence
from types import ModuleType

from models.engine.mlx_sampling import Array, Draw

_GRAM = 3  # tokens that must have stood there before
_LONGEST_DRAFT = 8
_NOTED = 256  # places of a prompt that are noted at a time, in 0.1 ms: it may be very long
_ROUND = 256  # tokens by which layers grow (mlx_lm/models/cache.py)

# In shares of the newest tokens that a draft would have had right, or had. A pass over nine
# tokens took 2.4 times as long as one over one (135M weights on a CPU), so a draft pays where it
# is right three times in four; the rest is against changing to and fro.
_OPENS_AT = 0.85
_CLOSES_AT = 0.6
_WEIGHT = 1 / 16  # of the newest token
_FIRST_PAUSE = 32  # tokens, twice as many each time that drafts were given up


class Lookup:
    """The text of a sequence, and where each few tokens of it stood last."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self.tokens = list(tokens)
        self._behind: dict[tuple[int, ...], int] = {}
        self._unnoted = len(self.tokens)  # places of the prompt, up to here
        self._note()

    def add(self, token: int) -> None:
        # The few that end before the newest token: so a look-up finds earlier ones.
        if len(self.tokens) >= _GRAM:
            self._behind[tuple(self.tokens[-_GRAM:])] = len(self.tokens)
        self.tokens.append(token)
        self._note()

    def _note(self) -> None:
        """Go on noting what the prompt has, the newest first."""
        begin = max(_GRAM, self._unnoted - _NOTED)
        for place in range(self._unnoted - 1, begin - 1, -1):
            self._behind.setdefault(tuple(self.tokens[place - _GRAM : place]), place)
        self._unnoted = min(begin, self._unnoted)

    def draft(self, most: int) -> list[int]:
        start = self._behind.get(tuple(self.tokens[-_GRAM:]))
        return [] if start is None else self.tokens[start : start + most]


class Gate:
    """Whether drafts are worth their time, told by the text alone and never by the clock.

    While they are not made it looks at what they would have been.
    """

    def __init__(self) -> None:
        self.open = False
        self._share = 0.0
        self._pause = _FIRST_PAUSE
        self._wait = 0

    def saw(self, right: bool) -> None:
        """Be told of one token whether a draft had it, or would have had it."""
        self._share += _WEIGHT * (right - self._share)
        self._wait = max(0, self._wait - 1)
        if self.open and self._share < _CLOSES_AT:
            self.open = False
            self._wait, self._pause = self._pause, 2 * self._pause
        elif not self._wait and self._share >= _OPENS_AT:
            self.open = True


class Watch:
    """Watches a sequence that decodes in a batch: ``gate`` opens where it should be alone."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self.lookup = Lookup(tokens)
        self.gate = Gate()

    def __call__(self, token: int) -> None:
        self.gate.saw(self.lookup.draft(1) == [token])
        self.lookup.add(token)


class Drafting:
    """A sequence alone, from where its batch left it. ``watch`` is to be told each token.

    Args:
        layers: its own, to be written to, which can be cut at any length; they hold all tokens
            of ``watch`` but the last.
        sampler: None for the best token.
    """

    def __init__(
        self,
        mx: ModuleType,
        model: Array,
        layers: list[Array],
        watch: Watch,
        sampler: Draw | None,
    ) -> None:
        self.layers = layers
        self.watch = watch
        self._mx = mx
        self._model = model
        self._sampler = sampler

    @property
    def tokens(self) -> list[int]:
        """All so far; the layers hold all but the last."""
        return self.watch.lookup.tokens

    def step(self, most: int, stop_tokens: Collection[int]) -> list[int]:
        """Return the next tokens, ``most`` at the most and one at the least.

        A stop token is the last of them. Whoever takes them tells ``watch``, each before the
        next step.
        """
        lookup = self.watch.lookup
        draft = lookup.draft(min(_LONGEST_DRAFT, most - 1))
        drawn = self._draw([lookup.tokens[-1], *draft])
        count = 1
        while (
            count <= len(draft)
            and drawn[count - 1] == draft[count - 1]
            and drawn[count - 1] not in stop_tokens
        ):
            count += 1
        for layer in self.layers:
            layer.trim(len(draft) + 1 - count)
        if self._sampler:
            self._sampler.place += count
        before = len(lookup.tokens)
        if before // _ROUND != (before + count) // _ROUND:
            self._mx.clear_cache()  # of what the layers have outgrown
        return drawn[:count]

    def _draw(self, inputs: list[int]) -> list[int]:
        """Return what is drawn behind each of these tokens, as if each were the last."""
        mx = self._mx
        logits = self._model(mx.array([inputs]), cache=self.layers)[0]
        logprobs = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
        if self._sampler is None:
            drawn = mx.argmax(logprobs, axis=-1)
        else:
            first = self._sampler.place
            drawn = mx.concatenate(
                [
                    self._sampler.at(first + place, logprobs[place : place + 1])
                    for place in range(len(inputs))
                ]
            )
        return drawn.tolist()
