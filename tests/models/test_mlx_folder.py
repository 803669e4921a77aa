"""An MLX model's folder, looked at before anything is loaded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models import facts
from models.errors import LoadFailed

CONFIG = {
    "model_type": "qwen3",
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
}
WEIGHTS = {
    "__metadata__": {"format": "mlx"},
    "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    "b": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(safetensors(WEIGHTS, 12))
    return tmp_path


def safetensors(header: dict[str, Any], data_bytes: int) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(data_bytes)


def without(name: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        (folder / name).unlink()

    return remove


def with_file(name: str, content: str | bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def index(*names: str) -> str:
    return json.dumps({"weight_map": {f"layer.{name}": name for name in names}})


def test_a_whole_folder_is_fine(folder: Path) -> None:
    facts.of_mlx(folder)


def test_weights_in_several_files_are_fine_when_all_are_there(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    with_file("model-2.safetensors", safetensors({}, 0))(folder)
    with_file("model.safetensors.index.json", index("model-1.safetensors", "model-2.safetensors"))(
        folder
    )

    facts.of_mlx(folder)


def test_a_sentencepiece_file_may_be_the_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").rename(folder / "tokenizer.model")

    facts.of_mlx(folder)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (without("config.json"), "no config.json"),
        (with_file("config.json", '{"model_ty'), "config.json is damaged"),
        (with_file("config.json", b"\xff\xfe"), "config.json is damaged"),
        (with_file("config.json", "[]"), "config.json is damaged"),
        (with_file("config.json", "{}"), "model_type"),
        (without("model.safetensors"), "no weights"),
        (with_file("model.safetensors", b""), "model.safetensors is (damaged|not)"),
        (with_file("model.safetensors", "version https://git-lfs"), "model.safetensors is not"),
        (
            with_file("model.safetensors", safetensors(WEIGHTS, 11)),
            "is cut short",
        ),
        (with_file("model.safetensors", safetensors({"a": 1}, 0)), "model.safetensors is damaged"),
        (with_file("model.safetensors.index.json", index("model-2.safetensors")), "model-2"),
        (without("tokenizer.json"), "tokenizer.json is missing"),
    ],
)
def test_what_is_missing_or_damaged_is_named(
    folder: Path, damage: Callable[[Path], None], named: str
) -> None:
    damage(folder)

    with pytest.raises(LoadFailed, match=named):
        facts.of_mlx(folder)


def test_a_folder_that_is_gone_misses_its_first_file(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match=r"no config\.json"):
        facts.of_mlx(tmp_path / "gone")


def test_the_chat_template_has_a_file_of_its_own(folder: Path) -> None:
    with_file("chat_template.jinja", "the file's")(folder)
    with_file("tokenizer_config.json", '{"chat_template": "the configuration\'s"}')(folder)

    assert facts.mlx_chat_template(folder) == "the file's"


def test_or_the_chat_template_stands_in_the_tokenizers_configuration(folder: Path) -> None:
    with_file("tokenizer_config.json", '{"chat_template": "the configuration\'s"}')(folder)

    assert facts.mlx_chat_template(folder) == "the configuration's"


def test_of_several_chat_templates_the_default_is_taken(folder: Path) -> None:
    several = [
        {"name": "tool_use", "template": "for tools"},
        {"name": "default", "template": "for all"},
    ]
    with_file("tokenizer_config.json", json.dumps({"chat_template": several}))(folder)

    assert facts.mlx_chat_template(folder) == "for all"


@pytest.mark.parametrize("config", [None, {}, {"chat_template": None}, {"chat_template": []}])
def test_a_base_model_has_no_chat_template(folder: Path, config: dict[str, Any] | None) -> None:
    if config is not None:
        with_file("tokenizer_config.json", json.dumps(config))(folder)

    assert facts.mlx_chat_template(folder) is None
