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

VOCABULARY = 1024
IMAGE, BEFORE, AFTER = "<|image_pad|>", "<|vision_start|>", "<|vision_end|>"
_TILES = [f"<row_{row}_col_{column}>" for row, column in product(range(1, 3), repeat=2)]
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    IMAGE,
    BEFORE,
    AFTER,
    "<|video_pad|>",
    "<image_soft_token>",
    "<start_of_image>",
    "<end_of_image>",
    "<image>",
    "<fake_token_around_image>",
    "<global-img>",
    "<end_of_utterance>",
    *_TILES,
)
END_OF_TURN = 2

_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ 'PLACE' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}{{ '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_PLACES = {"gemma3": "<start_of_image>", "idefics3": "<image>", "smolvlm": "<image>"} | {
    "llava": "<image>"
}

_TEXT: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": END_OF_TURN,
}
_QWEN_IDS = {
    "image_token_id": SPECIAL.index(IMAGE),
    "video_token_id": SPECIAL.index("<|video_pad|>"),
    "vision_start_token_id": SPECIAL.index(BEFORE),
    "vision_end_token_id": SPECIAL.index(AFTER),
}
_TOWER: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 56,
    "patch_size": 14,
}
_MROPE: dict[str, Any] = {"type": "mrope", "mrope_section": [2, 3, 3]}
_CONFIGS: dict[str, dict[str, Any]] = {
    "qwen2_vl": {
        **_TEXT,
        **_QWEN_IDS,
        "rope_scaling": _MROPE,
        "vision_config": {"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2},
    },
    "qwen2_5_vl": {
        **_TEXT,
        **_QWEN_IDS,
        "rope_scaling": _MROPE,
        "vision_config": {
            "depth": 2,
            "hidden_size": 32,
            "out_hidden_size": 64,
            "intermediate_size": 64,
            "num_heads": 2,
            "window_size": 112,
            "fullatt_block_indexes": [1],
        },
    },
    "qwen3_vl": {
        **_QWEN_IDS,
        "text_config": {
            **_TEXT,
            "model_type": "qwen3_vl_text",
            "head_dim": 16,
            "rope_scaling": {"rope_type": "default", "mrope_section": [3, 3, 2]},
        },
        "vision_config": {
            "depth": 2,
            "hidden_size": 32,
            "out_hidden_size": 64,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": 16,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
    },
    "gemma3": {
        "image_token_index": SPECIAL.index("<image_soft_token>"),
        "mm_tokens_per_image": 4,
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "pad_token_id": 0,
        "text_config": {
            **_TEXT,
            "model_type": "gemma3_text",
            # One number by the names that the two libraries have for it.
            "rope_theta": 1_000_000.0,
            "rope_global_base_freq": 1_000_000.0,
            "num_hidden_layers": 6,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "sliding_window": 32,
            "sliding_window_pattern": 3,
            "mm_tokens_per_image": 4,
        },
        "vision_config": {**_TOWER, "model_type": "siglip_vision_model"},
    },
    "idefics3": {
        "image_token_id": SPECIAL.index("<image>"),
        "scale_factor": 2,
        "text_config": {**_TEXT, "model_type": "llama"},
        "vision_config": {**_TOWER, "model_type": "idefics3"},
    },
    "smolvlm": {
        "image_token_id": SPECIAL.index("<image>"),
        "scale_factor": 2,
        "text_config": {**_TEXT, "model_type": "llama"},
        "vision_config": {**_TOWER, "model_type": "smolvlm_vision"},
    },
    "llava": {
        "image_token_index": SPECIAL.index("<image>"),
        "text_config": {**_TEXT, "model_type": "llama"},
        "vision_config": {**_TOWER, "model_type": "clip_vision_model"},
    },
}
_TILED = {
    "size": {"longest_edge": 112},
    "max_image_size": {"longest_edge": 56},
    "do_image_splitting": True,
}
_PROCESSORS: dict[str, dict[str, Any]] = {
    "qwen2_vl": {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 14},
    "qwen2_5_vl": {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 14},
    "qwen3_vl": {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 16},
    "gemma3": {
        "image_processor_type": "Gemma3ImageProcessor",
        "size": {"height": 56, "width": 56},
        "image_seq_length": 4,
    },
    "idefics3": {"image_processor_type": "Idefics3ImageProcessor", **_TILED},
    "smolvlm": {"image_processor_type": "SmolVLMImageProcessor", **_TILED},
    "llava": {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": 56},
        "crop_size": {"height": 56, "width": 56},
    },
}
_CALLS: dict[str, dict[str, Any]] = {
    "gemma3": {"processor_class": "Gemma3Processor", "image_seq_length": 4},
    "idefics3": {"processor_class": "Idefics3Processor", "image_seq_len": 4},
    "smolvlm": {"processor_class": "SmolVLMProcessor", "image_seq_len": 4},
    "llava": {
        "processor_class": "LlavaProcessor",
        "patch_size": 14,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
    },
}
FAMILIES = tuple(_CONFIGS)
_SHARPER = 5


def write_seeing(folder: Path, family: str, changes: Mapping[str, Any] | None = None) -> None:
    """Write the folder of a vision model; ``changes`` are to the top of its configuration."""
    folder.mkdir(parents=True)
    config = {"model_type": family, **_CONFIGS[family], **(changes or {})}
    _write(folder / "config.json", config)
    _write(folder / "tokenizer.json", _tokenizer())
    template = _TEMPLATE.replace("PLACE", _PLACES.get(family, BEFORE + IMAGE + AFTER))
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": SPECIAL[0],
            "eos_token": SPECIAL[END_OF_TURN],
            "pad_token": SPECIAL[0],
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
            "image_token": _PLACES.get(family, IMAGE).replace("start_of_image", "image_soft_token"),
            "clean_up_tokenization_spaces": False,
            "chat_template": template,
        },
    )
    _write(folder / "preprocessor_config.json", _PROCESSORS[family])
    if family in _CALLS:
        _write(folder / "processor_config.json", _CALLS[family])
    package = import_module(f"mlx_vlm.models.{family}")
    utils = import_module("mlx_vlm.utils")
    mx.random.seed(0)
    read = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    read.setdefault("text_config", {})
    made = utils.update_module_configs(
        package.ModelConfig.from_dict(read), package, read, ["text", "vision"]
    )
    model = package.Model(made)
    weights: dict[str, mx.array] = {
        # Else they would hardly look at what is where.
        name: value * (_SHARPER if "q_proj" in name or "k_proj" in name else 1)
        for name, value in cast("list[tuple[str, mx.array]]", tree_flatten(model.parameters()))
    }
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})


def _write(path: Path, content: dict[str, Any]) -> None:
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
