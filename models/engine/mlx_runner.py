"""A loaded MLX model at work: prompts are read, rows decode, and what was read is kept.

A step is a token for every row, and then one chunk of prompts. See
docs/decisions/mlx-batches.md.
"""

import logging
from collections.abc import Callable, Mapping

from models.engine.backend import (
    Admitted,
    Decoded,
    Output,
    Prefilled,
    Prefilling,
    SequenceFailed,
    Work,
)
from models.engine.mlx_batch import Batches, Home
from models.engine.mlx_echo import Echo
from models.engine.mlx_library import free
from models.engine.mlx_load import is_out_of_memory
from models.engine.mlx_prefill import Prefill, Reader
from models.engine.mlx_queue import Job, Queue
from models.engine.mlx_recall import Recall
from models.engine.mlx_sequence import Sequence as Row
from models.engine.mlx_sequence import State
from models.engine.prefix_cache import PrefixCache
from models.errors import InferenceError

log = logging.getLogger(__name__)

# An answer that may go on for as long as it likes is expected to have so many tokens. One that
# has more is counted with as it grows, in steps.
_EXPECTED_TOKENS = 1024
_GROWTH_TOKENS = 256
_MOST_READ = 4  # prompts in one step


class Runner:
    """Args:
    room_bytes: for the sequences and the prefix cache together.
    most_rows: that run at the same time.
    new_row: a sequence, by its ticket.
    new_echo: takes the log-probabilities of a prompt.
    explain: what an exception of the library means.
    """

    def __init__(
        self,
        reader: Reader,
        batches: Batches,
        prefixes: PrefixCache,
        *,
        room_bytes: int,
        most_rows: int,
        new_row: Callable[[int, Work], Row],
        new_echo: Callable[[Work], Echo],
        explain: Callable[[Exception], InferenceError],
    ) -> None:
        self.prefixes = prefixes
        self._recall = Recall(prefixes)
        self._reader = reader
        self._batches = batches
        self._queue = Queue(reader.grid.chunk)
        self._room_bytes = room_bytes
        self._most_rows = most_rows
        self._new_row = new_row
        self._new_echo = new_echo
        self._explain = explain

    @property
    def has_work(self) -> bool:
        return bool(self._queue) or self._batches.decoding or self._recall.has_work

    @property
    def waiting_sequences(self) -> int:
        return sum(len(job.rows) for job in self._queue.waiting)

    def insert(self, works: Mapping[int, Work]) -> None:
        work = next(iter(works.values()))
        rows = [self._new_row(ticket, each) for ticket, each in works.items()]
        prefill = Prefill(
            self._reader,
            work.tokens,
            work.checkpoints,
            to_the_bit=work.sampling.seed is not None,
            echo=self._new_echo(work) if work.prompt_logprobs else None,
            look=rows[0].look,
        )
        known = 0 if prefill.echo else self.prefixes.longest(prefill.keys)
        likely = prefill.last - min(known, prefill.last)
        length = len(work.tokens) + min(work.max_tokens, _EXPECTED_TOKENS)
        self._queue.add(Job(rows, prefill, length, likely))

    def remove(self, ticket: int) -> None:
        if job := self._queue.remove_row(ticket):
            self._batches.give_up_place(ticket)
            if not job.rows:
                self._keep_prompt(job)
        else:
            row = next((each for each in self._batches.rows() if each.ticket == ticket), None)
            state = self._batches.remove(ticket)
            if row and state:
                self._keep(state, row)
        self._rest_when_idle()

    def close(self) -> None:
        self._recall.close()

    # -- A step ----------------------------------------------------------------

    def step(self) -> list[Output]:
        # One after another, as mlx_lm does it: on a stream of its own a chunk would compete
        # with the step that is on its way.
        with self._reader.mx.stream(self._batches.stream):
            return self._step()

    def _step(self) -> list[Output]:
        outputs = self._begin_some()
        if outputs:  # told before the first chunk is read, which may take a while
            return outputs
        for home in self._batches.homes:
            outputs += self._decode(home)
        outputs += self._make_room()
        self._recall.step(self._queue.reading)
        outputs += self._read_some()
        # Last: mlx_lm works one token ahead, and what went wrong beyond the end of a
        # sequence is no failure of it.
        outputs += self._failures()
        self._rest_when_idle()
        return outputs

    def _begin_some(self) -> list[Output]:
        outputs: list[Output] = []
        while self._queue.waiting:
            job = self._queue.waiting[0]
            count = self._fitting(job)
            if not count:
                break
            self._queue.waiting.pop(0)
            if count < len(job.rows):
                self._queue.put_back(job.split(count))
            self._batches.give_place([row.ticket for row in job.rows], job.length)
            self._queue.reading.append(job)
            if not job.resumed:
                prompt_tokens = len(job.prefill.tokens)
                outputs += [Admitted(row.ticket, prompt_tokens) for row in job.rows]
        self._let_prefixes_go()
        return outputs

    def _fitting(self, job: Job) -> int:
        """How many of its rows may begin: one at least, where nobody else is here."""
        rows = min(len(job.rows), self._most_rows - self._batches.count)
        while rows > 0:
            alone = rows == 1 and not self._batches.count
            if alone or self._batches.bytes_with(rows, job.length) <= self._room_bytes:
                return rows
            rows -= 1
        return 0

    def _decode(self, home: Home) -> list[Output]:
        try:
            told = self._batches.step(home)
        except Exception as error:
            log.exception("A step failed")
            failure = self._explain(error)
            short = is_out_of_memory(error)
        else:
            for _, row, state in told:
                if state:
                    self._keep(state, row)
            return [decoded for decoded, _, _ in told]
        # Out here the exception is gone, and with it the frames that hold the old batch.
        if short:
            self.prefixes.clear()
        rows = self._batches.start_over(home)
        free()
        return [SequenceFailed(row.ticket, failure.again()) for row in rows]

    def _read_some(self) -> list[Output]:
        """Read a chunk's worth of tokens: of one prompt, or of several short ones."""
        outputs: list[Output] = []
        chunk = self._reader.grid.chunk
        spent = 0
        while job := self._queue.pick():
            try:
                if not job.looked_up:
                    self._recall.look_up(job)
                if job.held:
                    continue
                if job.prefill.see_some():  # which takes as long as a chunk, or some
                    self._queue.had_turn(job)
                    break
                end = job.prefill.next_cut(alone=self._is_alone(job))
                size = end - job.prefill.done
                # A short one costs a reading of the weights all the same.
                price = max(size, chunk // _MOST_READ)
                if spent and spent + price > chunk:
                    break
                if size:
                    job.prefill.go_on(end)
            except Exception as error:
                outputs += self._failed(job, error)
                continue
            spent += price
            self._queue.had_turn(job)
            outputs += self._progress(job)
        return outputs

    def _is_alone(self, job: Job) -> bool:
        others = self._batches.count - len(job.rows)
        return not others and not self._queue.waiting

    def _progress(self, job: Job) -> list[Output]:
        prefill = job.prefill
        total = len(prefill.tokens)
        if prefill.left:
            if job.resumed:
                return []
            return [Prefilling(row.ticket, prefill.done, total) for row in job.rows]
        self._queue.reading.remove(job)
        self._keep_prompt(job)
        for row in job.rows:
            row.exact, row.shift = prefill.exact, prefill.shift
        self._batches.insert(job.rows, prefill.tokens, prefill.layers)
        if job.resumed:
            return []
        logprobs = prefill.echo.entries if prefill.echo else ()
        return [Prefilled(row.ticket, prefill.cached, logprobs) for row in job.rows]

    def _failed(self, job: Job, error: Exception) -> list[Output]:
        log.error("A prompt could not be read", exc_info=error)
        if is_out_of_memory(error):
            self.prefixes.clear()
        failure = self._explain(error)
        self._queue.reading.remove(job)
        for row in job.rows:
            self._batches.give_up_place(row.ticket)
        return [SequenceFailed(row.ticket, failure.again()) for row in job.rows]

    def _failures(self) -> list[Output]:
        failures: list[Output] = []
        for row in [each for each in self._batches.rows() if each.error]:
            self._batches.remove(row.ticket)
            error = row.error
            if not isinstance(error, InferenceError):
                log.error("A logits processor failed", exc_info=error)
                error = InferenceError("The next token could not be chosen: see the log.")
            failures.append(SequenceFailed(row.ticket, error))
        return failures

    # -- Room ------------------------------------------------------------------

    def _make_room(self) -> list[Output]:
        """Where answers grow beyond what was expected, first prefixes go, then the newest wait."""
        for row in self._batches.rows():
            self._batches.lengthen(row, _GROWTH_TOKENS)
        outputs: list[Output] = []
        while self._batches.promised_bytes > self._room_bytes and self._batches.count > 1:
            rows = [row for row in self._batches.rows() if self._batches.can_put_aside(row)]
            if not rows:
                break
            newest = max(rows, key=lambda row: (not row.urgent, row.ticket))
            outputs.append(self._put_aside(newest))
        self._let_prefixes_go()
        return outputs

    def _put_aside(self, row: Row) -> Decoded:
        state, decoded = self._batches.put_aside(row)
        self._keep(state, row)
        if not decoded.finish:
            assert decoded.ids
            tokens = (*state.tokens, *decoded.ids)
            look = row.look and row.look.again(tokens)
            prefill = Prefill(self._reader, tokens, (), to_the_bit=False, look=look)
            length = len(tokens) + min(row.left, _GROWTH_TOKENS)
            self._queue.put_back(Job([row], prefill, length, 0, resumed=True))
        return decoded

    def _let_prefixes_go(self) -> None:
        free = self._room_bytes - self._batches.promised_bytes
        if self.prefixes.used_bytes > max(0, free):
            self.prefixes.shrink(max(0, free))

    def _keep_prompt(self, job: Job) -> None:
        for each in job.prefill.snapshots():
            self._recall.keep(each.tokens, each.layers, each.kind, each.exact)

    def _keep(self, state: State, row: Row) -> None:
        self._reader.handling.detach(state.layers)
        keys = row.look.places.keys(state.tokens) if row.look else state.tokens
        self._recall.keep(keys, state.layers, "turn", row.exact)

    def _rest_when_idle(self) -> None:
        if not self.has_work:
            self._reader.mx.clear_cache()
