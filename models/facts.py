"""What the files of a model say of it: architecture, size, quantisation, memory it needs."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from models import gguf, safetensors
from models.errors import InvalidRequest, LoadFailed
from models.model import Details, Kind

_KV_BYTES = 2  # a number of a 16-bit KV cache
_LARGEST = 1 << 40  # of any count in a model: what is larger is damage

# llama_ftype (include/llama.h) as Ollama writes it (fs/ggml/type.go).
_FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    4: "MXFP4",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4",
    39: "NVFP4",
}


def of(path: Path) -> tuple[Kind, Details]:
    """Say what kind of model ``path`` is, a GGUF file or a folder for MLX, and its facts.

    Raises:
        InvalidRequest: there is nothing at ``path``, or only a part of a model.
        LoadFailed: as ``of_gguf`` and ``of_mlx``.
    """
    kind = _kind_of(path)
    return kind, of_mlx(path) if kind is Kind.MLX else of_gguf(path)


def of_gguf(path: Path) -> Details:
    """Read the facts of a GGUF file, all its shards together.

    Raises:
        LoadFailed: it cannot be read, or is not a language model.
    """
    headers = [gguf.read(each) for each in gguf.shards(path)]
    metadata = headers[0].metadata
    architecture = metadata.get("general.architecture")
    kind = metadata.get("general.type", "model")
    if not isinstance(architecture, str) or not architecture:
        raise LoadFailed(f"{path.name} does not say what model it is.")
    if architecture == "clip" or kind != "model":
        raise LoadFailed(f"{path.name} is a part that goes with a model ({kind}), not a model.")
    tensors = [tensor for header in headers for tensor in header.tensors]
    if not tensors:
        raise LoadFailed(f"{path.name} has no weights in it: it is a vocabulary alone.")
    facts = _Numbers(path.name, metadata, prefix=architecture + ".")
    template = metadata.get("tokenizer.chat_template")
    return Details(
        architecture=architecture,
        parameter_count=sum(tensor.element_count for tensor in tensors),
        quantization=_file_type(metadata) or _commonest(tensors),
        context_length=facts.required("context_length"),
        embedding_length=facts.required("embedding_length"),
        kv_bytes_per_token=_gguf_kv_bytes(facts),
        chat=isinstance(template, str) and bool(template.strip()),
    )


def of_mlx(folder: Path) -> Details:
    """Read the facts of a folder with ``config.json`` and safetensors.

    Raises:
        LoadFailed: something is missing or damaged, or it is not a language model.
    """
    config = read_json(folder / "config.json")
    text = config.get("text_config")  # a model that sees has its language part in there
    own = cast("dict[str, Any]", text) if isinstance(text, dict) else config
    tensors = [tensor for path in weights(folder) for tensor in safetensors.read(path)]
    if not tensors:
        raise LoadFailed(f"The safetensors files in {folder.name} have no weights in them.")
    if not (folder / "tokenizer.json").is_file() and not (folder / "tokenizer.model").is_file():
        raise LoadFailed(f"{folder.name} has no tokenizer: tokenizer.json is missing.")
    facts = _Numbers(f"{folder.name}/config.json", own)
    quantization, group_size = _mlx_quantization(config, tensors)
    return Details(
        architecture=str(config.get("model_type") or own.get("model_type") or "unknown"),
        parameter_count=_unpacked_count(tensors, group_size),
        quantization=quantization,
        context_length=facts.optional("max_position_embeddings") or 2048,
        embedding_length=facts.required("hidden_size"),
        kv_bytes_per_token=_mlx_kv_bytes(facts),
        chat=mlx_chat_template(folder) is not None,
    )


def weights(folder: Path) -> list[Path]:
    """Return the weights of an MLX folder, by the names that mlx_lm.utils.load_model takes.

    Raises:
        LoadFailed: there are none, or the index names one that is missing.
    """
    found = sorted(folder.glob("model*.safetensors"))
    if not found:
        raise LoadFailed(f"{folder.name} has no weights: no model*.safetensors is in it.")
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        table: object = read_json(index).get("weight_map")
        names = cast("dict[str, str]", table).values() if isinstance(table, dict) else ()
        missing = sorted(set(names) - {path.name for path in found})
        if missing:
            raise LoadFailed(f"{folder.name} is not whole: {missing[0]} is missing.")
    return found


def mlx_chat_template(folder: Path) -> str | None:
    """Return an MLX model's chat template; None where it has none.

    Raises:
        LoadFailed: the file that holds it cannot be read.
    """
    # Where transformers looks (tokenization_utils_base.py), and mlx_lm with it.
    path = folder / "chat_template.jinja"
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            raise LoadFailed(f"{path.name} cannot be read; download the model again.") from None
    if not (folder / "tokenizer_config.json").is_file():
        return None
    template: Any = read_json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(template, list):  # several, each with a name
        several = cast("list[Any]", template)
        default = (each for each in several if _text(each, "name") == "default")
        template = next((_text(each, "template") for each in default), None)
    return template if isinstance(template, str) and template.strip() else None


def _text(entry: object, key: str) -> str | None:
    value = cast("dict[str, Any]", entry).get(key) if isinstance(entry, dict) else None
    return value if isinstance(value, str) else None


def read_json(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        LoadFailed: it is missing or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LoadFailed(f"{path.parent.name} has no {path.name}.") from None
    except OSError as error:
        raise LoadFailed(f"{path.name} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise LoadFailed(f"{path.name} is damaged: it is not JSON.") from None
    if not isinstance(value, dict):
        raise LoadFailed(f"{path.name} is damaged: it is not a JSON object.")
    return cast("dict[str, Any]", value)


def _kind_of(path: Path) -> Kind:
    if path.is_dir():
        if (path / "config.json").is_file():
            return Kind.MLX
        ggufs = sorted(each.name for each in path.glob("*.gguf"))
        if ggufs:
            raise InvalidRequest(f"{path} is a folder: name the GGUF file in it, {ggufs[0]}.")
        raise InvalidRequest(f"{path} is not a model's folder: it has no config.json.")
    if not path.is_file():
        raise InvalidRequest(f"There is no file or folder {path}.")
    if path.suffix == ".safetensors":
        raise InvalidRequest(f"{path.name} is a part of a model: name its folder, {path.parent}.")
    return Kind.LLAMA


class _Numbers:
    """The counts among a model's settings, none of them negative or absurd."""

    def __init__(self, source: str, settings: Mapping[str, object], prefix: str = "") -> None:
        self._source = source
        self._settings = settings
        self._prefix = prefix

    def required(self, key: str) -> int:
        value = self.optional(key)
        if not value:
            raise LoadFailed(f"{self._source} does not tell the model's {self._prefix}{key}.")
        return value

    def optional(self, key: str) -> int:
        """Return 0 where the key is missing, and the largest where each layer has its own."""
        return max(self.each(key), default=0)

    def each(self, key: str) -> Sequence[int]:
        value = self._settings.get(self._prefix + key)
        values = cast("Sequence[object]", value if isinstance(value, tuple | list) else (value,))
        return [self._plausible(key, each) for each in values if each is not None]

    def _plausible(self, key: str, value: object) -> int:
        if isinstance(value, int) and 0 <= value <= _LARGEST:
            return int(value)
        raise LoadFailed(f"{self._source} is damaged: {self._prefix}{key} makes no sense.")


def _file_type(metadata: Mapping[str, gguf.Value]) -> str | None:
    value = metadata.get("general.file_type")
    return _FILE_TYPES.get(value) if isinstance(value, int) else None


def _commonest(tensors: Sequence[gguf.Tensor | safetensors.Tensor]) -> str:
    sizes: Counter[str] = Counter()
    for tensor in tensors:
        sizes[tensor.type_name] += tensor.element_count
    return sizes.most_common(1)[0][0]


def _gguf_kv_bytes(facts: _Numbers) -> int:
    layers = facts.required("block_count")
    heads = facts.optional("attention.head_count")
    kv_heads = facts.each("attention.head_count_kv") or [heads]
    fallback = facts.required("embedding_length") // max(1, heads)
    key = facts.optional("attention.key_length") or fallback
    value = facts.optional("attention.value_length") or fallback
    all_heads = sum(kv_heads) if len(kv_heads) > 1 else layers * kv_heads[0]
    return all_heads * (key + value) * _KV_BYTES


def _mlx_kv_bytes(facts: _Numbers) -> int:
    heads = facts.optional("num_attention_heads")
    kv_heads = facts.optional("num_key_value_heads") or heads
    width = facts.optional("head_dim") or facts.required("hidden_size") // max(1, heads)
    return facts.required("num_hidden_layers") * kv_heads * 2 * width * _KV_BYTES


def _mlx_quantization(
    config: Mapping[str, Any], tensors: Sequence[safetensors.Tensor]
) -> tuple[str, int]:
    """Return the label, and how many weights share a scale (0 where nothing is quantised)."""
    for key in ("quantization", "quantization_config"):
        found = config.get(key)
        settings = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        bits, group = settings.get("bits"), settings.get("group_size")
        if isinstance(bits, int) and isinstance(group, int) and 0 < group <= _LARGEST:
            return f"{bits}bit", group
    return _commonest(tensors), 0


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
