"""A projector with random weights in the form of LLaVA's, for a GGUF model of any width.

A picture becomes a token a patch, 576 of them, whatever its size. It says nothing of it, and takes
as long.
"""

# gguf has no complete type stubs.
# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import gguf
import numpy as np

SIDE, PATCH = 336, 14
WIDTH, FEED_FORWARD, LAYERS, HEADS = 384, 1536, 12, 6  # of ViT-S
Shapes: TypeAlias = Iterator[tuple[str, tuple[int, ...]]]


def write_projector(path: Path, text_width: int, layers: int = LAYERS, side: int = SIDE) -> None:
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.use_gelu", True)
    writer.add_string("clip.projector_type", "mlp")
    numbers = {
        "image_size": side,
        "patch_size": PATCH,
        "embedding_length": WIDTH,
        "feed_forward_length": FEED_FORWARD,
        "projection_dim": text_width,
        "block_count": layers,
        "attention.head_count": HEADS,
    }
    for key, number in numbers.items():
        writer.add_uint32(f"clip.vision.{key}", number)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    draw = np.random.default_rng(1)
    for name, shape in _shapes(text_width, layers, (side // PATCH) ** 2):
        drawn = draw.standard_normal(shape, dtype=np.float32) * np.float32(0.02)
        drawn += np.float32(name.endswith("ln.weight"))
        inner = len(shape) == 2 and not name.startswith("v.position")
        writer.add_tensor(name, drawn.astype(np.float16) if inner else drawn)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _shapes(text_width: int, layers: int, patches: int) -> Shapes:
    yield "v.class_embd", (WIDTH,)
    yield "v.patch_embd.weight", (WIDTH, 3, PATCH, PATCH)
    yield "v.position_embd.weight", (patches + 1, WIDTH)
    yield from _linear("v.pre_ln", WIDTH)
    for layer in range(layers):
        block = f"v.blk.{layer}"
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            yield from _linear(f"{block}.{part}", WIDTH, WIDTH)
        for part in ("ln1", "ln2"):
            yield from _linear(f"{block}.{part}", WIDTH)
        yield from _linear(f"{block}.ffn_up", FEED_FORWARD, WIDTH)
        yield from _linear(f"{block}.ffn_down", WIDTH, FEED_FORWARD)
    yield from _linear("mm.0", text_width, WIDTH)
    yield from _linear("mm.2", text_width, text_width)


def _linear(name: str, width: int, *inner: int) -> Shapes:
    yield f"{name}.weight", (width, *inner)
    yield f"{name}.bias", (width,)
