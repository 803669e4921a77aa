"""An MLX model's folder, looked at before anything is loaded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.engine.mlx_folder import chat_template_source, check_folder
from models.errors import LoadFailed

WEIGHTS = {
    "__metadata__": {"format": "mlx"},
    "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    "b": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')
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
    check_folder(folder)


def test_weights_in_several_files_are_fine_when_all_are_there(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    with_file("model-2.safetensors", safetensors({}, 0))(folder)
    with_file("model.safetensors.index.json", index("model-1.safetensors", "model-2.safetensors"))(
        folder
    )

    check_folder(folder)


def test_a_sentencepiece_file_may_be_the_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").rename(folder / "tokenizer.model")

    check_folder(folder)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (without("config.json"), "config.json is missing"),
        (with_file("config.json", '{"model_ty'), "config.json is damaged"),
        (with_file("config.json", b"\xff\xfe"), "config.json is damaged"),
        (with_file("config.json", "[]"), "config.json is damaged"),
        (with_file("config.json", "{}"), "config.json is damaged .*model_type"),
        (without("model.safetensors"), "model.safetensors is missing"),
        (with_file("model.safetensors", b""), "model.safetensors is damaged"),
        (with_file("model.safetensors", "version https://git-lfs"), "model.safetensors is damaged"),
        (with_file("model.safetensors", safetensors(WEIGHTS, 11)), "model.safetensors.*incomplete"),
        (with_file("model.safetensors", safetensors({"a": 1}, 0)), "model.safetensors is damaged"),
        (with_file("model.safetensors.index.json", "{}"), "index.json is damaged"),
        (with_file("model.safetensors.index.json", '{"weight_map": {"a": 1}}'), "1 is missing"),
        (with_file("model.safetensors.index.json", index("model-2.safetensors")), "model-2"),
        (without("tokenizer.json"), "tokenizer.json is missing"),
    ],
)
def test_what_is_missing_or_damaged_is_named(
    folder: Path, damage: Callable[[Path], None], named: str
) -> None:
    damage(folder)

    with pytest.raises(LoadFailed, match=named):
        check_folder(folder)


def test_a_folder_that_is_gone_misses_its_first_file(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match=r"config\.json is missing"):
        check_folder(tmp_path / "gone")


def test_the_chat_template_has_a_file_of_its_own(folder: Path) -> None:
    with_file("chat_template.jinja", "the file's")(folder)
    with_file("tokenizer_config.json", '{"chat_template": "the configuration\'s"}')(folder)

    assert chat_template_source(folder) == "the file's"


def test_or_the_chat_template_stands_in_the_tokenizers_configuration(folder: Path) -> None:
    with_file("tokenizer_config.json", '{"chat_template": "the configuration\'s"}')(folder)

    assert chat_template_source(folder) == "the configuration's"


def test_of_several_chat_templates_the_default_is_taken(folder: Path) -> None:
    several = [
        {"name": "tool_use", "template": "for tools"},
        {"name": "default", "template": "for all"},
    ]
    with_file("tokenizer_config.json", json.dumps({"chat_template": several}))(folder)

    assert chat_template_source(folder) == "for all"


@pytest.mark.parametrize("config", [None, {}, {"chat_template": None}, {"chat_template": []}])
def test_a_base_model_has_no_chat_template(folder: Path, config: dict[str, Any] | None) -> None:
    if config is not None:
        with_file("tokenizer_config.json", json.dumps(config))(folder)

    assert chat_template_source(folder) is None
