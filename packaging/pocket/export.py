"""Writes a trained network in both layouts, GGUF and MLX, with one vocabulary and template.

    export.py TRAINED FOLDER

TRAINED holds tokenizer.json and network.pt; FOLDER gets gguf/pocket.gguf, mlx/ and SHA256SUMS.
"""

# The types of torch, gguf and safetensors are partly unknown.
# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from data import TEMPLATE
from network import Shape
from safetensors.torch import save_file
from tokenizer import CONTROL, LLAMA_CPP_NAME
from torch import Tensor

END = "<|im_end|>"
PADDING = "<|endoftext|>"
# What a checkpoint of Llama calls its weights, and what llama.cpp does.
GGUF_NAMES = {
    "embed_tokens": "token_embd",
    "norm": "output_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_mlx(folder: Path, shape: Shape, weights: dict[str, Tensor], tokenizer: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    halves = {f"model.{name}": each.half().contiguous() for name, each in weights.items()}
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # it comes for its owner alone
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    shutil.copyfile(TEMPLATE, folder / "chat_template.jinja")
    ids = _ids(tokenizer)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "intermediate_size": shape.inner,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.context,
        "rope_theta": shape.rope_theta,
        "rms_norm_eps": shape.epsilon,
        "tie_word_embeddings": True,
        "attention_bias": True,
        "hidden_act": "silu",
        "torch_dtype": "float16",
        "bos_token_id": ids[PADDING],
        "eos_token_id": ids[END],
        "use_sliding_window": False,
    }
    write_json(folder / "config.json", config)
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PADDING,
        "model_max_length": shape.context,
        "clean_up_tokenization_spaces": False,
    }
    write_json(folder / "tokenizer_config.json", tokenizer_config)


def write_gguf(path: Path, shape: Shape, weights: dict[str, Tensor], tokenizer: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Pocket")
    writer.add_license("MIT")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _add_vocabulary(writer, tokenizer)
    writer.add_chat_template(TEMPLATE.read_text(encoding="utf-8"))
    for name, weight in weights.items():
        turns = "q_proj" in name or "k_proj" in name
        array = (_interleaved(weight, shape.heads) if turns else weight).numpy()
        kind = np.float16 if weight.ndim > 1 else np.float32
        writer.add_tensor(_gguf_name(name), array.astype(kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _interleaved(weight: Tensor, heads: int) -> Tensor:
    """Return rows as llama.cpp turns them for Llama: in pairs of neighbours, not of halves."""
    halves = weight.view(heads, 2, -1, *weight.shape[1:])
    return halves.transpose(1, 2).reshape(weight.shape)


def _add_vocabulary(writer: gguf.GGUFWriter, tokenizer: Path) -> None:
    ids = _ids(tokenizer)
    tags = {each["content"] for each in _read_json(tokenizer)["added_tokens"]}
    tokens = sorted(ids, key=lambda token: ids[token])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(LLAMA_CPP_NAME)
    writer.add_token_list(tokens)
    writer.add_token_types([_token_type(each, tags) for each in tokens])
    writer.add_token_merges([" ".join(each) for each in _read_json(tokenizer)["model"]["merges"]])
    writer.add_bos_token_id(ids[PADDING])
    writer.add_eos_token_id(ids[END])
    writer.add_pad_token_id(ids[PADDING])
    writer.add_add_bos_token(False)


def _token_type(token: str, tags: set[str]) -> gguf.TokenType:
    if token in CONTROL:
        return gguf.TokenType.CONTROL
    return gguf.TokenType.USER_DEFINED if token in tags else gguf.TokenType.NORMAL


def _gguf_name(name: str) -> str:
    """Return llama.cpp's "blk.0.attn_q.bias" for "layers.0.self_attn.q_proj.bias"."""
    name, _, kind = name.rpartition(".")
    if not name.startswith("layers."):
        return f"{GGUF_NAMES[name]}.{kind}"
    _, layer, rest = name.split(".", 2)
    return f"blk.{layer}.{GGUF_NAMES[rest]}.{kind}"


def _ids(tokenizer: Path) -> dict[str, int]:
    read = _read_json(tokenizer)
    return read["model"]["vocab"] | {each["content"]: each["id"] for each in read["added_tokens"]}


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def write_sums(folder: Path) -> None:
    """Tell the SHA-256 of each file, so that the program need not read them all at start."""
    found = (path for kind in ("gguf", "mlx") for path in (folder / kind).rglob("*"))
    files = sorted(path for path in found if path.is_file())
    lines = (
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in files
    )
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def main(trained: Path, folder: Path) -> None:
    state = torch.load(trained / "network.pt", map_location="cpu")
    shape = Shape(**state["shape"])
    weights: dict[str, Tensor] = state["network"]
    for layer in range(shape.layers):  # Llama has biases on all four or on none
        weights[f"layers.{layer}.self_attn.o_proj.bias"] = torch.zeros(shape.width)
    write_mlx(folder / "mlx", shape, weights, trained / "tokenizer.json")
    write_gguf(folder / "gguf/pocket.gguf", shape, weights, trained / "tokenizer.json")
    write_sums(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
