"""Models with random weights and an invented vocabulary: as fast as real ones, and as large.

They speak nonsense, so they need no download. Their decode speed is that of a real model
of the same shape, since speed does not depend on what the weights say.
"""

# gguf and mlx have no complete type stubs.
# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from string import ascii_lowercase
from typing import Any, cast

import gguf
import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten
from mlx_lm.models import llama
from numpy.typing import NDArray

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CONTEXT_LENGTH = 2048
ROPE_BASE = 10_000.0
RMS_EPSILON = 1e-5
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Shape:
    """Of a llama-architecture transformer with tied embeddings."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    feed_forward: int

    @property
    def head_width(self) -> int:
        return self.width // self.heads


# SmolLM2-135M's. 8-bit, one thread of this class of computer decodes some 50 tokens/s.
SMALL = Shape(49_152, width=576, layers=30, heads=9, kv_heads=3, feed_forward=1536)
# Qwen2.5-1.5B's, for a GPU: 3 GB in 16 bit.
LARGE = Shape(151_936, width=1536, layers=28, heads=12, kv_heads=2, feed_forward=8960)
# For MLX, whose CPU kernels are slow: a token costs it about as much as the other's does.
TINY = Shape(8_192, width=256, layers=4, heads=4, kv_heads=2, feed_forward=768)
SHAPES = {"tiny": TINY, "small": SMALL, "large": LARGE}


def write_gguf(path: Path, shape: Shape, context_length: int = CONTEXT_LENGTH) -> None:
    """Write a Q8_0 file that llama.cpp loads."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(path.stem)
    writer.add_context_length(context_length)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(RMS_EPSILON)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    tokens, merges = _vocabulary(shape.vocabulary)
    control = len(SPECIAL) * [gguf.TokenType.CONTROL]
    normal = (len(tokens) - len(SPECIAL)) * [gguf.TokenType.NORMAL]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(control + normal)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    for name, weights in _weights(shape):
        if weights.ndim == 1:
            writer.add_tensor(name, weights)
        else:
            quantized = gguf.quants.quantize(weights, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(name, quantized, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_mlx(
    folder: Path, shape: Shape, context_length: int = CONTEXT_LENGTH, dtype: str = "float32"
) -> None:
    """Write an MLX folder, of 32-bit weights unless told: what MLX on a CPU is fastest with."""
    folder.mkdir()
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_width,
        "intermediate_size": shape.feed_forward,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": context_length,
        "rope_theta": ROPE_BASE,
        "rms_norm_eps": RMS_EPSILON,
        "tie_word_embeddings": True,
        "torch_dtype": dtype,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }
    _write_json(folder / "config.json", config)
    _write_json(folder / "tokenizer.json", _tokenizer(shape.vocabulary))
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": SPECIAL[0],
        "eos_token": SPECIAL[2],
        "clean_up_tokenization_spaces": False,
        "chat_template": TEMPLATE,
    }
    _write_json(folder / "tokenizer_config.json", tokenizer_config)
    mx.random.seed(0)
    model = llama.Model(llama.ModelArgs.from_dict(config))
    model.set_dtype(getattr(mx, dtype))
    weights: dict[str, mx.array] = {
        name: value
        for name, value in cast("list[tuple[str, mx.array]]", tree_flatten(model.parameters()))
        if not name.startswith("lm_head.")
    }
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def _weights(shape: Shape) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Name and values of each tensor, as llama.cpp calls them."""
    random = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> NDArray[np.float32]:
        return random.standard_normal((rows, columns), dtype=np.float32) / np.float32(columns**0.5)

    ones = np.ones(shape.width, dtype=np.float32)
    kv_width = shape.kv_heads * shape.head_width
    embedding = matrix(shape.vocabulary, shape.width)
    # Never sampled: an early end of turn, or half a character.
    embedding[: len(SPECIAL) + 256] = 0
    yield "token_embd.weight", embedding
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", ones
        yield block + "attn_q.weight", matrix(shape.width, shape.width)
        yield block + "attn_k.weight", matrix(kv_width, shape.width)
        yield block + "attn_v.weight", matrix(kv_width, shape.width)
        yield block + "attn_output.weight", matrix(shape.width, shape.width)
        yield block + "ffn_norm.weight", ones
        yield block + "ffn_gate.weight", matrix(shape.feed_forward, shape.width)
        yield block + "ffn_up.weight", matrix(shape.feed_forward, shape.width)
        yield block + "ffn_down.weight", matrix(shape.width, shape.feed_forward)
    yield "output_norm.weight", ones


def _vocabulary(size: int) -> tuple[list[str], list[str]]:
    """Tokens and merges of a byte-level BPE: special tokens, bytes, then invented words."""
    pairs = ["".join(letters) for letters in product(ascii_lowercase, repeat=2)]
    fours = product(pairs, repeat=2)
    tokens = [*SPECIAL, *_byte_characters(), *pairs]
    merges = [" ".join(pair) for pair in pairs]
    while len(tokens) < size:
        first, second = next(fours)
        tokens.append(first + second)
        merges.append(f"{first} {second}")
    return tokens, merges


def _byte_characters() -> list[str]:
    """The character that stands for each byte in GPT-2's vocabulary, and everyone's since."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    characters = {byte: chr(byte) for byte in printable}
    characters |= {byte: chr(256 + index) for index, byte in enumerate(others)}
    return [characters[byte] for byte in range(256)]


def _tokenizer(size: int) -> dict[str, Any]:
    """The same vocabulary as tokenizer.json."""
    tokens, merges = _vocabulary(size)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": index, "content": token, "special": True, **added}
            for index, token in enumerate(SPECIAL)
        ],
        "pre_tokenizer": {**byte_level, "use_regex": True},
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in merges],
        },
    }
