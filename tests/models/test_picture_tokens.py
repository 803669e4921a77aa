"""Tokens of pictures, by what a projector's header says: the sizes are those of real ones."""

from pathlib import Path
from typing import Any

import pytest

from models.model import Files
from models.picture_tokens import likely_tokens
from tests.gguf_bytes import gguf_bytes

LLAVA_SIZES = [336, 672, 672, 336, 672, 672, 1008, 336, 336, 1008]


@pytest.mark.parametrize(
    ("kind", "vision", "more", "size", "tokens"),
    [
        ("gemma3", {"image_size": 896, "patch_size": 14}, {}, (300, 2000), 256 + 2),
        ("mlp", {"image_size": 336, "patch_size": 14}, {}, (2000, 2000), 576),
        # LLaVA 1.6: four tiles, and the whole.
        ("mlp", {"image_size": 336, "patch_size": 14, "image_grid_pinpoints": LLAVA_SIZES}, {},
         (1000, 1000), 5 * 576),
        ("mlp", {"image_size": 336, "patch_size": 14, "image_grid_pinpoints": LLAVA_SIZES}, {},
         (300, 300), 576),
        # SmolVLM: 17 of 64 tokens, and what tells them apart, which are 39.
        ("idefics3", {"image_size": 512, "patch_size": 16, "projector.scale_factor": 4,
         "preproc_image_size": 2048}, {}, (1024, 1024), 17 * 64 + 16 * 3 + 4),
        ("internvl", {"image_size": 448, "patch_size": 14, "projector.scale_factor": 2}, {},
         (900, 400), 4 * 256 + 2),
        ("internvl", {"image_size": 448, "patch_size": 14, "projector.scale_factor": 2}, {},
         (2000, 2000), 13 * 256 + 2),
        ("resampler", {"image_size": 448, "patch_size": 14}, {"clip.minicpmv_query_num": 64},
         (2000, 2000), 10 * 64 + 9 * 3 + 4),
        ("qwen2.5vl_merger", {"image_size": 560, "patch_size": 14}, {}, (280, 560), 200 + 2),
        ("qwen3vl_merger", {"patch_size": 16, "image_max_pixels": 1 << 20}, {}, (2048, 2048),
         1024 + 2),
    ],
)  # fmt: skip
def test_a_picture_counts_what_the_projector_makes_of_it(
    tmp_path: Path,
    kind: str,
    vision: dict[str, Any],
    more: dict[str, Any],
    size: tuple[int, int],
    tokens: int,
):
    said = {f"clip.vision.{name}": each for name, each in vision.items()}
    about = {"general.architecture": "clip", "clip.projector_type": kind, **said, **more}
    (tmp_path / "mmproj.gguf").write_bytes(gguf_bytes(about))

    count = likely_tokens(Files(tmp_path, "model.gguf", "mmproj.gguf"))

    assert count(*size) == tokens
