"""Writes trained eyes beside both layouts of the text model, which stays what it is.

    sight_export.py TRAINED FOLDER

TRAINED holds sight.pt; FOLDER, in which the text model is, gets gguf/mmproj-pocket.gguf,
mlx/vision/ and new sums.
"""

# The types of torch, gguf and safetensors are partly unknown.
# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from export import write_json, write_sums
from safetensors.torch import save_file
from sight_network import SightShape
from sight_pixels import DEVIATION, MEAN
from torch import Tensor

PLACEHOLDER = "<|endoftext|>"  # stands for a picture's tokens: no prompt has it otherwise
# What the checkpoint calls its weights, and what llama.cpp does.
GGUF_NAMES = {
    "embeddings.patch_embedding": "v.patch_embd",
    "embeddings.position_embedding": "v.position_embd",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out",
    "layer_norm1": "ln1",
    "layer_norm2": "ln2",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
    "projector.linear_1": "mm.0",
    "projector.linear_2": "mm.2",
}


def write_mlx(folder: Path, shape: SightShape, weights: dict[str, Tensor]) -> None:
    """Write what mlx-vlm calls LLaVA, without the text model's weights: those lie above."""
    vision = folder / "vision"
    vision.mkdir(parents=True, exist_ok=True)
    halves = {mlx_name(name): each.half().contiguous() for name, each in weights.items()}
    # Only the pooled output goes through this one, which LLaVA never looks at.
    after = "vision_tower.vision_model.post_layernorm"
    halves[f"{after}.weight"] = torch.ones(shape.width).half()
    halves[f"{after}.bias"] = torch.zeros(shape.width).half()
    save_file(halves, vision / "model.safetensors", metadata={"format": "pt"})
    (vision / "model.safetensors").chmod(0o644)
    text: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tokens = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    placeholder = next(each["id"] for each in tokens if each["content"] == PLACEHOLDER)
    write_json(vision / "config.json", _config(shape, text, placeholder))
    write_json(vision / "preprocessor_config.json", _preprocessor(shape))
    processor = {
        "processor_class": "LlavaProcessor",
        "image_token": PLACEHOLDER,
        "patch_size": shape.patch,
        "vision_feature_select_strategy": "full",
        "num_additional_image_tokens": 0,
    }
    write_json(vision / "processor_config.json", processor)
    for name in ("tokenizer.json", "tokenizer_config.json"):  # the processor reads it too
        shutil.copyfile(folder / name, vision / name)


def _config(shape: SightShape, text: dict[str, Any], placeholder: int) -> dict[str, Any]:
    # In mlx-vlm's LLaVA it is Qwen2 that has biases on queries, keys and values; the rest is one.
    text_config = text | {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}
    return {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "image_token_index": placeholder,
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
        "vocab_size": text["vocab_size"],
        "eos_token_id": text["eos_token_id"],
        "tie_word_embeddings": True,
        "torch_dtype": "float16",
        "text_config": text_config,
        "vision_config": {
            "model_type": "siglip_vision_model",
            "hidden_size": shape.width,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "intermediate_size": shape.inner,
            "image_size": shape.side,
            "patch_size": shape.patch,
            "layer_norm_eps": shape.epsilon,
            "hidden_act": "quick_gelu",
        },
    }


def _preprocessor(shape: SightShape) -> dict[str, Any]:
    return {
        "image_processor_type": "LlavaImageProcessor",
        "do_pad": True,
        "do_resize": True,
        "size": {"height": shape.side, "width": shape.side},
        "resample": 3,
        "do_center_crop": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": MEAN,
        "image_std": DEVIATION,
        "do_convert_rgb": True,
    }


def mlx_name(name: str) -> str:
    """Return what mlx-vlm calls one of the eyes' weights."""
    if name.startswith("projector."):
        return "multi_modal_" + name
    name = name.removeprefix("tower.")
    inside = "encoder." if name.startswith("layers.") else ""
    return f"vision_tower.vision_model.{inside}{name}"


def write_gguf(path: Path, shape: SightShape, weights: dict[str, Tensor]) -> None:
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_name("Pocket's eyes")
    writer.add_license("MIT")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.has_llava_projector", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_uint32("clip.vision.image_size", shape.side)
    writer.add_uint32("clip.vision.patch_size", shape.patch)
    writer.add_uint32("clip.vision.embedding_length", shape.width)
    writer.add_uint32("clip.vision.feed_forward_length", shape.inner)
    writer.add_uint32("clip.vision.projection_dim", shape.text_width)
    writer.add_uint32("clip.vision.block_count", shape.layers)
    writer.add_uint32("clip.vision.attention.head_count", shape.heads)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", shape.epsilon)
    # Without this the last layer is left out, as LLaVA does.
    writer.add_array("clip.vision.feature_layer", [shape.layers])
    writer.add_array("clip.vision.image_mean", MEAN)
    writer.add_array("clip.vision.image_std", DEVIATION)
    for name, weight in weights.items():
        half = weight.ndim > 1 and "position" not in name
        array = weight.half().numpy()  # the same numbers in both layouts
        writer.add_tensor(_gguf_name(name), array if half else array.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _gguf_name(name: str) -> str:
    name = name.removeprefix("tower.")
    name, _, kind = name.rpartition(".")
    if not name.startswith("layers."):
        return f"{GGUF_NAMES[name]}.{kind}"
    _, layer, rest = name.split(".", 2)
    return f"v.blk.{layer}.{GGUF_NAMES[rest]}.{kind}"


def main(trained: Path, folder: Path) -> None:
    state = torch.load(trained / "sight.pt", map_location="cpu")
    shape = SightShape(**state["shape"])
    weights: dict[str, Tensor] = state["sight"]
    write_mlx(folder / "mlx", shape, weights)
    write_gguf(folder / "gguf/mmproj-pocket.gguf", shape, weights)
    write_sums(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
