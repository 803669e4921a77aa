"""Projectors of random weights, of some kilobytes, for models of the width of the test data's.

One kind for each way in which llama.cpp takes in a picture.
"""

# gguf has no complete type stubs.
# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import gguf
import numpy as np

TEXT_WIDTH = 128
WIDTH, HEADS, FEED_FORWARD, PATCH = 32, 2, 32, 14
Shapes: TypeAlias = Iterator[tuple[str, tuple[int, ...]]]

#: By llama.cpp's name of the kind, the side of a picture in pixels. Gemma's picture has 144
#: tokens, all of which look at each other; Qwen's has as many as the picture is large; InternVL
#: cuts it into tiles.
SIDES: Mapping[str, int] = {"gemma3": 672, "qwen2vl_merger": 56, "internvl": 56}
MERGED = 2  # patches of InternVL's tile that become one token, by width and height


def write(path: Path, kind: str) -> Path:
    side = SIDES[kind]
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.use_gelu", True)
    writer.add_string("clip.projector_type", kind)
    numbers = {
        "image_size": side,
        "patch_size": PATCH,
        "embedding_length": WIDTH,
        "feed_forward_length": FEED_FORWARD,
        "projection_dim": TEXT_WIDTH,
        "block_count": 1,
        "attention.head_count": HEADS,
    }
    for key, number in numbers.items():
        writer.add_uint32(f"clip.vision.{key}", number)
    if kind == "internvl":
        writer.add_uint32("clip.vision.projector.scale_factor", MERGED)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    draw = np.random.default_rng(1)
    for name, shape in _shapes(kind, (side // PATCH) ** 2):
        drawn = draw.standard_normal(shape, dtype=np.float32) * np.float32(0.05)
        writer.add_tensor(name, drawn + np.float32(name.endswith("ln.weight")))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shapes(kind: str, patches: int) -> Shapes:
    yield "v.patch_embd.weight", (WIDTH, 3, PATCH, PATCH)
    yield from _linear("v.post_ln", WIDTH)
    for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
        yield from _linear(f"v.blk.0.{part}", WIDTH, WIDTH)
    for part in ("ln1", "ln2"):
        yield from _linear(f"v.blk.0.{part}", WIDTH)
    yield from _linear("v.blk.0.ffn_up", FEED_FORWARD, WIDTH)
    yield from _linear("v.blk.0.ffn_down", WIDTH, FEED_FORWARD)
    if kind == "gemma3":
        yield "v.patch_embd.bias", (WIDTH,)
        yield "v.position_embd.weight", (patches, WIDTH)
        yield "mm.input_projection.weight", (WIDTH, TEXT_WIDTH)
        yield "mm.soft_emb_norm.weight", (WIDTH,)
    elif kind == "internvl":
        yield "v.class_embd", (WIDTH,)
        yield "v.patch_embd.bias", (WIDTH,)
        yield "v.position_embd.weight", (patches + 1, WIDTH)
        yield from _linear("mm.model.mlp.0", MERGED**2 * WIDTH)
        yield from _linear("mm.model.mlp.1", TEXT_WIDTH, MERGED**2 * WIDTH)
        yield from _linear("mm.model.mlp.3", TEXT_WIDTH, TEXT_WIDTH)
    else:
        yield "v.patch_embd.weight.1", (WIDTH, 3, PATCH, PATCH)
        yield from _linear("mm.0", 4 * WIDTH, 4 * WIDTH)
        yield from _linear("mm.2", TEXT_WIDTH, 4 * WIDTH)


def _linear(name: str, width: int, *inner: int) -> Shapes:
    yield f"{name}.weight", (width, *inner)
    yield f"{name}.bias", (width,)
