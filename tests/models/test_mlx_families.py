"""Which vision models the MLX engine takes, and what is said of the others."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models import abilities, facts, mlx_families
from models.abilities import Ability
from models.chat import GenerateRequest, Image, Message
from models.engine.installed import has_mlx_vlm
from models.errors import LoadFailed, NotAble
from models.model import Adapter, Kind, Model
from tests.fakes import a_model

pytestmark = pytest.mark.skipif(
    not has_mlx_vlm(), reason="mlx-vlm is not installed: pip install -e '.[mlx,vision]'"
)

LOOK = GenerateRequest(model="x", prompt=(Message("user", (Image(b""),)),))


def seeing(architecture: str) -> Model:
    model = a_model(kind=Kind.MLX)
    details = replace(model.details, vision=True, architecture=architecture)
    return replace(model, details=details)


def folder_of(tmp_path: Path, **config: Any) -> Path:
    config = {"vision_config": {}, **config}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "family",
    ["qwen2_vl", "qwen2_5_vl", "qwen3_vl_moe", "qwen3_5", "gemma4", "llava", "pixtral", "lfm2-vl"],
)
def test_families_that_mlx_lm_reads_see(family: str):
    assert Ability.VISION in abilities.of(seeing(family))


@pytest.mark.parametrize("family", ["smolvlm", "idefics3", "internvl_chat", "paligemma"])
def test_families_that_mlx_vlm_alone_reads_see(family: str):
    assert Ability.VISION in abilities.of(seeing(family))


def test_without_mlx_vlm_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mlx_families, "has_mlx_vlm", lambda: False)

    with pytest.raises(
        NotAble, match=r"vision\. It sees once .* pip install 'inglenook\[vision\]'"
    ):
        abilities.check(LOOK, seeing("qwen2_vl"))


def test_with_an_adapter_it_only_reads_texts():
    model = seeing("qwen2_vl")
    adapted = replace(model, profile=replace(model.profile, adapters=(Adapter(Path("/a")),)))

    with pytest.raises(NotAble, match="take the adapter off"):
        abilities.check(LOOK, adapted)


def test_what_mlx_vlm_does_not_know_only_reads_texts():
    with pytest.raises(NotAble, match="mlx-vlm does not know the type 'seer'"):
        abilities.check(LOOK, seeing("seer"))


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"model_type": "seer"}, "mlx-vlm does not know the type 'seer'"),
        ({"model_type": "mllama"}, "read pictures in a way that is not supported yet"),
        ({"model_type": "multi_modality"}, "needs OpenCV, which is left out"),
        ({"model_type": "inkling_mm_model"}, "needs mlx-audio, which is left out"),
        ({"model_type": "qwen2_vl", "model_file": "own.py"}, "a program of its own, own.py"),
    ],
)
def test_what_would_never_load_is_refused_with_its_reason(
    tmp_path: Path, config: dict[str, str], reason: str
):
    with pytest.raises(LoadFailed, match=reason):
        facts.read(folder_of(tmp_path, **config))


def test_what_mlx_vlm_alone_knows_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mlx_families, "has_mlx_vlm", lambda: False)
    smolvlm, qwen = {"model_type": "smolvlm"}, {"model_type": "qwen2_vl"}

    with pytest.raises(LoadFailed, match=r"pip install 'inglenook\[vision\]'"):
        mlx_families.refuse_unknown({**smolvlm, "vision_config": {}}, "folder")
    mlx_families.refuse_unknown({**qwen, "vision_config": {}}, "folder")  # mlx_lm reads it


def test_each_package_that_is_missing_names_what_it_misses():
    for family in mlx_families._NEEDS:
        with pytest.raises(ModuleNotFoundError, match=r"mlx_audio|cv2"):
            __import__(f"mlx_vlm.models.{family}")
