"""The llama.cpp backend: one model in a child process, and the sequences that run on it.

The child (``llama_worker.py``) runs llama.cpp's own server on a loopback port that only
who has the key can use; ``llama_process.py`` starts and ends it, ``llama_stream.py`` reads
one answer of it. What runs and what waits is ``llama_slots.py``'s to know.
"""

import queue
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count, groupby

from models import adapters, drafts, projectors
from models.engine import llama_trial
from models.engine.backend import (
    Admitted,
    Counters,
    Decoded,
    EmbedWork,
    LoadSpec,
    Output,
    Prefilled,
    SequenceFailed,
    Work,
)
from models.engine.llama_config import child_of, said_with_each
from models.engine.llama_disk import LlamaDisk
from models.engine.llama_drafts import DraftCount
from models.engine.llama_embed import LlamaEmbeddings, LlamaQuestion
from models.engine.llama_grammar import LlamaGrammars
from models.engine.llama_kept import Kept
from models.engine.llama_recall import Recall
from models.engine.llama_request import Asked, LlamaRequests
from models.engine.llama_sequence import Sequence, run_of_seeds
from models.engine.llama_sight import sight_of
from models.engine.llama_slots import Slots, Turn
from models.engine.llama_stream import LlamaStream
from models.engine.llama_tokenizer import LlamaTokenizer
from models.engine.prompt import Prompter
from models.engine.template import template_of
from models.gguf import TemplateSource, read_template
from models.prompt_files import PromptFiles
from models.worker import PYTHON, Command


def open_llama(
    spec: LoadSpec,
    wake: Callable[[], None],
    *,
    command: Command = PYTHON,
    prompts: PromptFiles | None = None,
) -> "LlamaBackend":
    """Start loading a GGUF file; returns at once. Raises LoadFailed, OutOfMemory.

    ``prompts`` outlive it; None: they do not.
    """
    adapters.check(spec.model, spec.adapters)
    drafts.check(spec.model, spec.drafts)
    projectors.check(spec.model)
    source = read_template(spec.model.path)
    return LlamaBackend(spec, source, wake, command, LlamaDisk(prompts, spec) if prompts else None)


class LlamaBackend:
    """A ``Backend`` whose model runs in a child process.

    A thread for each running request reads its stream and leaves what came in an outbox,
    which ``step`` empties.
    """

    def __init__(
        self,
        spec: LoadSpec,
        source: TemplateSource,
        wake: Callable[[], None],
        command: Command,
        disk: LlamaDisk | None,
    ) -> None:
        self._spec = spec
        self._wake = wake
        # Stream threads put, the lane's thread takes. None: the turn has left the child.
        self._outbox: queue.SimpleQueue[tuple[Turn, Output | None]] = queue.SimpleQueue()
        self._told = False  # the lane knows that something is in it
        self._admitted: list[Output] = []
        self._next_order = partial(next, count())
        self._sequences: dict[int, Sequence] = {}  # those that have not ended, by ticket
        self._slots = Slots(spec.max_sequences, spec.shared_tokens, spec.model.details.goes_back)
        if spec.drafts:
            self._slots.keep(llama_trial.CELLS)
        self._streams: dict[Turn, LlamaStream | LlamaQuestion] = {}
        self._embeddings = LlamaEmbeddings(spec.model.details)
        self._kept = Kept(spec)
        self._drafts = DraftCount(spec, wake)
        self._process = child_of(spec, disk, wake, command)
        self._recall = Recall(disk, self._process) if disk else None
        tokenizer = LlamaTokenizer(self._process, source)
        sight = sight_of(spec.model, tokenizer, source.bos_token, self._process.media_marker)
        self._requests = LlamaRequests(spec.model.path, source, spec.context_length, sight)
        self._requests.always |= said_with_each(spec)
        self._grammars = LlamaGrammars(tokenizer, source.eos_token, command)
        self._prompter = Prompter(
            template_of(source),
            tokenizer,
            spec.context_length,
            fill_in=source.fill_in,
            grammars=self._grammars.maker,
            sight=sight,
        )

    @property
    def prompter(self) -> Prompter:
        return self._prompter

    @property
    def loaded_bytes(self) -> int:
        return 0  # llama.cpp does not tell

    @property
    def counters(self) -> Counters:
        return self._drafts.added_to(self._kept.counters(self._slots.waiting))

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._process.pid

    @property
    def key(self) -> str:
        """Without which the child answers nobody."""
        return self._process.key

    def load(self) -> bool:
        ready = self._process.ready() and self._drafts.is_timed(self._process, self._requests)
        # Of a long text to embed nothing comes before it is done, nor of a picture.
        silent = any(turn.places or turn.looks for turn in self._streams)
        if self._streams and self._process.pulse.is_stuck(silent=silent):
            raise self._process.end_and_explain()
        return ready

    def insert(self, works: Mapping[int, Work]) -> None:
        for work in works.values():
            self._requests.check(work)
        inserted = [self._sequence(ticket, work) for ticket, work in works.items()]
        for _, group in groupby(enumerate(inserted), key=run_of_seeds):
            self._wait([sequence for _, sequence in group])
        self._start_waiting()

    def embed(self, ticket: int, work: EmbedWork) -> None:
        for turn in self._embeddings.add(ticket, work, self._next_order):
            self._slots.wait(turn)
        self._start_waiting()

    def has_work(self) -> bool:
        return bool(self._admitted) or not self._outbox.empty() or self._process.dead

    def step(self) -> list[Output]:
        outputs = [each for each in self._admitted if each.ticket in self._sequences]
        self._admitted.clear()
        self._told = False  # in this order: what is put in from now on wakes the lane again
        while not self._outbox.empty():
            turn, output = self._outbox.get()
            self._process.pulse.beat()
            if self._recall:
                self._recall.heard(turn)
            if output is None:
                self._end(turn)
            elif told := self._take(turn, output):
                outputs.append(told)
        self._start_waiting()
        if not outputs and self._process.dead:
            raise self._process.end_and_explain()
        return outputs

    def remove(self, ticket: int) -> None:
        if not self._forget(ticket) and not self._embeddings.remove(ticket):
            return
        while self._slots.forget(ticket):
            pass  # of texts to embed there are several turns
        for turn, stream in self._streams.items():
            if ticket in turn.tickets and not self._left_in(turn):
                stream.cancel()  # llama.cpp cannot end one of several

    def close(self) -> None:
        for turn, stream in self._streams.items():
            stream.cancel()
            if self._recall and not self._left_in(turn):  # all is told but its end
                self._recall.end(turn, stream.slot)
        self._sequences.clear()
        self._grammars.close()
        if self._recall:
            self._recall.close()
        self._process.close()

    # -- Inside ---------------------------------------------------------------

    def _sequence(self, ticket: int, work: Work) -> Sequence:
        sequence = Sequence(
            ticket,
            work,
            self._next_order(),
            context_length=self._spec.context_length,
            shares_cells=self._spec.shared_tokens is not None,
        )
        self._sequences[ticket] = sequence
        return sequence

    def _wait(self, group: list[Sequence]) -> None:
        """Queue the next turn of sequences that have one prompt."""
        first = group[0]
        turn = Turn(
            tickets=tuple(each.ticket for each in group),
            prompt_tokens=first.prompt_tokens,
            most_tokens=first.turn_tokens,
            goes_on=first.goes_on,
            ahead_tokens=first.ahead_tokens,
            order=first.order,
            urgent=first.work.urgent,
            asks_beside=first.work.top_logprobs is not None and not first.work.pictures,
            looks=bool(first.work.pictures),
        )
        if self._recall and (cells := self._recall.cells(first.work.tokens)):
            self._slots.keep(cells)
        self._slots.wait(turn)

    def _start_waiting(self) -> None:
        while (not self._recall or self._recall.may_begin) and (turn := self._slots.start_next()):
            if not self._streams:
                self._process.pulse.start()
            self._streams[turn] = self._question(turn) if turn.places else self._stream(turn)

    def _question(self, turn: Turn) -> LlamaQuestion:
        if self._recall:
            self._recall.begin_other(turn)
        return self._embeddings.start(self._process, turn, partial(self._put, turn))

    def _stream(self, turn: Turn) -> LlamaStream:
        asked = self._asked(turn)
        return LlamaStream(
            self._process,
            turn.tickets,
            asked,
            self._grammars.watch(asked.work.grammar, partial(self._put, turn)),
            partial(self._put, turn, None),
            self._recall.begin(turn, asked.work.tokens) if self._recall else None,
        )

    def _asked(self, turn: Turn) -> Asked:
        first = self._sequences[turn.tickets[0]]
        for sequence in self._left_in(turn):
            if not sequence.begun:
                sequence.begun = True
                self._admitted.append(Admitted(sequence.ticket, sequence.prompt_tokens))
        body = first.continued(self._requests.completion(first.work))
        body["n_cmpl"] = len(turn.tickets)
        return Asked(first.work, body, self._requests, turn.asks_beside)

    def _left_in(self, turn: Turn) -> list[Sequence]:
        return [self._sequences[each] for each in turn.tickets if each in self._sequences]

    def _take(self, turn: Turn, output: Output) -> Output | None:
        if turn.places:
            return output if output.ticket in self._embeddings else None
        self._drafts.note(output, self._slots.running)
        sequence = self._sequences.get(output.ticket)
        if sequence is None:
            return None  # it was removed meanwhile
        if isinstance(output, Decoded):
            self._slots.has_read(turn)
        told = sequence.take(output)
        stops = sequence.leaves or self._slots.gives_way(turn, sequence.written)
        for each in (*self._slots.wrote(turn, sequence.written), *([turn] * stops)):
            self._streams[each].cancel()  # and it stands in the queue again
        if isinstance(told, Prefilled):
            self._kept.read(sequence.work.tokens, told.cached_tokens)
        if isinstance(told, SequenceFailed) or (isinstance(told, Decoded) and told.finish):
            self._forget(output.ticket)
        return told

    def _forget(self, ticket: int) -> bool:
        sequence = self._sequences.pop(ticket, None)
        if sequence and sequence.begun:
            self._kept.ended(sequence.tokens, sequence.held_tokens)
        return sequence is not None

    def _end(self, turn: Turn) -> None:
        stream = self._streams.pop(turn)
        if self._recall:
            self._recall.end(turn, stream.slot)
        self._slots.end(turn)
        for sequence in self._left_in(turn):
            self._wait([sequence])
        if turn.places:
            for more in self._embeddings.after(turn.tickets[0], self._next_order):
                self._slots.wait(more)

    def _put(self, turn: Turn, output: Output | None) -> None:  # called on a stream's thread
        self._outbox.put((turn, output))
        if not self._told:
            self._told = True
            self._wake()
