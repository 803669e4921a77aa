"""A model that runs in this process, on Apple's GPU: Backend over mlx_lm's BatchGenerator.

The only file that imports mlx. It does so when the first model is opened, on the
engine's thread: mlx_lm brings transformers along and takes seconds.
"""

import gc
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from models import facts
from models.chat import GenerateRequest
from models.engine.backend import LoadPlan, Output, Prefilled, SequenceFailed, Token
from models.engine.hf_tokenizer import tokenizer_of
from models.engine.mlx_load import (
    Batch,
    Library,
    MlxTokenizer,
    PromptResponse,
    TokenResponse,
    first_line,
    is_out_of_memory,
    load,
)
from models.engine.mlx_sampling import Array, LogitsProcessor, make_penalties, make_sampler
from models.engine.pieces import Pieces, pieces_of
from models.engine.prompt import Prompter
from models.engine.sampling import Sampling, own_defaults, resolve
from models.engine.template import ChatTemplate
from models.errors import InferenceError, InvalidRequest, LoadFailed, ModelCrashed, OutOfMemory
from models.events import FinishReason

log = logging.getLogger(__name__)

# One newcomer at a time, in chunks of this many tokens: the others wait for one chunk
# between two of their tokens. See docs/decisions/mlx-batches.md.
_PREFILL_STEP_TOKENS = 256

# Freed buffers that MLX keeps for the next array. Without a limit they grow with every
# new shape (38 GB have been seen).
_CACHE_LIMIT_BYTES = 2 << 30

_FINISH = {"stop": FinishReason.END_OF_TURN, "length": FinishReason.MAX_TOKENS}


def available() -> bool:
    """Whether MLX is installed. Imports nothing."""
    return find_spec("mlx") is not None and find_spec("mlx_lm") is not None


def open_mlx(plan: LoadPlan, wake: Callable[[], None]) -> "MlxBackend":
    """Load a model: an ``OpenBackend``. It waits until the model is ready, and wakes no one.

    Raises:
        LoadFailed, OutOfMemory
    """
    try:
        return MlxBackend(plan)
    except InferenceError as error:
        # The frames it came through hold half a model, and would for as long as some
        # window shows the error.
        failure = error.with_traceback(None)
        failure.__context__ = None
    _free()
    raise failure


def end_thread() -> None:
    """The last act of a thread that used MLX: without it the process aborts at its exit.

    Harmless where MLX was never imported.
    """
    _free()
    if mx := sys.modules.get("mlx.core"):
        mx.clear_streams()


def _free() -> None:
    """Give back the memory of what nobody refers to any more."""
    gc.collect()
    if mx := sys.modules.get("mlx.core"):
        mx.clear_cache()


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
    """One MLX model and the sequences that run on it. A ``Backend``.

    Raises:
        LoadFailed, OutOfMemory
    """

    def __init__(self, plan: LoadPlan) -> None:
        folder = plan.model.path
        facts.of_mlx(folder)  # mlx_lm would look for a missing file on the network
        library = _import_library()
        loaded = load(library, folder)
        self._plan = plan
        self._library = library
        self._mx = library.mx
        self._own_defaults = own_defaults(folder)
        template = _template(folder, loaded.tokenizer)
        tokenizer = tokenizer_of(loaded.tokenizer)
        self.prompter = Prompter(template, tokenizer, plan.context_length)
        self._new_pieces = pieces_of(loaded.tokenizer)
        self._loaded = loaded
        self._sequences: dict[int, _Sequence] = {}  # by mlx_lm's number
        self._batch = self._new_batch()

    # -- What it is -----------------------------------------------------------

    @property
    def context_length(self) -> int:
        return self._plan.context_length

    def ready(self) -> bool:
        return True

    # -- Sequences ------------------------------------------------------------

    def insert(
        self, ticket: int, prompt: list[int], max_tokens: int, request: GenerateRequest
    ) -> None:
        sampling = resolve(request.sampling, self._own_defaults)
        self._refuse_impossible(prompt, sampling)
        penalties = make_penalties(self._mx, sampling)
        sequence = _Sequence(ticket, self._new_pieces(), [penalties] if penalties else [])
        (number,) = self._batch.insert(
            [prompt],
            [max_tokens],
            samplers=[make_sampler(self._mx, sampling)],
            # Always a list: a batch of rows with and without has crashed (mlx-lm#1513).
            logits_processors=[[sequence.process] if sequence.processors else []],
        )
        self._sequences[number] = sequence

    def _refuse_impossible(self, prompt: list[int], sampling: Sampling) -> None:
        if sampling.typical_p != 1:
            raise InvalidRequest(
                "typical_p is not available for MLX models: please leave it out.",
                field="typical_p",
            )
        # MLX does not check an index, and would read whatever lies there.
        if min(prompt) < 0 or max(prompt) >= self._loaded.vocabulary_size:
            raise InvalidRequest(
                "The prompt has token numbers that this model does not know: "
                "they may come from another model's context.",
                field="context",
            )

    def remove(self, ticket: int) -> None:
        for number, sequence in self._sequences.items():
            if sequence.ticket == ticket:
                del self._sequences[number]
                self._batch.remove([number])
                self._rest_when_idle()
                return

    def has_work(self) -> bool:
        return bool(self._sequences)

    # -- Steps ----------------------------------------------------------------

    def step(self) -> list[Output]:
        try:
            prompts, tokens = self._batch.next()
        except Exception as error:
            log.exception("%s failed in a step", self._plan.model.name)
            failure = _step_error(str(self._plan.model.name), error)
        else:
            return self._outputs(prompts, tokens)
        # Out here the exception is gone, and with it the frames that hold the old batch.
        return self._start_over(failure)

    def _outputs(self, prompts: list[PromptResponse], tokens: list[TokenResponse]) -> list[Output]:
        outputs: list[Output] = [
            Prefilled(self._sequences[each.uid].ticket, cached_tokens=0)
            for each in prompts
            if each.end_of_prompt
        ]
        outputs += [self._token(each) for each in tokens]
        # After the tokens: mlx_lm works one token ahead, and what went wrong beyond the
        # end of a sequence is no failure of it.
        outputs += self._failures()
        self._rest_when_idle()
        return outputs

    def _token(self, response: TokenResponse) -> Token:
        sequence = self._sequences[response.uid]
        finish = _FINISH[response.finish_reason] if response.finish_reason else None
        piece = b""
        if finish is not FinishReason.END_OF_TURN:
            piece = sequence.pieces.piece(response.token)
        if finish:
            piece += sequence.pieces.rest()
            del self._sequences[response.uid]
        return Token(sequence.ticket, piece, (response.token,), finish)

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
            SequenceFailed(each.ticket, error) for each in self._sequences.values()
        ]
        self._sequences.clear()
        del self._batch
        _free()
        self._batch = self._new_batch()
        return failures

    def _new_batch(self) -> Batch:
        return self._library.new_batch(
            self._loaded.model,
            stop_tokens=[[token] for token in sorted(self._loaded.tokenizer.eos_token_ids)],
            completion_batch_size=self._plan.max_sequences,
            prefill_batch_size=1,
            prefill_step_size=_PREFILL_STEP_TOKENS,
        )

    def _rest_when_idle(self) -> None:
        if not self._sequences:
            self._mx.clear_cache()

    # -- The end --------------------------------------------------------------

    def close(self) -> None:
        self._sequences.clear()
        del self._batch, self._loaded, self._new_pieces
        _free()


def _import_library() -> Library:
    try:
        return _library()
    except Exception as error:
        log.exception("MLX cannot be imported")
        raise LoadFailed(f"MLX cannot be used on this computer: {first_line(error)}") from None


@cache
def _library() -> Library:
    mx = import_module("mlx.core")
    # ``import mlx_lm.generate as generate`` would give the function of that name.
    generate = import_module("mlx_lm.generate")
    utils = import_module("mlx_lm.utils")
    _never_wire_memory(generate)
    mx.set_cache_limit(_CACHE_LIMIT_BYTES)
    return Library(
        mx=mx,
        new_batch=generate.BatchGenerator,
        load_model=utils.load_model,
        load_tokenizer=utils.load_tokenizer,
        make_prompt_cache=import_module("mlx_lm.models.cache").make_prompt_cache,
    )


def _never_wire_memory(generate: ModuleType) -> None:
    """Keep mlx_lm from ``mx.set_wired_limit``: see docs/decisions/mlx-wired-memory.md."""
    name = "maybe_set_recommended_wired_limit"
    if name not in vars(generate):
        raise RuntimeError(f"this release of mlx_lm has no {name}")

    def leave_it() -> None:  # what it answers where the computer recommends no limit
        return None

    vars(generate)[name] = leave_it


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
