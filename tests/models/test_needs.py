"""How much memory a model needs, held against what the libraries set aside."""

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models import facts, needs
from models.cache_facts import CacheFacts
from models.counts import Counts
from models.ledger import Need
from models.mlx_cache import cache_facts
from models.model import Kind, KvType, Model
from models.needs import Cache, Wish, cache_of
from tests import tiny_ggufs
from tests.fakes import a_model

MIB = 1 << 20
SEQUENCES, TOKENS = 32, 1024

# -- llama.cpp -----------------------------------------

# What the child runs, with the log that tells sizes. The types are ggml's numbers for f16,
# q8_0 and q4_0.
LOAD = f"""
import os, sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.cache_type_k = params.cache_type_v = getattr(xllamacpp.ggml_type, sys.argv[2])
params.verbosity = 4
params.n_parallel = {SEQUENCES}
params.n_ctx = {SEQUENCES * TOKENS}
params.kv_unified = params.fit_params = params.warmup = params.use_jinja = False
params.n_batch = params.n_ubatch = 256
params.cache_ram_mib = params.port = 0
params.chat_template = "chatml"
params.hostnames = ["127.0.0.1"]
server = xllamacpp.Server(params)
sys.stderr.flush()
os._exit(0)
"""
TYPES = {
    KvType.F16: "GGML_TYPE_F16",
    KvType.Q8_0: "GGML_TYPE_Q8_0",
    KvType.Q4_0: "GGML_TYPE_Q4_0",
}
SIZE = re.compile(r"(?:llama_kv_cache|llama_memory_recurrent): size = +([0-9.]+) MiB")


def set_aside_by_llama_cpp(path: Path, kv_type: KvType) -> float:
    """Return the bytes that it sets aside for all sequences, to some thousands."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(path), TYPES[kv_type]],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    sizes = SIZE.findall(done.stderr)
    assert sizes, done.stderr[-2000:]
    return sum(map(float, sizes)) * MIB


@pytest.mark.parametrize("architecture", tiny_ggufs.SETTINGS)
def test_what_llama_cpp_sets_aside_is_known_before(tmp_path: Path, architecture: str) -> None:
    path = tiny_ggufs.write(tmp_path / "tiny.gguf", architecture)
    model = replace(a_model(), details=facts.read(path).details)

    ours = cache_of(model).of(TOKENS) * SEQUENCES

    assert ours == pytest.approx(set_aside_by_llama_cpp(path, KvType.F16), abs=0.02 * MIB)


@pytest.mark.parametrize("kv_type", [KvType.Q8_0, KvType.Q4_0])
def test_a_cache_of_fewer_bits_is_reckoned_as_llama_cpp_does(
    tmp_path: Path, kv_type: KvType
) -> None:
    path = tiny_ggufs.write(tmp_path / "tiny.gguf", "gemma3")
    model = replace(a_model(), details=facts.read(path).details)

    ours = cache_of(model, kv_type).of(TOKENS) * SEQUENCES

    assert ours == pytest.approx(set_aside_by_llama_cpp(path, kv_type), abs=0.02 * MIB)


# -- MLX -----------------------------------------------

COMMON: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
    "head_dim": 16,
}
EXPERTS: dict[str, Any] = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "moe_intermediate_size": 32,
    "norm_topk_prob": True,
}
LATENT: dict[str, Any] = {
    "num_key_value_heads": 4,
    "moe_intermediate_size": 32,
    "n_shared_experts": 1,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "first_k_dense_replace": 1,
    "kv_lora_rank": 32,
    "q_lora_rank": 32,
    "qk_rope_head_dim": 16,
    "v_head_dim": 16,
    "qk_nope_head_dim": 16,
}
MAMBA: dict[str, Any] = {
    "state_size": 16,
    "conv_kernel": 4,
    "use_bias": False,
    "use_conv_bias": True,
    "time_step_rank": 4,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {},
    "ministral3": {
        "layer_types": ["full_attention", "sliding_attention"] * 2,
        "sliding_window": 32,
        "rope_parameters": {
            "rope_theta": 1e4,
            "llama_4_scaling_beta": 0.1,
            "original_max_position_embeddings": 4096,
        },
    },
    "gemma2": {
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
        "query_pre_attn_scalar": 16,
        "sliding_window": 32,
    },
    "gemma3_text": {
        "num_hidden_layers": 6,
        "num_key_value_heads": 1,
        "sliding_window": 32,
        "sliding_window_pattern": 3,
        "query_pre_attn_scalar": 16,
    },
    "gemma4_text": {
        "num_hidden_layers": 6,
        "global_head_dim": 32,
        "vocab_size_per_layer_input": 64,
        "num_key_value_heads": 1,
        "num_kv_shared_layers": 2,
        "hidden_size_per_layer_input": 16,
        "sliding_window": 32,
        "sliding_window_pattern": 3,
    },
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 32},
    "deepseek_v2": {
        **LATENT,
        "topk_method": "greedy",
        "rope_scaling": {"type": "yarn", "factor": 1.0, "original_max_position_embeddings": 4096},
    },
    "deepseek_v3": {**LATENT, "n_group": 1, "topk_group": 1},
    "deepseek_v32": {**LATENT, "index_head_dim": 32, "index_n_heads": 4, "index_topk": 64},
    "mamba": {**MAMBA, "intermediate_size": 128},
    "mamba2": {
        **MAMBA,
        "num_heads": 4,
        "head_dim": 32,
        "layer_norm_epsilon": 1e-5,
        "n_groups": 1,
        "time_step_limit": (0.0, 1e9),
    },
    "lfm2": {
        "norm_eps": 1e-5,
        "conv_bias": False,
        "conv_L_cache": 3,
        "block_dim": 64,
        "block_multiple_of": 16,
        "block_ffn_dim_multiplier": 1.0,
        "block_auto_adjust_ff_dim": True,
        "block_ff_dim": 128,
        "full_attn_idxs": [1, 3],
    },
    "qwen3_next": {
        **EXPERTS,
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 32,
        "linear_value_head_dim": 32,
        "linear_conv_kernel_dim": 4,
        "shared_expert_intermediate_size": 64,
        "partial_rotary_factor": 0.25,
    },
    "falcon_h1": {
        "mamba_d_ssm": 128,
        "mamba_d_head": 32,
        "mamba_n_heads": 4,
        "mamba_d_state": 16,
    },
}
STEP = 256  # tokens by which mlx_lm's caches grow


def kept_by_mlx(kind: str, config: dict[str, Any], tokens: int) -> int:
    """Ask the model itself: mlx is lazy, and a pass that nobody evaluates tells every shape."""
    mx = pytest.importorskip("mlx.core")
    caches = importlib.import_module("mlx_lm.models.cache")
    module = importlib.import_module(f"mlx_lm.models.{kind}")
    model = module.Model(module.ModelArgs.from_dict({"model_type": kind, **config}))
    layers = caches.make_prompt_cache(model)
    model(mx.zeros((1, STEP), mx.int32), cache=layers)
    return sum(_bytes(layer, tokens) for layer in _flat(layers))


def _flat(layers: Any) -> Iterator[Any]:
    for layer in layers:
        yield from _flat(layer.caches) if hasattr(layer, "caches") else (layer,)


def _bytes(layer: Any, tokens: int) -> int:
    if type(layer).__name__ == "ArraysCache":
        return layer.nbytes
    longest = getattr(layer, "max_size", None)
    kept = min(tokens, longest + STEP - 1) if longest else tokens
    return layer.nbytes // STEP * kept


@pytest.mark.parametrize("kind", CONFIGS)
def test_what_mlx_keeps_is_known_before(kind: str) -> None:
    config = COMMON | CONFIGS[kind]
    told = cache_facts(Counts("config.json", config), kind, config)
    # Two bytes a number there, and four in a model that nobody has told otherwise.
    cache = Cache(
        2 * told.kv_bytes_per_token,
        2 * told.window_bytes_per_token,
        told.window_tokens,
        told.state_bytes,
    )

    kept = kept_by_mlx(kind, config, 2048)

    padding = cache.window_bytes * STEP  # a window is rounded up
    assert kept <= cache.of(2048) <= kept + padding


def test_a_configuration_may_tell_each_layer() -> None:
    config = COMMON | {"layer_types": ["sliding_attention", "full_attention"] * 2}
    config["sliding_window"] = 100

    told = cache_facts(Counts("config.json", config), "something_new", config)

    a_layer = 2 * 2 * 16 * 2  # keys and values, heads, width, bytes
    assert told == CacheFacts(2 * a_layer, 2 * a_layer, 100, 0)


# -- What is chosen ------------------------------------


def with_cache(**told: int) -> Model:
    model = a_model(context_length=1_000_000)
    return replace(model, details=replace(model.details, **{"kv_bytes_per_token": 0, **told}))


def test_a_window_makes_a_long_context_cheap() -> None:
    short, long = Cache(0, 100, 1024).of(2048), Cache(0, 100, 1024).of(1_000_000)

    assert short == long == 100 * (1024 + 256)


@pytest.mark.parametrize(
    "cache",
    [Cache(100), Cache(100, 50, 512), Cache(100, 50, 512, 10_000), Cache(100, 0, 0, 10_000)],
)
@pytest.mark.parametrize("size_bytes", [5_000, 60_000, 1_000_000, 50_000_000])
def test_the_longest_sequence_fits_and_one_more_token_does_not(
    cache: Cache, size_bytes: int
) -> None:
    tokens = cache.tokens_within(size_bytes)

    assert tokens == 0 or cache.of(tokens) <= size_bytes
    assert cache.of(tokens + 1) > size_bytes


def test_a_state_alone_lets_the_context_be_as_long_as_it_may() -> None:
    model = with_cache(state_bytes=1000)
    wish = Wish()

    spec = needs.roomiest(needs.least(model, wish), wish, 1 << 30)

    assert spec.context_length == 32_768
    assert not spec.need.guessed


def test_fewer_bits_leave_room_for_a_longer_context() -> None:
    model = with_cache(kv_bytes_per_token=100_000)
    lengths: dict[KvType, int] = {}
    for kv_type in (KvType.F16, KvType.Q4_0):
        wish = Wish(kv_type=kv_type)
        spec = needs.roomiest(needs.least(model, wish), wish, 3 << 30)
        assert spec.kv_type is kv_type
        lengths[kv_type] = spec.context_length

    assert lengths[KvType.Q4_0] > lengths[KvType.F16]


def test_a_model_that_tells_nothing_is_guessed() -> None:
    model = replace(with_cache(), size_bytes=13 << 30)

    spec = needs.least(model, Wish())

    assert spec.need.guessed
    assert spec.need.cache_bytes > 2048 * 500_000


def test_mlx_keeps_32_bits_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    model = a_model(kind=Kind.MLX, quantization="4bit", kv_bytes_per_token=8)
    monkeypatch.setattr("sys.platform", "linux")
    on_cpu: Need = needs.least(model, Wish()).need
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    on_gpu: Need = needs.least(model, Wish()).need

    assert on_cpu.cache_bytes == 2 * on_gpu.cache_bytes
    assert on_cpu.weights_bytes == on_gpu.weights_bytes  # only those of 16 bits grow
