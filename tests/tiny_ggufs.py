"""GGUF files of a few kilobytes, one for each way in which llama.cpp remembers what it has read.

Their weights are zeros: llama.cpp loads them, and says how much memory it sets aside.
"""

# gguf has no complete type stubs.
# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import gguf
import numpy as np

Settings: TypeAlias = Mapping[str, int | float | list[int] | list[bool]]
Tensors: TypeAlias = Iterator[tuple[str, tuple[int, ...]]]

WIDTH, HEADS, KV_HEADS, HEAD, FEED_FORWARD, VOCABULARY = 128, 4, 2, 32, 96, 32
KV = KV_HEADS * HEAD
CONTEXT_LENGTH = 4096
_COMMON: Settings = {
    "context_length": CONTEXT_LENGTH,
    "embedding_length": WIDTH,
    "feed_forward_length": FEED_FORWARD,
    "attention.head_count": HEADS,
    "attention.head_count_kv": KV_HEADS,
    "attention.key_length": HEAD,
    "attention.value_length": HEAD,
    "attention.layer_norm_rms_epsilon": 1e-5,
    "rope.dimension_count": HEAD,
}
_EXPERTS: Settings = {
    "expert_count": 4,
    "expert_used_count": 2,
    "expert_feed_forward_length": 32,
    "expert_shared_count": 1,
    "expert_shared_feed_forward_length": 32,
}
_SSM: Settings = {
    "ssm.conv_kernel": 4,
    "ssm.inner_size": 2 * WIDTH,
    "ssm.state_size": 16,
    "ssm.time_step_rank": 4,
    "ssm.group_count": 1,
}
_LATENT: Settings = {
    "attention.head_count_kv": 1,
    "attention.kv_lora_rank": 32,
    "attention.q_lora_rank": 32,
    "attention.key_length": 32 + 16,
    "attention.value_length": 32,
    "attention.key_length_mla": 16 + 16,
    "attention.value_length_mla": 16,
    "rope.dimension_count": 16,
    "leading_dense_block_count": 4,
    "expert_count": 4,
    "expert_used_count": 2,
    "expert_feed_forward_length": 32,
    "expert_shared_count": 1,
    "expert_weights_scale": 1.0,
}
# By llama.cpp's name of the architecture: how many layers, and what is special about it.
SETTINGS: Mapping[str, tuple[int, Settings]] = {
    "llama": (4, {}),
    "gemma2": (4, {"attention.sliding_window": 128}),
    "gemma3": (8, {"attention.sliding_window": 128}),
    "gpt-oss": (4, {**_EXPERTS, "attention.sliding_window": 128}),
    "deepseek2": (4, _LATENT),
    "mamba": (3, {**_SSM, "ssm.group_count": 0, "attention.head_count": 0}),
    "mamba2": (3, {**_SSM, "attention.head_count": 0}),
    "lfm2": (4, {"shortconv.l_cache": 3, "attention.head_count_kv": [0, KV_HEADS, 0, KV_HEADS]}),
    "falcon-h1": (3, _SSM),
    "qwen3next": (8, {**_EXPERTS, **_SSM, "ssm.group_count": 2, "ssm.inner_size": 64}),
}


def write(path: Path, architecture: str) -> Path:
    layers, special = SETTINGS[architecture]
    writer = gguf.GGUFWriter(path, architecture)
    settings: Settings = {**_COMMON, "block_count": layers, **special}
    for key, value in settings.items():
        name = f"{architecture}.{key}"
        if isinstance(value, list):
            writer.add_array(name, value)
        elif isinstance(value, float):
            writer.add_float32(name, value)
        else:
            writer.add_uint32(name, value)
    _add_vocabulary(writer)
    writer.add_tensor("token_embd.weight", np.zeros((VOCABULARY, WIDTH), np.float32))
    last_norm = "token_embd_norm" if architecture == "lfm2" else "output_norm"
    writer.add_tensor(f"{last_norm}.weight", np.zeros(WIDTH, np.float32))
    if architecture != "gemma2":  # which uses the embeddings again
        writer.add_tensor("output.weight", np.zeros((VOCABULARY, WIDTH), np.float32))
    for layer in range(layers):
        for name, shape in _layer(architecture, layer):
            writer.add_tensor(f"blk.{layer}.{name}", np.zeros(shape[::-1], np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_vocabulary(writer: gguf.GGUFWriter) -> None:
    tokens = ["<unk>", "<s>", "</s>", *(chr(ord("a") + each) for each in range(VOCABULARY - 3))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * VOCABULARY)
    writer.add_token_types(
        3 * [gguf.TokenType.CONTROL] + (VOCABULARY - 3) * [gguf.TokenType.NORMAL]
    )
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


# -- The tensors of a layer, the fastest-running dimension first -------------------


def _layer(architecture: str, layer: int) -> Tensors:
    yield "attn_norm.weight", (WIDTH,)
    match architecture:
        case "gemma2" | "gemma3":
            yield from _attention(own_norms=architecture == "gemma3")
            yield from _feed_forward()
            yield "post_attention_norm.weight", (WIDTH,)
            yield "post_ffw_norm.weight", (WIDTH,)
        case "gpt-oss":
            yield from _attention(biased=True)
            yield "post_attention_norm.weight", (WIDTH,)
            yield "attn_sinks.weight", (HEADS,)
            yield from _experts(biased=True)
        case "deepseek2":
            yield from _latent()
            yield from _feed_forward()
        case "mamba" | "mamba2":
            yield from _ssm(architecture)
        case "lfm2":
            yield from _attention(own_norms=True) if layer % 2 else _short_convolution()
            yield from _feed_forward()
        case "falcon-h1":
            yield from _attention()
            yield from _ssm("mamba2")
            yield from _feed_forward(norm="ffn_norm")
        case "qwen3next":
            yield "post_attention_norm.weight", (WIDTH,)
            yield from _gated_attention() if layer % 4 == 3 else _delta_net()
            yield from _experts(shared=True)
        case _:
            yield from _attention()
            yield from _feed_forward()


def _attention(*, own_norms: bool = False, biased: bool = False) -> Tensors:
    for name, size in (("attn_q", HEADS * HEAD), ("attn_k", KV), ("attn_v", KV)):
        yield f"{name}.weight", (WIDTH, size)
        if biased:
            yield f"{name}.bias", (size,)
    yield "attn_output.weight", (HEADS * HEAD, WIDTH)
    if biased:
        yield "attn_output.bias", (WIDTH,)
    if own_norms:
        yield "attn_q_norm.weight", (HEAD,)
        yield "attn_k_norm.weight", (HEAD,)


def _gated_attention() -> Tensors:
    yield "attn_q.weight", (WIDTH, 2 * HEADS * HEAD)
    yield "attn_k.weight", (WIDTH, KV)
    yield "attn_v.weight", (WIDTH, KV)
    yield "attn_output.weight", (HEADS * HEAD, WIDTH)
    yield "attn_q_norm.weight", (HEAD,)
    yield "attn_k_norm.weight", (HEAD,)


def _latent() -> Tensors:
    rank, rope = 32, 16
    yield "attn_q_a.weight", (WIDTH, rank)
    yield "attn_q_a_norm.weight", (rank,)
    yield "attn_q_b.weight", (rank, HEADS * 32)
    yield "attn_kv_a_mqa.weight", (WIDTH, rank + rope)
    yield "attn_kv_a_norm.weight", (rank,)
    yield "attn_k_b.weight", (16, rank, HEADS)
    yield "attn_v_b.weight", (rank, 16, HEADS)
    yield "attn_output.weight", (HEADS * 16, WIDTH)


def _feed_forward(norm: str = "ffn_norm.weight") -> Tensors:
    yield norm, (WIDTH,)
    yield "ffn_gate.weight", (WIDTH, FEED_FORWARD)
    yield "ffn_up.weight", (WIDTH, FEED_FORWARD)
    yield "ffn_down.weight", (FEED_FORWARD, WIDTH)


def _experts(*, biased: bool = False, shared: bool = False) -> Tensors:
    yield "ffn_gate_inp.weight", (WIDTH, 4)
    for name, shape in (
        ("ffn_gate_exps", (WIDTH, 32)),
        ("ffn_up_exps", (WIDTH, 32)),
        ("ffn_down_exps", (32, WIDTH)),
    ):
        yield f"{name}.weight", (*shape, 4)
        if biased:
            yield f"{name}.bias", (shape[1], 4)
    if biased:
        yield "ffn_gate_inp.bias", (4,)
    if shared:
        yield "ffn_gate_inp_shexp.weight", (WIDTH,)
        yield "ffn_gate_shexp.weight", (WIDTH, 32)
        yield "ffn_up_shexp.weight", (WIDTH, 32)
        yield "ffn_down_shexp.weight", (32, WIDTH)


def _ssm(architecture: str) -> Tensors:
    inner, state, rank = 2 * WIDTH, 16, 4
    yield "ssm_out.weight", (inner, WIDTH)
    if architecture == "mamba":
        yield "ssm_in.weight", (WIDTH, 2 * inner)
        yield "ssm_conv1d.weight", (4, inner)
        yield "ssm_conv1d.bias", (inner,)
        yield "ssm_x.weight", (inner, rank + 2 * state)
        yield "ssm_dt.weight", (rank, inner)
        yield "ssm_dt.bias", (inner,)
        yield "ssm_a", (state, inner)
        yield "ssm_d", (inner,)
    else:
        convolved = inner + 2 * state
        yield "ssm_in.weight", (WIDTH, 2 * inner + 2 * state + rank)
        yield "ssm_conv1d.weight", (4, convolved)
        yield "ssm_conv1d.bias", (convolved,)
        yield "ssm_dt.bias", (rank,)
        yield "ssm_a", (1, rank)
        yield "ssm_d", (1, rank)
        yield "ssm_norm.weight", (inner, 1)


def _delta_net() -> Tensors:
    inner, state, groups, rank = 64, 16, 2, 4
    convolved = inner + 2 * groups * state
    yield "attn_qkv.weight", (WIDTH, convolved)
    yield "attn_gate.weight", (WIDTH, inner)
    yield "ssm_conv1d.weight", (4, convolved)
    yield "ssm_dt.bias", (rank,)
    yield "ssm_a", (rank,)
    yield "ssm_ba.weight", (WIDTH, 2 * rank)
    yield "ssm_norm.weight", (inner // rank,)
    yield "ssm_out.weight", (inner, WIDTH)


def _short_convolution() -> Tensors:
    yield "shortconv.conv.weight", (3, WIDTH)
    yield "shortconv.in_proj.weight", (WIDTH, 3 * WIDTH)
    yield "shortconv.out_proj.weight", (WIDTH, WIDTH)
