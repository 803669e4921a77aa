"""What the files of a model say of it: architecture, size, quantisation, what it is able to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from models import mlx_families, pooling, projectors, safetensors
from models.counts import Counts, commonest_type
from models.errors import InvalidRequest, LoadFailed
from models.fill_in import SPELLINGS
from models.gguf_facts import of_gguf
from models.json_file import read_object, text_of
from models.mlx_cache import WIDTH, cache_facts
from models.model import Details, Files, Kind, Model
from models.names import ModelName
from models.quantization import SHARD
from models.template_signs import (
    knows_effort,
    knows_thinking,
    knows_tools,
    may_skip_thinking,
)

VERSION = 7
"""Raised whenever a fact is added or read in another way: what is older is read again."""

_LARGEST_GROUP = 1 << 20  # weights with one scale; 32 to 128 are usual
# Read a text as a whole and embed it: they have no way to go on with one.
ENCODERS = frozenset(("bert", "distilbert", "modernbert", "nomic_bert", "roberta", "xlm-roberta"))
# How the configurations that mlx_lm reads (mlx_lm/models) spell the same number.
_CONTEXT = (
    "max_position_embeddings",
    "n_positions",
    "n_ctx",
    "max_seq_len",
    "max_sequence_length",
    "max_context_length",
    "model_max_length",
    "seq_length",
)
_USUAL_CONTEXT = 2048  # tokens, where a configuration does not tell: none was trained on fewer
# One of these must be there whole (mlx_lm.utils.load, transformers' tokenizers).
_TOKENIZERS = (
    ("tokenizer.json",),
    ("tokenizer.model",),
    ("tiktoken.model",),
    ("tekken.json",),
    ("vocab.json", "merges.txt"),
)


@dataclass(frozen=True, slots=True)
class Found:
    kind: Kind
    files: Files
    details: Details

    def model(self, name: ModelName, size_bytes: int, digest: str) -> Model:
        """Return it as a model that has been installed now."""
        return Model(
            name=name,
            kind=self.kind,
            files=self.files,
            size_bytes=size_bytes,
            digest=digest,
            modified_at=datetime.now(UTC),
            details=self.details,
        )


def read(path: Path) -> Found:
    """Say what model ``path`` is, and its facts: a GGUF file, or a folder that has one model.

    Raises:
        InvalidRequest: there is nothing at ``path``, or only a part of a model.
        LoadFailed: as ``of_gguf`` and ``of_mlx``.
    """
    if (path / "config.json").is_file():
        mlx_families.refuse_unknown(read_object(path / "config.json"), path.name)
        return Found(Kind.MLX, Files(path, ""), of_mlx(path))
    if path.is_dir():
        path = _only_gguf(path)
    if not path.is_file():
        raise InvalidRequest(f"There is no file or folder {path}.")
    if path.suffix == ".safetensors":
        raise InvalidRequest(f"{path.name} is a part of a model: name its folder, {path.parent}.")
    files = Files(path.parent, path.name, projectors.beside(path))
    return Found(Kind.LLAMA, files, of_gguf(files))


def of_files(kind: Kind, files: Files) -> Details:
    """Read the facts of a model that is known already.

    Raises:
        LoadFailed: as ``of_gguf`` and ``of_mlx``.
    """
    return of_mlx(files.path) if kind is Kind.MLX else of_gguf(files)


def of_mlx(folder: Path) -> Details:
    """Read the facts of a folder with ``config.json`` and safetensors.

    Raises:
        LoadFailed: something is missing or damaged, or it is not a language model.
    """
    config = read_object(folder / "config.json")
    text = config.get("text_config")  # a model that sees has its language part in there
    own = cast("dict[str, Any]", text) if isinstance(text, dict) else config
    architecture = _architecture(folder, config, own)
    tensors = [tensor for path in _weights(folder) for tensor in safetensors.read(path)]
    if not tensors:
        raise LoadFailed(f"The safetensors files in {folder.name} have no weights in them.")
    if not any(all((folder / name).is_file() for name in names) for names in _TOKENIZERS):
        raise LoadFailed(f"{folder.name} has no tokenizer: tokenizer.json is missing.")
    counts = Counts(f"{folder.name}/config.json", own)
    quantization, group_size = _quantization(config, tensors)
    encoder = architecture in ENCODERS
    pooled = pooling.of_folder(folder, encoder=encoder)
    if encoder:
        pooled = pooling.RANK if pooling.ranks(config) else pooled or pooling.usual(encoder=True)
    completes = pooled is None
    template = mlx_chat_template(folder)
    return Details(
        architecture=architecture,
        parameter_count=_unpacked_count(tensors, group_size),
        quantization=quantization,
        context_length=_context(folder, counts, architecture, completes),
        embedding_length=counts.optional(*WIDTH),
        **cache_facts(counts, str(own.get("model_type") or architecture), own)._asdict(),
        chat=completes and template is not None,
        completes=completes,
        pooling=pooled or "",
        vision=isinstance(config.get("vision_config"), dict) or projectors.has_eyes_apart(folder),
        tools=knows_tools(template),
        thinking=knows_thinking(template),
        thinking_switch=may_skip_thinking(template),
        thinking_effort=knows_effort(template),
        insert=completes and _fills_in(folder),
    )


def mlx_chat_template(folder: Path) -> str | None:
    """Return an MLX model's chat template; None where it has none.

    It is looked for where transformers looks, in the same order: a file of its own, the
    files of several templates of which one is the default, the tokenizer's configuration
    (tokenization_utils_base.py), and the processor's (processing_utils.py).

    Raises:
        LoadFailed: the file that holds it cannot be read.
    """
    for name in ("chat_template.jinja", "additional_chat_templates/default.jinja"):
        if (folder / name).is_file():
            return _read_text(folder / name)
    for name in ("tokenizer_config.json", "chat_template.json"):
        if not (folder / name).is_file():
            continue
        template = _default(read_object(folder / name).get("chat_template"))
        if template is not None:
            return template
    return None


# -- A folder's files ----------------------------------


def _only_gguf(folder: Path) -> Path:
    """Return the GGUF model in a folder, of several shards the first.

    Raises:
        InvalidRequest: there is none, or there are several.
    """
    found = sorted(each for each in folder.glob("*.gguf") if "mmproj" not in each.name)
    numbers = {each: SHARD.search(each.stem) for each in found}
    models = [each for each, number in numbers.items() if not number or int(number[1]) == 1]
    if len(models) > 1:
        names = ", ".join(each.name for each in models[:3])
        raise InvalidRequest(f"{folder} has several models: name the GGUF file of one, {names}.")
    if not models:
        raise InvalidRequest(f"{folder} is not a model's folder: it has no config.json.")
    return models[0]


def _read_text(path: Path) -> str | None:
    """Return what is in the file; None where that is nothing."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise LoadFailed(f"{path.name} cannot be read; download the model again.") from None
    return text if text.strip() else None


def _weights(folder: Path) -> list[Path]:
    """Return the weights of an MLX folder, by the names that mlx_lm.utils.load_model takes.

    Raises:
        LoadFailed: there are none, or the index names one that is missing.
    """
    found = sorted(folder.glob("model*.safetensors"))
    if not found:
        raise LoadFailed(f"{folder.name} has no weights: no model*.safetensors is in it.")
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        table: object = read_object(index).get("weight_map")
        names = cast("dict[str, str]", table).values() if isinstance(table, dict) else ()
        missing = sorted(set(names) - {path.name for path in found})
        if missing:
            raise LoadFailed(f"{folder.name} is not whole: {missing[0]} is missing.")
    return found


# -- Chat templates ------------------------------------


def _default(template: object) -> str | None:
    """Return the template that a configuration holds: as a string, or as several by name."""
    if isinstance(template, list):
        entries = cast("list[Any]", template)
        template = {text_of(each, "name"): text_of(each, "template") for each in entries}
    text = template if isinstance(template, str) else text_of(template, "default")
    return text if text and text.strip() else None


# -- The facts -----------------------------------------


def _architecture(folder: Path, config: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Raises LoadFailed where there is none, or none that we can run."""
    architecture = config.get("model_type") or own.get("model_type")
    if not isinstance(architecture, str):
        raise LoadFailed(f"{folder.name}/config.json does not tell the model's model_type.")
    if config.get("use_bidirectional_attention") is True:
        raise LoadFailed(
            f"{folder.name} ({architecture}) reads a text both ways, which MLX cannot run here: "
            "look for the model as a GGUF file."
        )
    if config.get("is_encoder_decoder") is True:
        raise LoadFailed(
            f"{folder.name} is an encoder-decoder ({architecture}), which cannot be run here: "
            "look for a model that is a decoder alone."
        )
    return architecture


def _context(folder: Path, counts: Counts, architecture: str, completes: bool) -> int:
    positions = counts.optional(*_CONTEXT) or _USUAL_CONTEXT
    if completes:
        return positions
    return pooling.longest_input(folder, positions, first_position=first_position(architecture))


def first_position(architecture: str) -> int:
    """RoBERTa's first two positions are no token's (transformers' modeling_roberta.py)."""
    return 2 if architecture in pooling.ROBERTA else 0


def _fills_in(folder: Path) -> bool:
    try:
        raw = (folder / "tokenizer.json").read_bytes()
    except OSError:
        return False  # its tokenizer is in another file: that knows no such tokens
    return any(all(f'"{text}"'.encode() in raw for text in each.texts) for each in SPELLINGS)


def _quantization(
    config: Mapping[str, Any], tensors: Sequence[safetensors.Tensor]
) -> tuple[str, int]:
    """Return the label, and how many weights share a scale (0 where nothing is quantised)."""
    for key in ("quantization", "quantization_config"):
        found = config.get(key)
        settings = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        bits, group = settings.get("bits"), settings.get("group_size")
        if isinstance(bits, int) and isinstance(group, int) and 0 < group <= _LARGEST_GROUP:
            return f"{bits}bit", group
    return commonest_type((each.type_name, each.element_count) for each in tensors), 0


def _unpacked_count(tensors: Sequence[safetensors.Tensor], group_size: int) -> int:
    """Count parameters: mx.quantize packs a weight, and puts scales and biases beside it."""
    names = {tensor.name for tensor in tensors} if group_size else set[str]()
    count = 0
    for tensor in tensors:
        stem, _, last = tensor.name.rpartition(".")
        if f"{stem}.scales" not in names:
            count += tensor.element_count
        elif last == "scales":
            count += tensor.element_count * group_size
    return count
