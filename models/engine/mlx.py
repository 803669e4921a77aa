"""A model that runs in this process, on Apple's GPU: Backend over mlx_lm's BatchGenerator.

``mlx_library.py`` has the library, ``mlx_load.py`` loads a folder bit by bit.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models import facts
from models.engine.backend import (
    Admitted,
    Decoded,
    EmbedWork,
    LoadSpec,
    Output,
    Prefilled,
    Prefilling,
    SequenceFailed,
    Work,
)
from models.engine.hf_tokenizer import tokenizer_of
from models.engine.mlx_encoder import MlxEncoder, decoder_embeddings
from models.engine.mlx_library import free, import_library
from models.engine.mlx_load import (
    Batch,
    Library,
    LoadedFolder,
    Loading,
    MlxTokenizer,
    PromptResponse,
    TokenResponse,
    first_line,
    is_out_of_memory,
)
from models.engine.mlx_sampling import Array, LogitsProcessor, make_penalties, make_sampler
from models.engine.pieces import Pieces, pieces_of
from models.engine.prompt import Prompter
from models.engine.sampling import own_defaults, resolve
from models.engine.template import ChatTemplate
from models.errors import InferenceError, InvalidRequest, ModelCrashed, OutOfMemory
from models.events import FinishReason

log = logging.getLogger(__name__)

# One newcomer at a time, in chunks of this many tokens: the others wait for one chunk
# between two of their tokens. See docs/decisions/mlx-batches.md.
_PREFILL_STEP_TOKENS = 256

_FINISH = {"stop": FinishReason.END_OF_TURN, "length": FinishReason.MAX_TOKENS}


def open_mlx(spec: LoadSpec, wake: Callable[[], None]) -> "MlxBackend | MlxEncoder":
    """Open a model: an ``OpenBackend``. ``Backend.load`` loads it. Raises LoadFailed."""
    facts.of_mlx(spec.model.path)  # mlx_lm would look for a missing file on the network
    if not spec.model.details.completes:
        return MlxEncoder(spec, wake)
    return MlxBackend(spec, wake)


@dataclass(slots=True)
class _Sequence:
    ticket: int
    pieces: Pieces
    processors: list[LogitsProcessor]
    error: Exception | None = field(default=None, init=False)

    def process(self, tokens: Array, logits: Array) -> Array:
        """The one logits processor that mlx_lm sees. It never raises.

        There an exception would come out of the step of the whole batch; here it
        ends this sequence after the step.
        """
        try:
            for processor in self.processors:
                logits = processor(tokens, logits)
        except Exception as error:
            self.error = error
        return logits


class MlxBackend:
    """One MLX model and the sequences that run on it. A ``Backend``."""

    def __init__(self, spec: LoadSpec, wake: Callable[[], None]) -> None:
        self._spec = spec
        self._wake = wake
        self._own_defaults = own_defaults(spec.model.path)
        self._loading: Loading | None = None
        self._runnable: _Runnable | None = None  # once it is loaded
        self._admitted: list[Output] = []
        self._sequences: dict[int, _Sequence] = {}  # by mlx_lm's number

    # -- Loading --------------------------------------------------------------

    @property
    def prompter(self) -> Prompter:
        return self._loaded.prompter

    @property
    def loaded_bytes(self) -> int:
        return self._loading.loaded_bytes if self._loading else 0

    def load(self) -> bool:
        if self._runnable:
            return True
        try:
            return self._go_on_loading()
        except InferenceError as error:
            # The frames it came through hold half a model, and would for as long as some
            # window shows the error.
            failure = error.with_traceback(None)
            failure.__context__ = None
        self._loading = None
        free()
        raise failure

    def _go_on_loading(self) -> bool:
        if self._loading is None:
            self._loading = Loading(import_library(), self._spec.model.path, self._wake)
            return False
        loaded = self._loading.go_on()
        if loaded is None:
            return False
        self._runnable = _Runnable(self._loading.library, loaded, self._spec)
        self._loading = None
        return True

    @property
    def _loaded(self) -> "_Runnable":
        assert self._runnable, "used before it was loaded"
        return self._runnable

    # -- Sequences ------------------------------------------------------------

    def insert(self, works: Mapping[int, Work]) -> None:
        for ticket, work in works.items():
            self._insert(ticket, work)

    def _insert(self, ticket: int, work: Work) -> None:
        model = self._loaded
        # MLX does not check an index, and would read whatever lies there.
        if min(work.tokens) < 0 or max(work.tokens) >= model.vocabulary_size:
            raise InvalidRequest(
                "The prompt has token numbers that this model does not know: "
                "they may come from another model's context."
            )
        sampling = resolve(work.sampling, self._own_defaults)
        penalties = make_penalties(model.mx, sampling)
        sequence = _Sequence(ticket, model.new_pieces(), [penalties] if penalties else [])
        (number,) = model.batch.insert(
            [list(work.tokens)],
            [work.max_tokens],
            samplers=[make_sampler(model.mx, sampling)],
            # Always a list: a batch of rows with and without has crashed (mlx-lm#1513).
            logits_processors=[[sequence.process] if sequence.processors else []],
        )
        self._sequences[number] = sequence
        self._admitted.append(Admitted(ticket, len(work.tokens)))

    def embed(self, ticket: int, work: EmbedWork) -> None:
        self._loaded.embeddings.add(ticket, work)

    def remove(self, ticket: int) -> None:
        self._loaded.embeddings.remove(ticket)
        for number, sequence in self._sequences.items():
            if sequence.ticket == ticket:
                del self._sequences[number]
                self._loaded.batch.remove([number])
                self._rest_when_idle()
                return

    def has_work(self) -> bool:
        if self._runnable:
            return bool(self._sequences) or self._runnable.embeddings.has_work()
        return self._loading is None or self._loading.has_work()

    # -- Steps ----------------------------------------------------------------

    def step(self) -> list[Output]:
        if self._admitted:  # told before the first chunk is read, which may take a while
            outputs, self._admitted = self._admitted, []
            return outputs
        vectors = self._loaded.embeddings.step()
        if not self._sequences:
            return vectors
        try:
            prompts, tokens = self._loaded.batch.next()
        except Exception as error:
            log.exception("%s failed in a step", self._spec.model.name)
            failure = _step_error(str(self._spec.model.name), error)
        else:
            return vectors + self._outputs(prompts, tokens)
        # Out here the exception is gone, and with it the frames that hold the old batch.
        return vectors + self._start_over(failure)

    def _outputs(self, prompts: list[PromptResponse], tokens: list[TokenResponse]) -> list[Output]:
        outputs = [self._prompt(each) for each in prompts]
        outputs += [self._token(each) for each in tokens]
        # After the tokens: mlx_lm works one token ahead, and what went wrong beyond the
        # end of a sequence is no failure of it.
        outputs += self._failures()
        self._rest_when_idle()
        return outputs

    def _prompt(self, response: PromptResponse) -> Output:
        ticket = self._sequences[response.uid].ticket
        if response.end_of_prompt:
            return Prefilled(ticket, cached_tokens=0)
        return Prefilling(ticket, *response.progress)

    def _token(self, response: TokenResponse) -> Decoded:
        sequence = self._sequences[response.uid]
        finish = _FINISH[response.finish_reason] if response.finish_reason else None
        piece = b""
        if finish is not FinishReason.END_OF_TURN:
            piece = sequence.pieces.piece(response.token)
        if finish:
            piece += sequence.pieces.rest()
            del self._sequences[response.uid]
        return Decoded(sequence.ticket, piece, (response.token,), finish)

    def _failures(self) -> list[Output]:
        failures: list[Output] = []
        for sequence in [each for each in self._sequences.values() if each.error]:
            log.error("A logits processor failed", exc_info=sequence.error)
            self.remove(sequence.ticket)
            error = InferenceError("The next token could not be chosen: see the log.")
            failures.append(SequenceFailed(sequence.ticket, error))
        return failures

    def _start_over(self, error: InferenceError) -> list[Output]:
        """Fail every sequence and take a fresh batch: what the old one holds is unknown."""
        failures: list[Output] = [
            SequenceFailed(each.ticket, error.again()) for each in self._sequences.values()
        ]
        self._sequences.clear()
        self._loaded.start_over()
        return failures

    def _rest_when_idle(self) -> None:
        if not self._sequences:
            self._loaded.mx.clear_cache()

    # -- The end --------------------------------------------------------------

    def close(self) -> None:
        self._sequences.clear()
        self._loading = self._runnable = None
        free()


class _Runnable:
    """What a loaded model is made of: weights, tokenizer, and the batch that runs on them."""

    def __init__(self, library: Library, loaded: LoadedFolder, spec: LoadSpec) -> None:
        tokenizer = loaded.tokenizer
        template = _template(spec.model.path, tokenizer)
        self.mx = library.mx
        self.vocabulary_size = loaded.vocabulary_size
        self.new_pieces = pieces_of(tokenizer)
        self.embeddings = decoder_embeddings(library, loaded, spec)
        self.prompter = Prompter(template, tokenizer_of(tokenizer), spec.context_length)
        self._library = library
        self._weights = loaded.model
        self._stop_tokens = [[token] for token in sorted(tokenizer.eos_token_ids)]
        self._max_sequences = spec.max_sequences
        self.batch = self._new_batch()

    def start_over(self) -> None:
        del self.batch
        free()
        self.batch = self._new_batch()

    def _new_batch(self) -> Batch:
        return self._library.new_batch(
            self._weights,
            stop_tokens=self._stop_tokens,
            completion_batch_size=self._max_sequences,
            prefill_batch_size=1,
            prefill_step_size=_PREFILL_STEP_TOKENS,
        )


def _step_error(name: str, error: Exception) -> InferenceError:
    if is_out_of_memory(error):
        return OutOfMemory(f"'{name}' ran out of memory: use a shorter context or a smaller model.")
    return ModelCrashed(f"'{name}' failed while it was running: {first_line(error)}")


def _template(folder: Path, tokenizer: MlxTokenizer) -> ChatTemplate | None:
    source = facts.mlx_chat_template(folder)
    if source is None:
        return None
    return ChatTemplate(
        source, bos_token=tokenizer.bos_token or "", eos_token=tokenizer.eos_token or ""
    )
