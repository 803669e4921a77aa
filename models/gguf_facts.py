"""What a GGUF file says of its model: architecture, size, quantisation, what it is able to do."""

from collections.abc import Mapping

from models import gguf, pooling, projectors
from models.counts import Counts, commonest_type
from models.errors import LoadFailed
from models.gguf_cache import cache_facts
from models.gguf_header import Value
from models.model import Details, Files
from models.template_signs import (
    knows_effort,
    knows_thinking,
    knows_tools,
    may_skip_thinking,
)

# llama.cpp ends the whole process over these (llama-model.cpp: no memory for a decoder
# that reads an encoder's output).
_ENCODER_DECODERS = ("t5",)
# Read a text as a whole and embed it: they have no way to go on with one.
_ENCODERS = frozenset(
    (
        "bert",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "llama-embed",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "t5encoder",
    )
)
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


def of_gguf(files: Files) -> Details:
    """Read the facts of a GGUF file, all its shards together.

    Raises:
        LoadFailed: it cannot be read, or is not a language model that we can run.
    """
    path = files.path
    headers = [gguf.read(each) for each in gguf.shards(path)]
    metadata = headers[0].metadata
    architecture = _architecture(path.name, metadata)
    tensors = [tensor for header in headers for tensor in header.tensors]
    if not tensors:
        raise LoadFailed(f"{path.name} has no weights in it: it is a vocabulary alone.")
    counts = Counts(path.name, metadata, prefix=architecture + ".")
    pooled = pooling.OF_GGUF.get(counts.optional("pooling_type"), "")
    causal = metadata.get(f"{architecture}.attention.causal") is not False
    completes = architecture not in _ENCODERS and not pooled and causal
    if not completes:
        pooled = pooled or pooling.usual(encoder=True)
    template = _template(metadata)
    return Details(
        architecture=architecture,
        parameter_count=sum(tensor.element_count for tensor in tensors),
        quantization=_file_type(metadata)
        or commonest_type((each.type_name, each.element_count) for each in tensors),
        context_length=counts.required("context_length"),
        embedding_length=counts.required("embedding_length"),
        **cache_facts(counts, architecture, metadata)._asdict(),
        chat=completes and template is not None,
        completes=completes,
        pooling=pooled,
        vision=completes and bool(files.projector),
        picture_bytes=projectors.picture_bytes(files),
        tools=knows_tools(template),
        thinking=knows_thinking(template),
        thinking_switch=may_skip_thinking(template),
        thinking_effort=knows_effort(template),
        insert=completes and gguf.fill_in(path, headers[0]) is not None,
    )


def _architecture(name: str, metadata: Mapping[str, Value]) -> str:
    """Raises LoadFailed where there is none, or none that we can run."""
    architecture = metadata.get("general.architecture")
    kind = metadata.get("general.type", "model")
    if not isinstance(architecture, str) or not architecture:
        raise LoadFailed(f"{name} does not say what model it is.")
    if architecture == "clip" or kind != "model":
        raise LoadFailed(f"{name} is a part that goes with a model ({kind}), not a model.")
    if architecture in _ENCODER_DECODERS:
        raise LoadFailed(
            f"{name} is an encoder-decoder ({architecture}), which cannot be run here: "
            "look for a model that is a decoder alone."
        )
    return architecture


def _template(metadata: Mapping[str, Value]) -> str | None:
    text = metadata.get("tokenizer.chat_template")
    return text if isinstance(text, str) and text.strip() else None


def _file_type(metadata: Mapping[str, Value]) -> str | None:
    value = metadata.get("general.file_type")
    return _FILE_TYPES.get(value) if isinstance(value, int) else None
