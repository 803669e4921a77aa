"""The sequences of an MLX model that decode: in two batches, within a number of bytes.

A batch is a rectangle: each row is padded to the longest. A second one costs another reading
of the weights in each step, and pays where long and short rows together would cost more.

A row that is alone may decode by itself, with drafts (``mlx_alone.py``): it keeps its place, and
goes back into its batch when another gets one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from models.engine.backend import Decoded
from models.engine.mlx_alone import Alone, finish_of
from models.engine.mlx_layers import Cost, Layer
from models.engine.mlx_load import Batch, TokenResponse
from models.engine.mlx_lookup import Drafting
from models.engine.mlx_sequence import Sequence as Row
from models.engine.mlx_sequence import State
from models.events import FinishReason

Stream: TypeAlias = Any
"""An mlx.core.Stream."""

Told: TypeAlias = tuple[Decoded, Row, State | None]
"""A token of a row, and with the last what the model remembers of it."""

_FINISH = {"stop": FinishReason.END_OF_TURN, "length": FinishReason.MAX_TOKENS}


@dataclass(slots=True, eq=False)
class Home:
    """One of the batches, and the tickets that have a place in it with the tokens that each
    may come to: decoding, or still on the way there."""

    batch: Batch
    lengths: dict[int, int] = field(default_factory=dict[int, int])
    rows: dict[int, Row] = field(default_factory=dict[int, Row])  # by mlx_lm's number
    alone: Alone | None = None  # who has left the batch, and not its place


class Batches:
    """Args:
    new_batch: makes an empty one.
    cost: what a rectangle takes.
    weights_bytes: that each batch reads in a step.
    stop_tokens: that end a turn.
    new_drafting: has a row with a ``watch`` go on from these layers.
    with_shift: makes layers those of a row whose positions are shifted; None: none ever is.
    """

    def __init__(
        self,
        new_batch: Callable[[], Batch],
        cost: Cost,
        *,
        weights_bytes: int,
        stop_tokens: frozenset[int],
        new_drafting: Callable[[Row, list[Layer]], Drafting],
        with_shift: Callable[[list[Layer], int], list[Layer]] | None = None,
    ) -> None:
        self._new_batch = new_batch
        self._cost = cost
        self._weights_bytes = weights_bytes
        self._stop_tokens = stop_tokens
        self._new_drafting = new_drafting
        self._with_shift = with_shift
        self.homes = [Home(new_batch()), Home(new_batch())]

    # -- Who has a place -------------------------------------------------------

    @property
    def stream(self) -> Stream:
        return self.homes[0].batch.stream

    @property
    def count(self) -> int:
        return sum(len(home.lengths) for home in self.homes)

    @property
    def decoding(self) -> bool:
        return any(home.rows or home.alone for home in self.homes)

    @property
    def promised_bytes(self) -> int:
        """What its sequences come to, each as long as it may be expected to become."""
        return sum(self._bytes(home.lengths.values()) for home in self.homes)

    def rows(self) -> Iterator[Row]:
        for home in self.homes:
            yield from home.rows.values()
            if home.alone:
                yield home.alone.row

    def bytes_with(self, count: int, length: int) -> int:
        """What ``promised_bytes`` would be with so many more of this length."""
        home = self._best_for(count, length)
        more = self._bytes([*home.lengths.values(), *[length] * count])
        return self.promised_bytes - self._bytes(home.lengths.values()) + more

    def give_place(self, tickets: Sequence[int], length: int) -> None:
        self._end_solitude()
        home = self._best_for(len(tickets), length)
        home.lengths.update(dict.fromkeys(tickets, length))

    def lengthen(self, row: Row, tokens: int) -> None:
        """Count with so many more where a row has come to its length. It stays where it is."""
        lengths = self._home_of(row.ticket).lengths
        if row.length >= lengths[row.ticket]:
            lengths[row.ticket] = row.length + min(row.left, tokens)

    def give_up_place(self, ticket: int) -> None:
        for home in self.homes:
            home.lengths.pop(ticket, None)

    def _bytes(self, lengths: Iterable[int]) -> int:
        lengths = list(lengths)
        return self._cost(max(lengths), len(lengths)) if lengths else 0

    def _best_for(self, count: int, length: int) -> Home:
        """The batch whose steps would have to read the least more, weights included."""

        def more(home: Home) -> int:
            lengths = list(home.lengths.values())
            weights = 0 if lengths or not self.count else self._weights_bytes
            return self._bytes([*lengths, *[length] * count]) - self._bytes(lengths) + weights

        return min(self.homes, key=more)

    def _home_of(self, ticket: int) -> Home:
        return next(home for home in self.homes if ticket in home.lengths)

    # -- Rows ------------------------------------------------------------------

    def insert(self, rows: Sequence[Row], tokens: Sequence[int], layers: list[Layer]) -> None:
        """Have rows go on from the same tokens; ``layers`` hold all of them but the last.

        They are read, and never written to.
        """
        for row in rows:
            home = self._home_of(row.ticket)
            own = self._with_shift(layers, row.shift) if self._with_shift else layers
            (number,) = home.batch.insert(
                [list(tokens[-1:])],
                [row.left],
                caches=[own],
                all_tokens=[list(tokens[:-1])],
                samplers=[row.sampler],
                # Always a list: a batch of rows with and without has crashed (mlx-lm#1513).
                logits_processors=[[row.process] if row.processors else []],
            )
            home.rows[number] = row

    def step(self, home: Home) -> list[Told]:
        """Give each row of a batch its turn."""
        if home.alone:
            return self._step_alone(home, home.alone)
        if not home.rows:
            return []
        _, responses = home.batch.next()
        told = [self._decoded(home, each) for each in responses]
        row = next(iter(home.rows.values()), None)
        if row and row.watch and row.watch.gate.open and self.count == 1:
            told += self._begin_solitude(home, row)
        return told

    def _decoded(self, home: Home, response: TokenResponse) -> Told:
        finish = _FINISH[response.finish_reason] if response.finish_reason else None
        row = home.rows[response.uid]
        state = None
        if finish:
            del home.rows[response.uid]
            self.give_up_place(row.ticket)
            if response.prompt_cache is not None and response.all_tokens is not None:
                state = State(response.all_tokens, response.prompt_cache)
        return row.decoded(response.token, finish), row, state

    def remove(self, ticket: int) -> State | None:
        """Take a row out; None where it has no row."""
        for home in self.homes:
            for number, row in home.rows.items():
                if row.ticket == ticket:
                    self.give_up_place(ticket)
                    return self._take(home, number)
            if home.alone and home.alone.row.ticket == ticket:
                return self._leave(home, home.alone)
        self.give_up_place(ticket)
        return None

    def put_aside(self, row: Row) -> tuple[State, Decoded]:
        """Take a row out, so that it may go on later as if it had never left.

        mlx_lm is one token ahead: that token is drawn already, and is handed out now. The
        state has all tokens but this one.
        """
        home = self._home_of(row.ticket)
        told = self._take_out(home, row)
        self.give_up_place(row.ticket)
        return told

    def _take_out(self, home: Home, row: Row) -> tuple[State, Decoded]:
        number = next(number for number, each in home.rows.items() if each is row)
        token = _drawn(home.batch, number)
        state = self._take(home, number)
        return state, row.decoded(token, finish_of(token, row, self._stop_tokens))

    def can_put_aside(self, row: Row) -> bool:
        """Whether its first token is drawn."""
        home = self._home_of(row.ticket)
        uids = home.batch._generation_batch.uids  # pyright: ignore[reportPrivateUsage]
        return any(home.rows[number] is row for number in uids)

    def _take(self, home: Home, number: int) -> State:
        del home.rows[number]
        layers, tokens = home.batch.remove([number], return_prompt_caches=True)[number]
        return State(list(tokens), layers)

    def start_over(self, home: Home) -> list[Row]:
        """Take a fresh batch in place of one that failed; return the rows that it had."""
        rows = list(home.rows.values())
        home.rows.clear()
        if home.alone:
            rows.append(home.alone.row)
            home.alone = None
        for row in rows:
            home.lengths.pop(row.ticket, None)
        home.batch = self._new_batch()
        return rows

    # -- Alone -----------------------------------------------------------------

    def _begin_solitude(self, home: Home, row: Row) -> list[Told]:
        if not self.can_put_aside(row):
            return []
        state, decoded = self._take_out(home, row)
        if decoded.finish:
            self.give_up_place(row.ticket)
            return [(decoded, row, state)]
        home.alone = Alone(row, self._new_drafting(row, state.layers), self._stop_tokens)
        return [(decoded, row, None)]

    def _step_alone(self, home: Home, alone: Alone) -> list[Told]:
        told: list[Told] = [(each, alone.row, None) for each in alone.step()]
        last = told[-1][0]
        if last.finish:
            told[-1] = (last, alone.row, self._leave(home, alone))
        elif not alone.worthwhile:
            self._end_solitude()
        return told

    def _end_solitude(self) -> None:
        """Have who decodes by itself go on in its batch."""
        for home in self.homes:
            if alone := home.alone:
                home.alone = None
                state = alone.state
                self.insert([alone.row], [*state.tokens, alone.last], state.layers)

    def _leave(self, home: Home, alone: Alone) -> State:
        home.alone = None
        self.give_up_place(alone.row.ticket)
        return alone.state


def _drawn(batch: Batch, number: int) -> int:
    """The token of a row that the next step would hand out."""
    decoding = batch._generation_batch  # pyright: ignore[reportPrivateUsage]
    drawn = decoding._next_tokens  # pyright: ignore[reportPrivateUsage]
    return int(drawn[decoding.uids.index(number)].item())
