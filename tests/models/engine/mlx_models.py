"""Tiny MLX models with random weights, one for each kind of cache, and what runs them.

Every call is to be made on one thread: that of the test.
"""

from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from typing import Any

from models.chat import SamplingParams
from models.engine.backend import Decoded, Output, Prefilled, SequenceFailed, Work
from models.engine.mlx_batch import Batches
from models.engine.mlx_echo import Echo
from models.engine.mlx_layers import Layers, cost_of
from models.engine.mlx_library import import_library
from models.engine.mlx_lookup import Drafting, Watch
from models.engine.mlx_prefill import Grid, Reader
from models.engine.mlx_runner import Runner
from models.engine.mlx_sampling import make_sampler
from models.engine.mlx_sequence import Sequence
from models.engine.prefix_cache import PrefixCache, Tier
from models.engine.sampling import resolve
from models.errors import InferenceError
from models.events import TokenLogprob

VOCABULARY = 512
CHUNK = 32

_COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": 4096,
}
KINDS: dict[str, dict[str, Any]] = {
    # KVCache
    "llama": {"head_dim": 16, "tie_word_embeddings": False},
    # RotatingKVCache and KVCache
    "gemma3_text": {
        "num_hidden_layers": 3,
        "head_dim": 16,
        "num_key_value_heads": 1,
        "sliding_window": 32,
        "sliding_window_pattern": 3,
        "query_pre_attn_scalar": 16,
    },
    # ArraysCache and KVCache
    "lfm2": {
        "norm_eps": 1e-5,
        "conv_bias": False,
        "conv_L_cache": 3,
        "block_dim": 64,
        "block_multiple_of": 16,
        "block_ffn_dim_multiplier": 1.0,
        "block_auto_adjust_ff_dim": True,
        "block_ff_dim": 128,
        "full_attn_idxs": [1],
    },
    # ArraysCache alone
    "mamba2": {
        "num_heads": 4,
        "head_dim": 32,
        "state_size": 16,
        "layer_norm_epsilon": 1e-5,
        "conv_kernel": 4,
        "n_groups": 1,
        "use_bias": False,
        "use_conv_bias": True,
        "tie_word_embeddings": True,
        "time_step_limit": (0.0, 1e9),
        "time_step_rank": "auto",
    },
    # A CacheList of both in each layer
    "falcon_h1": {
        "head_dim": 16,
        "mamba_d_ssm": 128,
        "mamba_d_head": 32,
        "mamba_n_heads": 4,
        "mamba_d_state": 16,
    },
}


def make_model(kind: str) -> Any:
    library = import_library()
    module = import_module(f"mlx_lm.models.{kind}")
    library.mx.random.seed(0)
    model = module.Model(module.ModelArgs.from_dict({"model_type": kind, **_COMMON, **KINDS[kind]}))
    library.mx.eval(model.parameters())
    model.eval()
    return model


class NoPieces:
    def piece(self, token: int) -> bytes:
        return b""

    def rest(self) -> bytes:
        return b""


class Machine:
    """A ``Runner`` on a tiny model, and what it has said."""

    def __init__(
        self,
        model: Any,
        *,
        cache_bytes: int = 1 << 30,
        room_bytes: int = 1 << 31,
        most_rows: int = 8,
        weights_bytes: int = 1 << 40,
        alone: int = CHUNK,
        tier: Tier | None = None,
        processor: Callable[[int, Any, Any], Any] | None = None,
        new_watch: Callable[[tuple[int, ...]], Watch] | None = None,
        stop_tokens: frozenset[int] = frozenset(),
    ) -> None:
        library = import_library()
        self.mx = library.mx
        self._processor = processor  # by ticket
        self._new_watch = new_watch
        self.outputs: list[Output] = []
        handling = Layers(library.mx)

        def new_layers() -> list[Any]:
            return library.make_prompt_cache(model)

        def new_batch() -> Any:
            return library.new_batch(
                model,
                stop_tokens=[[token] for token in sorted(stop_tokens)],
                completion_batch_size=most_rows,
                prefill_batch_size=most_rows,
            )

        def new_drafting(row: Sequence, layers: list[Any]) -> Drafting:
            assert row.watch
            return Drafting(library.mx, model, layers, row.watch, row.sampler)

        self.cost = cost_of(library.mx, model, new_layers())
        self.prefixes = PrefixCache(cache_bytes, tier, handling=handling, least_gain=CHUNK)
        self.batches = Batches(
            new_batch,
            self.cost,
            weights_bytes=weights_bytes,
            stop_tokens=stop_tokens,
            new_drafting=new_drafting,
        )
        self.runner = Runner(
            Reader(library.mx, model, new_layers, handling, Grid(CHUNK, alone)),
            self.batches,
            self.prefixes,
            room_bytes=room_bytes,
            most_rows=most_rows,
            new_row=self._new_row,
            new_echo=lambda work: Echo(
                self.mx, work.tokens, 3, piece=lambda _: b"", vocabulary_size=VOCABULARY
            ),
            explain=lambda error: InferenceError(str(error)),
        )

    def _new_row(self, ticket: int, work: Work) -> Sequence:
        watch = self._new_watch(work.tokens) if self._new_watch else None
        return Sequence(
            ticket,
            NoPieces(),
            len(work.tokens),
            work.max_tokens,
            work.urgent,
            make_sampler(self.mx, resolve(work.sampling, {})),
            [partial(self._processor, ticket)] if self._processor else [],
            [watch] if watch else [],
            watch=watch,
        )

    def start(
        self,
        ticket: int,
        tokens: Iterable[int],
        max_tokens: int = 8,
        *,
        seeds: tuple[int, ...] = (),
        marks: tuple[int, ...] = (),
        urgent: bool = False,
        echo: bool = False,
    ) -> None:
        """With seeds one sequence for each, by tickets that follow; else one that is greedy."""
        samplings = [SamplingParams(temperature=1.0, top_k=0, top_p=1.0, seed=s) for s in seeds]
        works = [
            Work(
                tokens=tuple(tokens),
                max_tokens=max_tokens,
                sampling=sampling,
                checkpoints=marks,
                urgent=urgent,
                prompt_logprobs=echo,
            )
            for sampling in samplings or [SamplingParams(temperature=0.0)]
        ]
        self.runner.insert({ticket + place: work for place, work in enumerate(works)})

    def run(self, until: Callable[[list[Output]], bool] = lambda _: False) -> None:
        while self.runner.has_work and not until(self.outputs):
            self.outputs += self.runner.step()

    def answer(self, tokens: Iterable[int], max_tokens: int = 8, **options: Any) -> list[int]:
        """What it says, alone, under a ticket of its own."""
        self.outputs = [each for each in self.outputs if each.ticket != ASKED]
        self.start(ASKED, tokens, max_tokens, **options)
        self.run()
        return self.said(ASKED)

    def said(self, ticket: int = -1) -> list[int]:
        return [
            token
            for each in self.outputs
            if isinstance(each, Decoded) and each.ticket == ticket
            for token in each.ids or ()
        ]

    def cached(self, ticket: int = -1) -> int:
        (found,) = [
            each.cached_tokens
            for each in self.outputs
            if isinstance(each, Prefilled) and each.ticket == ticket
        ]
        return found

    def echoed(self, ticket: int = -1) -> tuple[TokenLogprob, ...]:
        (found,) = [
            each.logprobs
            for each in self.outputs
            if isinstance(each, Prefilled) and each.ticket == ticket
        ]
        return found

    def failed(self) -> list[SequenceFailed]:
        return [each for each in self.outputs if isinstance(each, SequenceFailed)]


ASKED = -1
