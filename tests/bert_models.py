"""Encoders to test embeddings with: random ones, and a real one in MLX's format.

The real one is all-MiniLM-L6-v2 of the test data, whose GGUF weights are made 32-bit again.
"""

# gguf, mlx and tokenizers have no complete type stubs.
# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
import math
from collections.abc import Iterator, Sequence
from operator import mul
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import gguf
import numpy as np
import tokenizers
from numpy.typing import NDArray
from safetensors.numpy import save_file

Weights = NDArray[np.float32]

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# WordPiece as GGUF files have it: what begins a word has the mark, what goes on with it has none.
WORDS = tuple(f"\u2581{each}" for each in ascii_lowercase) + tuple(ascii_lowercase)
WIDTH, LAYERS, HEADS, INNER = 32, 2, 4, 64

# What each tensor of a GGUF file is called in a Hugging Face folder.
_TOP = {
    "token_embd": "embeddings.word_embeddings",
    "position_embd": "embeddings.position_embeddings",
    "token_types": "embeddings.token_type_embeddings",
    "token_embd_norm": "embeddings.LayerNorm",
    "cls": "bert.pooler.dense",
    "cls.output": "classifier",
}
_LAYER = {
    "attn_q": "attention.self.query",
    "attn_k": "attention.self.key",
    "attn_v": "attention.self.value",
    "attn_output": "attention.output.dense",
    "attn_output_norm": "attention.output.LayerNorm",
    "ffn_up": "intermediate.dense",
    "ffn_down": "output.dense",
    "layer_output_norm": "output.LayerNorm",
}


def write_gguf(path: Path, pooling: gguf.PoolingType, *, context_length: int = 128) -> None:
    """Write a random encoder that llama.cpp loads; with RANK one that judges a pair of texts."""
    tokens = [*SPECIAL, *WORDS]
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name(path.stem)
    writer.add_context_length(context_length)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(pooling)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_type_count(2)
    writer.add_token_list(tokens)
    writer.add_token_types(
        [gguf.TokenType.CONTROL] * len(SPECIAL) + [gguf.TokenType.NORMAL] * len(WORDS)
    )
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(3)
    writer.add_sep_token_id(3)
    writer.add_mask_token_id(4)
    for name, weights in _random(len(tokens), context_length, pooling):
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _random(
    vocabulary: int, context_length: int, pooling: gguf.PoolingType
) -> Iterator[tuple[str, Weights]]:
    random = np.random.default_rng(0)

    def linear(name: str, rows: int, columns: int) -> Iterator[tuple[str, Weights]]:
        values = random.standard_normal((rows, columns), dtype=np.float32)
        yield f"{name}.weight", values * np.float32(2 / columns**0.5)
        yield f"{name}.bias", random.standard_normal(rows, dtype=np.float32)

    def norm(name: str) -> Iterator[tuple[str, Weights]]:
        yield f"{name}.weight", np.ones(WIDTH, dtype=np.float32)
        yield f"{name}.bias", np.zeros(WIDTH, dtype=np.float32)

    for name, rows in (
        ("token_embd", vocabulary),
        ("position_embd", context_length),
        ("token_types", 2),
    ):
        yield f"{name}.weight", random.standard_normal((rows, WIDTH), dtype=np.float32)
    yield from norm("token_embd_norm")
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield from linear(block + name, WIDTH, WIDTH)
        yield from norm(block + "attn_output_norm")
        yield from linear(block + "ffn_up", INNER, WIDTH)
        yield from linear(block + "ffn_down", WIDTH, INNER)
        yield from norm(block + "layer_output_norm")
    if pooling is gguf.PoolingType.RANK:
        yield from linear("cls", WIDTH, WIDTH)
        yield from linear("cls.output", 1, WIDTH)


def write_mlx(folder: Path, source: Path, *, pooling: str = "mean", **config: Any) -> None:
    """Write an encoder of a GGUF file as Hugging Face's folders have it, in 32 bit.

    ``config`` are more settings, and other ones.
    """
    reader = gguf.GGUFReader(source)
    kind = "bert."
    numbers = {
        "hidden_size": "embedding_length",
        "num_hidden_layers": "block_count",
        "num_attention_heads": "attention.head_count",
        "intermediate_size": "feed_forward_length",
        "max_position_embeddings": "context_length",
    }
    tokens: list[str] = reader.fields["tokenizer.ggml.tokens"].contents()
    settings = {
        "model_type": "bert",
        "vocab_size": len(tokens),
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        **{name: reader.fields[kind + key].contents() for name, key in numbers.items()},
    }
    folder.mkdir()
    _write_json(folder / "config.json", settings | config)
    write_modules(folder, pooling)
    weights = {
        _hugging_face(each.name): gguf.quants.dequantize(each.data, each.tensor_type)
        for each in reader.tensors
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    _write_tokenizer(folder, tokens)


def write_modules(folder: Path, pooling: str) -> None:
    """Write what sentence-transformers says of a model that pools this way."""
    names = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    steps = [{"path": path, "type": f"sentence_transformers.models.{step}"} for path, step in names]
    _write_json(folder / "modules.json", steps)
    (folder / "1_Pooling").mkdir()
    _write_json(folder / "1_Pooling/config.json", {f"pooling_mode_{_MODES[pooling]}": True})


_MODES = {"mean": "mean_tokens", "cls": "cls_token", "last": "lasttoken", "max": "max_tokens"}


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def _hugging_face(name: str) -> str:
    stem, _, last = name.rpartition(".")
    if stem in _TOP:
        return f"{_TOP[stem]}.{last}"
    _, number, part = stem.split(".")
    return f"encoder.layer.{number}.{_LAYER[part]}.{last}"


def _write_tokenizer(folder: Path, tokens: Sequence[str]) -> None:
    """Its tokenizer.json cuts texts and fills them up, as that of the real model does."""
    vocabulary = {_word_piece(token): place for place, token in enumerate(tokens)}
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.add_special_tokens([each for each in SPECIAL if each in vocabulary])
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.post_processor = tokenizers.processors.BertProcessing(
        ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
    )
    made.enable_truncation(8)
    made.enable_padding(length=8)
    made.save(str(folder / "tokenizer.json"))
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "mask_token": "[MASK]",
        },
    )


def _word_piece(token: str) -> str:
    if token.startswith("\u2581"):
        return token[1:]
    return token if token.startswith("[") and token.endswith("]") else f"##{token}"


# Of the widget on the model's page: the second is 0.943 and the third 0.257 near to the first.
HAPPY = ("That is a happy person", "That is a very happy person", "Today is a sunny day")
# Of the model card, whose vector begins with 0.06766, 0.06350, 0.04871, 0.07930.
EXAMPLE = "This is an example sentence"


def cosine(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return sum(map(mul, one, other)) / math.hypot(*one) / math.hypot(*other)
