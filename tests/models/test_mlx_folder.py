"""An MLX model's folder, looked at before anything is loaded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models import facts
from models.errors import LoadFailed
from models.model import Details

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
DETAILS = Details(
    architecture="qwen3",
    parameter_count=3,
    quantization="F32",
    context_length=64,
    embedding_length=8,
    kv_bytes_per_token=2 * 2 * (4 + 4) * 2,  # layers, heads, key + value, bytes
    chat=False,
)


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


def test_a_whole_folder_tells_what_it_is(folder: Path) -> None:
    assert facts.of_mlx(folder) == DETAILS


def test_weights_in_several_files_are_fine_when_all_are_there(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    with_file("model-2.safetensors", safetensors({}, 0))(folder)
    with_file("model.safetensors.index.json", index("model-1.safetensors", "model-2.safetensors"))(
        folder
    )

    assert facts.of_mlx(folder) == DETAILS


@pytest.mark.parametrize("names", [["tokenizer.model"], ["vocab.json", "merges.txt"]])
def test_the_tokenizer_may_be_in_other_files(folder: Path, names: list[str]) -> None:
    without("tokenizer.json")(folder)
    for name in names:
        with pytest.raises(LoadFailed, match="no tokenizer"):
            facts.of_mlx(folder)
        with_file(name, "{}")(folder)

    assert facts.of_mlx(folder) == DETAILS


# -- What configurations call their numbers ------------

EXAONE = {
    "model_type": "exaone",
    "hidden_size": 64,
    "num_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
}
GPT2 = {"model_type": "gpt2", "n_ctx": 1024, "n_embd": 64, "n_head": 4, "n_layer": 3}
OPENELM = {
    "model_type": "openelm",
    "model_dim": 64,
    "num_transformer_layers": 2,
    "num_query_heads": [4, 8],
    "num_kv_heads": [1, 2],
    "head_dim": 16,
    "max_context_length": 256,
}


@pytest.mark.parametrize(
    ("config", "context_length", "width", "kv_bytes"),
    [
        (EXAONE, 512, 64, 2 * 2 * (16 + 16) * 2),  # layers, heads, key + value, bytes
        (GPT2, 1024, 64, 3 * 4 * (16 + 16) * 2),
        (OPENELM, 256, 64, (1 + 2) * (16 + 16) * 2),
        ({"model_type": "mamba", "hidden_size": 64.0}, 2048, 64, 0),  # and one without heads
        ({"model_type": "new", "smell": "of roses"}, 2048, 0, 0),
    ],
)
def test_numbers_are_found_under_other_names_and_may_be_missing(
    folder: Path, config: dict[str, Any], context_length: int, width: int, kv_bytes: int
) -> None:
    with_file("config.json", json.dumps(config))(folder)

    details = facts.of_mlx(folder)

    assert details.architecture == config["model_type"]
    assert details.context_length == context_length
    assert details.embedding_length == width
    assert details.kv_bytes_per_token == kv_bytes


@pytest.mark.parametrize("wrong", [-1, "two", 1 << 50, 1.5])
def test_a_number_that_makes_no_sense_is_named(folder: Path, wrong: object) -> None:
    with_file("config.json", json.dumps(CONFIG | {"num_hidden_layers": wrong}))(folder)

    with pytest.raises(LoadFailed, match="num_hidden_layers makes no sense"):
        facts.of_mlx(folder)


# -- What a model is able to do ------------------------


def test_an_encoder_decoder_is_refused(folder: Path) -> None:
    with_file("config.json", json.dumps(CONFIG | {"is_encoder_decoder": True}))(folder)

    with pytest.raises(LoadFailed, match="is an encoder-decoder"):
        facts.of_mlx(folder)


def test_an_embedding_model_is_told_by_its_modules(folder: Path) -> None:
    modules = [
        {"name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    with_file("modules.json", json.dumps(modules))(folder)
    with_file("chat_template.jinja", "{{ messages }}")(folder)

    details = facts.of_mlx(folder)
    assert (details.completes, details.chat, details.pooling) == (False, False, "last")

    (folder / "1_Pooling").mkdir()
    modes = {"pooling_mode_mean_tokens": True, "pooling_mode_lasttoken": False}
    with_file("1_Pooling/config.json", json.dumps(modes))(folder)
    assert facts.of_mlx(folder).pooling == "mean"


BERT = CONFIG | {"model_type": "bert"}


@pytest.mark.parametrize(
    ("config", "limit", "context"),
    [
        (BERT, None, 64),
        (BERT, 32, 32),
        (BERT, 128, 64),
        (CONFIG | {"model_type": "xlm-roberta"}, None, 62),
    ],
)
def test_an_encoder_reads_as_much_as_it_has_places_for(
    folder: Path, config: dict[str, object], limit: int | None, context: int
) -> None:
    with_file("config.json", json.dumps(config))(folder)
    if limit:
        text = json.dumps({"max_seq_length": limit})
        with_file("sentence_bert_config.json", text)(folder)

    details = facts.of_mlx(folder)

    assert (details.completes, details.pooling, details.context_length) == (False, "mean", context)


def test_a_cross_encoder_is_told_by_its_class(folder: Path) -> None:
    config = BERT | {"architectures": ["BertForSequenceClassification"]}
    with_file("config.json", json.dumps(config))(folder)

    assert facts.of_mlx(folder).pooling == "rank"


def test_what_reads_both_ways_is_refused(folder: Path) -> None:
    config = CONFIG | {"model_type": "gemma3_text", "use_bidirectional_attention": True}
    with_file("config.json", json.dumps(config))(folder)

    with pytest.raises(LoadFailed, match="reads a text both ways"):
        facts.of_mlx(folder)


@pytest.mark.parametrize(
    ("step", "settings", "named"),
    [
        ("Dense", {"pooling_mode_cls_token": True}, "step that cannot be run here .Dense."),
        ("Normalize", {"pooling_mode_weightedmean_tokens": True}, "weightedmean_tokens"),
        (
            "Normalize",
            {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
            "cls_token and pooling_mode_mean_tokens",
        ),
    ],
)
def test_vectors_that_are_made_in_another_way_are_refused(
    folder: Path, step: str, settings: dict[str, object], named: str
) -> None:
    steps = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2", step)]
    types = [{"path": path, "type": f"sentence_transformers.models.{name}"} for path, name in steps]
    with_file("modules.json", json.dumps(types))(folder)
    (folder / "1_Pooling").mkdir()
    with_file("1_Pooling/config.json", json.dumps(settings))(folder)

    with pytest.raises(LoadFailed, match=named):
        facts.of_mlx(folder)


def test_a_model_that_sees_has_a_vision_config(folder: Path) -> None:
    config = {"model_type": "seer", "text_config": CONFIG, "vision_config": {"depth": 2}}
    with_file("config.json", json.dumps(config))(folder)

    assert facts.of_mlx(folder).vision


TEMPLATE = "{% if tools %}<tool_call>{{ arguments }}</tool_call>{% endif %}<think></think>"


def test_the_template_and_the_vocabulary_tell_the_rest(folder: Path) -> None:
    with_file("chat_template.jinja", TEMPLATE)(folder)
    names = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
    tokens = {"added_tokens": [{"content": each} for each in names]}
    with_file("tokenizer.json", json.dumps(tokens))(folder)

    details = facts.of_mlx(folder)

    assert (details.chat, details.tools, details.thinking, details.insert) == (True,) * 4


# -- What is missing -----------------------------------


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


@pytest.mark.parametrize("name", ["tokenizer_config.json", "chat_template.json"])
@pytest.mark.parametrize(
    "several",
    [
        "for all",
        {"tool_use": "for tools", "default": "for all"},
        [
            {"name": "tool_use", "template": "for tools"},
            {"name": "default", "template": "for all"},
        ],
    ],
)
def test_of_several_chat_templates_the_default_is_taken(
    folder: Path, name: str, several: object
) -> None:
    with_file(name, json.dumps({"chat_template": several}))(folder)

    assert facts.mlx_chat_template(folder) == "for all"


@pytest.mark.parametrize("config", [None, {}, {"chat_template": None}, {"chat_template": []}])
def test_a_base_model_has_no_chat_template(folder: Path, config: dict[str, Any] | None) -> None:
    if config is not None:
        with_file("tokenizer_config.json", json.dumps(config))(folder)

    assert facts.mlx_chat_template(folder) is None


def test_the_default_may_lie_among_templates_in_a_folder(folder: Path) -> None:
    with_file("tokenizer_config.json", '{"chat_template": "the configuration\'s"}')(folder)
    (folder / "additional_chat_templates").mkdir()
    with_file("additional_chat_templates/tool_use.jinja", "for tools")(folder)
    assert facts.mlx_chat_template(folder) == "the configuration's"

    with_file("additional_chat_templates/default.jinja", "for all")(folder)
    assert facts.mlx_chat_template(folder) == "for all"


def test_the_tokenizers_template_goes_before_the_processors(folder: Path) -> None:
    with_file("chat_template.json", '{"chat_template": "the processor\'s"}')(folder)
    assert facts.mlx_chat_template(folder) == "the processor's"

    with_file("tokenizer_config.json", '{"chat_template": "the tokenizer\'s"}')(folder)
    assert facts.mlx_chat_template(folder) == "the tokenizer's"
