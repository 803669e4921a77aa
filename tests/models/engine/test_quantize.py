"""Quantised models are what llama.cpp's own tool makes, and llama.cpp runs them."""

from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize
from numpy.typing import NDArray

from models import facts
from models.engine.quantize import quantize
from models.errors import InvalidRequest, LoadFailed
from models.hub_progress import PullProgress


def tensors(path: Path) -> dict[str, gguf.ReaderTensor]:
    return {each.name: each for each in gguf.GGUFReader(path).tensors}


@pytest.fixture
def tinychat(testdata: Path) -> Path:
    return testdata / "models/tinychat"


def values(tensor: gguf.ReaderTensor) -> NDArray[np.float32]:
    return dequantize(tensor.data, tensor.tensor_type)


def error(made: gguf.ReaderTensor, source: gguf.ReaderTensor) -> float:
    """How far off, of the length of what it was."""
    was = values(source)
    return float(np.linalg.norm(values(made) - was) / np.linalg.norm(was))


def test_eight_bits_are_those_of_the_published_file(tinychat: Path, tmp_path: Path):
    told: list[PullProgress] = []
    source = tinychat / "tinychat-1m-F16.gguf"

    quantize(source, tmp_path / "m.gguf", "Q8_0", told.append)

    made, published = tensors(tmp_path / "m.gguf"), tensors(tinychat / "tinychat-1m-Q8_0.gguf")
    assert made.keys() == published.keys()
    for name, tensor in published.items():
        assert made[name].tensor_type == tensor.tensor_type
        assert error(made[name], tensor) < 0.01, name  # that was made of 32 bits
    assert told[-1].status == "quantizing F16 model to Q8_0"
    assert facts.read(tmp_path / "m.gguf").details.quantization == "Q8_0"


@pytest.mark.parametrize("kind", ["Q4_K_M", "Q4_K_S", "F32", "F16"])
def test_what_is_made_has_the_same_tensors_and_its_name(tinychat: Path, tmp_path: Path, kind: str):
    source = tinychat / "tinychat-1m-F16.gguf"

    quantize(source, tmp_path / "m.gguf", kind, lambda progress: None)

    details = facts.read(tmp_path / "m.gguf").details
    assert details.quantization == kind
    assert details.parameter_count == facts.read(source).details.parameter_count


LAYERS = 8


def write_wide(path: Path) -> Path:
    """Eight layers whose rows are blocks of 256, as those of models are that people use."""
    writer = gguf.GGUFWriter(path, "llama")
    draws = np.random.default_rng(0)
    names = [f"blk.{layer}.{each}" for layer in range(LAYERS) for each in ("attn_v", "ffn_down")]
    for name in [*names, "blk.0.attn_q", "token_embd", "output"]:
        writer.add_tensor(f"{name}.weight", draws.standard_normal((64, 512), dtype=np.float32))
    writer.add_tensor("output_norm.weight", np.ones(512, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    ("kind", "attn_v", "ffn_down"),
    [("Q4_K_M", "64464466", "64464466"), ("Q4_K_S", "55554444", "54444444")],
)
def test_some_layers_keep_more_bits_as_with_llama_cpp(
    tmp_path: Path, kind: str, attn_v: str, ffn_down: str
):
    source = write_wide(tmp_path / "wide.gguf")

    quantize(source, tmp_path / "m.gguf", kind, lambda progress: None)

    was, made = tensors(source), tensors(tmp_path / "m.gguf")

    def bits(name: str) -> str:
        found = [made[f"blk.{each}.{name}.weight"].tensor_type.name for each in range(LAYERS)]
        return "".join(each[1] for each in found)

    assert (bits("attn_v"), bits("ffn_down")) == (attn_v, ffn_down)
    assert made["output.weight"].tensor_type.name == "Q6_K"
    assert made["token_embd.weight"].tensor_type.name == "Q4_K"
    assert made["output_norm.weight"].tensor_type.name == "F32"
    for name, tensor in made.items():
        assert error(tensor, was[name]) < 0.1, name


def test_what_is_quantised_already_stays_as_it_is(tinychat: Path, tmp_path: Path):
    with pytest.raises(InvalidRequest, match="only supported for F16 and F32"):
        quantize(
            tinychat / "tinychat-1m-Q8_0.gguf", tmp_path / "m.gguf", "Q4_K_M", lambda progress: None
        )


def test_a_child_that_dies_is_told(tinychat: Path, tmp_path: Path):
    with pytest.raises(LoadFailed, match=r"llama\.cpp has ended over it"):
        quantize(
            tinychat / "tinychat-1m-F16.gguf",
            tmp_path / "m.gguf",
            "Q8_0",
            lambda progress: None,
            command=("true",),
        )
