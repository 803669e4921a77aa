"""The model ``agent``: reads up to 65,536 tokens, says one plain sentence and ends its turn.

    python -m benchmarks.agent_model FOLDER

It has the pocket model's vocabulary and template, so that programs with long prompts can be
run against it. What it says does not depend on what it read, but reading costs what it costs
any model of this shape: its layers are real, only what they add is nothing. What comes next
depends on the latest token alone: each word of the sentence is followed by the next one, and
everything else by the first.
"""

# gguf and tokenizers have no complete type stubs.
# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import mlx.core as mx
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from benchmarks.measure import REPOSITORY
from benchmarks.random_models import RMS_EPSILON, Shape

SENTENCE = "I have what you asked for, and that is it."  # no token comes twice
END = "<|im_end|>"
CONTEXT_LENGTH = 65_536
# Small: MLX's CPU kernels are slow, and tests read tens of thousands of tokens with it.
SHAPE = Shape(1912, width=128, layers=2, heads=2, kv_heads=2, feed_forward=256)
_ROPE_BASE = 1e6
_CERTAIN = 8.0  # in a row of the head: some 90 above every other logit
_POCKET = REPOSITORY / "resources" / "pocket"
_MLX_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def write_agent_gguf(path: Path) -> None:
    """Write a file of 16-bit weights that llama.cpp loads."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Agent")
    writer.add_context_length(CONTEXT_LENGTH)
    writer.add_embedding_length(SHAPE.width)
    writer.add_block_count(SHAPE.layers)
    writer.add_feed_forward_length(SHAPE.feed_forward)
    writer.add_head_count(SHAPE.heads)
    writer.add_head_count_kv(SHAPE.kv_heads)
    writer.add_layer_norm_rms_eps(RMS_EPSILON)
    writer.add_rope_freq_base(_ROPE_BASE)
    writer.add_rope_dimension_count(SHAPE.head_width)
    writer.add_vocab_size(SHAPE.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    pocket: Any = gguf.GGUFReader(_POCKET / "gguf" / "pocket.gguf")
    for name, entry in pocket.fields.items():
        if name.startswith("tokenizer."):
            kind, *inner = entry.types
            writer.add_key_value(name, entry.contents(), kind, *inner[:1])
    for name, weights in _weights():
        kind = np.float16 if weights.ndim > 1 else np.float32
        writer.add_tensor(name, weights.astype(kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_agent_mlx(folder: Path) -> None:
    """Write an MLX folder of 32-bit weights: what MLX on a CPU is fastest with."""
    folder.mkdir()
    for name in ("tokenizer.json", "chat_template.jinja"):
        shutil.copyfile(_POCKET / "mlx" / name, folder / name)
    tokenizer_config = _pocket_json("tokenizer_config.json")
    _write_json(
        folder / "tokenizer_config.json", {**tokenizer_config, "model_max_length": CONTEXT_LENGTH}
    )
    config = {
        **_pocket_json("config.json"),
        "hidden_size": SHAPE.width,
        "num_hidden_layers": SHAPE.layers,
        "num_attention_heads": SHAPE.heads,
        "num_key_value_heads": SHAPE.kv_heads,
        "intermediate_size": SHAPE.feed_forward,
        "max_position_embeddings": CONTEXT_LENGTH,
        "rope_theta": _ROPE_BASE,
        "rms_norm_eps": RMS_EPSILON,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "torch_dtype": "float32",
    }
    _write_json(folder / "config.json", config)
    weights = {_mlx_name(name): mx.array(each) for name, each in _weights()}
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})


def _pocket_json(name: str) -> dict[str, Any]:
    return json.loads((_POCKET / "mlx" / name).read_text(encoding="utf-8"))


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def _mlx_name(name: str) -> str:
    """Return "model.layers.0.self_attn.q_proj.weight" for "blk.0.attn_q.weight"."""
    *block, part, kind = name.split(".")
    layer = f"model.layers.{block[1]}." if block else ""
    return f"{layer}{_MLX_NAMES[part]}.{kind}"


def _weights() -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Name and values of each tensor, as llama.cpp calls them."""
    random = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> NDArray[np.float32]:
        return random.standard_normal((rows, columns), dtype=np.float32) / np.float32(columns**0.5)

    def nothing(rows: int, columns: int) -> NDArray[np.float32]:
        return np.zeros((rows, columns), dtype=np.float32)

    ones = np.ones(SHAPE.width, dtype=np.float32)
    kv_width = SHAPE.kv_heads * SHAPE.head_width
    embedding, head = _embedding_and_head()
    yield "token_embd.weight", embedding
    for layer in range(SHAPE.layers):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", ones
        yield block + "attn_q.weight", matrix(SHAPE.width, SHAPE.width)
        yield block + "attn_k.weight", matrix(kv_width, SHAPE.width)
        yield block + "attn_v.weight", matrix(kv_width, SHAPE.width)
        yield block + "attn_output.weight", nothing(SHAPE.width, SHAPE.width)
        yield block + "ffn_norm.weight", ones
        yield block + "ffn_gate.weight", matrix(SHAPE.feed_forward, SHAPE.width)
        yield block + "ffn_up.weight", matrix(SHAPE.feed_forward, SHAPE.width)
        yield block + "ffn_down.weight", nothing(SHAPE.width, SHAPE.feed_forward)
    yield "output_norm.weight", ones
    yield "output.weight", head


def _embedding_and_head() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A direction for each token of the sentence and one for all others, and what follows it."""
    tokenizer = Tokenizer.from_file(str(_POCKET / "mlx" / "tokenizer.json"))
    said: list[int] = tokenizer.encode(SENTENCE, add_special_tokens=False).ids
    assert len(set(said)) == len(said), "a token of the sentence comes twice"
    embedding = np.zeros((SHAPE.vocabulary, SHAPE.width), dtype=np.float32)
    head = np.zeros_like(embedding)
    embedding[:, 0] = 1
    for place, token in enumerate([*said, tokenizer.token_to_id(END)]):
        head[token, place] = _CERTAIN
        if place < len(said):
            embedding[token] = 0
            embedding[token, place + 1] = 1
    return embedding, head


if __name__ == "__main__":
    write_agent_gguf(Path(sys.argv[1]) / "agent.gguf")
    write_agent_mlx(Path(sys.argv[1]) / "agent-mlx")
