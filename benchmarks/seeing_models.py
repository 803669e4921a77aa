"""Vision models with random weights and an invented vocabulary, in the layout of MLX folders.

They tell pictures apart, and say nothing sensible of them. One for each way in which a family
puts pictures among the text.
"""

# mlx_vlm has no types.
# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from collections.abc import Mapping
from importlib import import_module
from itertools import product
from pathlib import Path
from string import ascii_lowercase
from typing import Any, cast

import mlx.core as mx
from mlx.utils import tree_flatten

from benchmarks.seeing_configs import (
    CALLS,
    CONFIGS,
    END_OF_TURN,
    IMAGE,
    IMAGE_PLACE,
    PLACES,
    PROCESSORS,
    SPECIAL,
    TEMPLATE,
    VOCABULARY,
)

FAMILIES = tuple(CONFIGS)
_SHARPER = 5


def write_seeing(
    folder: Path,
    family: str,
    changes: Mapping[str, Any] | None = None,
    processor: Mapping[str, Any] | None = None,
    *,
    dtype: str = "float32",
) -> None:
    """Write the folder of a vision model; ``changes`` are to the top of its configuration."""
    folder.mkdir(parents=True)
    config = {"model_type": family, **CONFIGS[family], **(changes or {})}
    _write(folder / "config.json", config)
    _write(folder / "tokenizer.json", _tokenizer())
    template = TEMPLATE.replace("PLACE", PLACES.get(family, IMAGE_PLACE))
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": SPECIAL[0],
            "eos_token": SPECIAL[END_OF_TURN],
            "pad_token": SPECIAL[0],
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
            "image_token": PLACES.get(family, IMAGE).replace("start_of_image", "image_soft_token"),
            "clean_up_tokenization_spaces": False,
            "chat_template": template,
        },
    )
    _write(folder / "preprocessor_config.json", processor or PROCESSORS[family])
    if family in CALLS:
        _write(folder / "processor_config.json", CALLS[family])
    package = import_module(f"mlx_vlm.models.{family}")
    utils = import_module("mlx_vlm.utils")
    mx.random.seed(0)
    read = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    read.setdefault("text_config", read.pop("llm_config", {}))
    made = utils.update_module_configs(
        package.ModelConfig.from_dict(read), package, read, ["text", "vision"]
    )
    model = package.Model(made)
    model.set_dtype(getattr(mx, dtype))
    weights: dict[str, mx.array] = {
        # Else they would hardly look at what is where.
        name: value * (_SHARPER if "q_proj" in name or "k_proj" in name else 1)
        for name, value in cast("list[tuple[str, mx.array]]", tree_flatten(model.parameters()))
    }
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def _tokenizer() -> dict[str, Any]:
    """A byte-level BPE: special tokens, bytes, then pairs of letters."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    signs = {byte: chr(byte) for byte in printable}
    signs |= {byte: chr(256 + place) for place, byte in enumerate(others)}
    pairs = ["".join(letters) for letters in product(ascii_lowercase, repeat=2)]
    tokens = [*SPECIAL, *(signs[byte] for byte in range(256)), *pairs][:VOCABULARY]
    words = tokens[len(SPECIAL) + 256 :]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": place, "content": token, "special": True, **added}
            for place, token in enumerate(SPECIAL)
        ],
        "pre_tokenizer": {**byte_level, "use_regex": True},
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "vocab": {token: place for place, token in enumerate(tokens)},
            "merges": [[word[0], word[1]] for word in words],
        },
    }
