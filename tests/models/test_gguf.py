"""Headers of GGUF files: real ones, odd ones, and ones made to do harm."""

import random
import re
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from models import facts, gguf
from models.errors import InvalidRequest, LoadFailed
from models.model import Files
from tests.gguf_bytes import ARRAY, STRING, TINY, U32, gguf_bytes


def written(folder: Path, raw: bytes, name: str = "model.gguf") -> Path:
    path = folder / name
    path.write_bytes(raw)
    return path


def test_a_real_file_tells_what_it_is(testdata: Path):
    details = facts.read(testdata / "models/tinychat/tinychat-1m-Q8_0.gguf").details

    assert details.architecture == "qwen3"
    assert details.parameter_count == 970_368
    assert details.quantization == "Q8_0"
    assert details.context_length == 2048
    assert details.embedding_length == 128
    assert details.kv_bytes_per_token == 4 * 2 * (32 + 32) * 2  # layers, heads, key+value, bytes
    assert details.chat


def test_a_real_file_without_a_file_type_is_named_after_its_tensors(testdata: Path):
    details = facts.read(testdata / "models/stories260K.gguf").details

    assert details.quantization == "F32"
    assert not details.chat


@pytest.mark.parametrize(
    "name", ["stories260K.gguf", "all-MiniLM-L6-v2-Q8_0.gguf", "tinychat/tinychat-1m-F16.gguf"]
)
def test_a_real_file_is_whole_and_not_so_without_its_last_byte(
    testdata: Path, tmp_path: Path, name: str
):
    raw = (testdata / "models" / name).read_bytes()

    assert gguf.read(written(tmp_path, raw)).tensors
    with pytest.raises(LoadFailed, match="cut short"):
        gguf.read(written(tmp_path, raw[:-1]))


def test_the_template_comes_with_its_tokens(testdata: Path):
    source = gguf.read_template(testdata / "models/tinychat/tinychat-1m-F16.gguf")

    assert source.text is not None and "<|im_start|>" in source.text
    assert (source.bos_token, source.eos_token) == ("<|endoftext|>", "<|im_end|>")


def test_a_model_without_a_template_says_so(testdata: Path):
    source = gguf.read_template(testdata / "models/stories260K.gguf")

    assert (source.text, source.bos_token, source.eos_token) == (None, "<s>", "</s>")


def test_the_longest_token_is_known_without_keeping_the_vocabulary(tmp_path: Path):
    tokens = [*("ab" * 9_000), "wood", "\u00e9" * 40, *("c" * 9_000), "wood" * 15_000, "x"]
    metadata = TINY | {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.bos_token_id": len(tokens) - 1,
    }

    source = gguf.read_template(written(tmp_path, gguf_bytes(metadata)))

    assert source.longest_token_bytes == 60_000
    assert (source.tokenizer_model, source.pre_tokenizer) == ("gpt2", "qwen2")
    assert source.bos_token == "x"


def test_a_real_file_has_its_longest_token_counted_as_it_is_spelled(testdata: Path):
    chat = gguf.read_template(testdata / "models/tinychat/tinychat-1m-F16.gguf")
    story = gguf.read_template(testdata / "models/stories260K.gguf")

    assert chat.tokenizer_model == "gpt2"
    assert chat.longest_token_bytes == len("<|endoftext|>")
    assert story.tokenizer_model == "llama"
    assert story.longest_token_bytes == len("▁friend".encode())


def test_a_projector_is_not_a_model(testdata: Path):
    with pytest.raises(LoadFailed, match="a part that goes with a model"):
        facts.read(testdata / "models/tinychat/mmproj-tiny-random-F32.gguf")


def test_each_layer_may_have_its_own_number_of_heads(tmp_path: Path):
    metadata = TINY | {"tiny.attention.head_count_kv": [4, 0]}

    details = facts.read(written(tmp_path, gguf_bytes(metadata))).details

    assert details.kv_bytes_per_token == 4 * (16 + 16) * 2


def test_version_2_is_read_too(tmp_path: Path):
    assert gguf.read(written(tmp_path, gguf_bytes(TINY, version=2))).metadata == TINY


def test_a_type_of_tensor_from_the_future_leaves_the_size_open(tmp_path: Path):
    header = gguf.read(written(tmp_path, gguf_bytes(TINY, kind=999, shape=(1 << 12,))))

    assert header.tensors[0].type_name == "type 999"


def test_the_shards_of_a_model_count_together(tmp_path: Path):
    first = written(tmp_path, gguf_bytes(TINY), "m-00001-of-00002.gguf")
    second = written(tmp_path, gguf_bytes({}, tensors=2), "m-00002-of-00002.gguf")

    assert facts.read(first).details.parameter_count == 3 * 64
    with pytest.raises(LoadFailed, match=r"name its first file, m-00001-of-00002\.gguf"):
        facts.read(second)

    second.unlink()
    with pytest.raises(
        LoadFailed, match=r"m-00002-of-00002\.gguf, a part of the model, is missing"
    ):
        facts.read(first)


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", "is not a GGUF file"),
        (b"PK\x03\x04" + bytes(100), "is not a GGUF file"),
        (gguf_bytes(TINY, version=1), "the first GGUF format"),
        (gguf_bytes(TINY, version=4), "version 4"),
        (b"GGUF" + struct.pack(">IQQ", 3, 1, 1) + bytes(99), "big-endian"),
        (gguf_bytes(TINY)[:-1], "cut short"),
        (gguf_bytes(TINY)[:90], "cut short"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63), "damaged"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0), "damaged"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**62), "damaged"),
        (gguf_bytes({"a": struct.pack("<I", 77)}), "damaged"),
        (gguf_bytes({"a": struct.pack("<IIQ", ARRAY, STRING, 2**61)}), "damaged"),
        (gguf_bytes({"a": struct.pack("<IIQ", ARRAY, U32, 2**61)}), "damaged"),
        (gguf_bytes({"a": struct.pack("<IIQ", ARRAY, ARRAY, 1)}), "damaged"),
        (gguf_bytes({"a": struct.pack("<IIQQ", ARRAY, STRING, 1, 2**60)}), "damaged"),
        (gguf_bytes({"general.alignment": 0}), "damaged"),
        (gguf_bytes(TINY, shape=(2**60,)), "damaged"),
        (gguf_bytes(TINY, shape=(8, 8, 8, 8, 8)), "damaged"),
        (gguf_bytes(TINY, shape=(2048, 2048)), "cut short"),
    ],
)
def test_what_cannot_be_believed_is_refused_in_a_sentence(
    tmp_path: Path, raw: bytes, sentence: str
):
    with pytest.raises(LoadFailed, match=re.escape(sentence)):
        gguf.read(written(tmp_path, raw))


@pytest.mark.parametrize(
    "wrong",
    [
        {"general.architecture": 7},
        {"general.architecture": ""},
        {"tiny.context_length": 0},
        {"tiny.block_count": -3},
        {"tiny.block_count": 2**60},
        {"tiny.embedding_length": "wide"},
    ],
)
def test_facts_that_make_no_sense_are_refused(tmp_path: Path, wrong: dict[str, object]):
    with pytest.raises(LoadFailed):
        facts.read(written(tmp_path, gguf_bytes(TINY | wrong)))


def test_a_vocabulary_alone_is_not_a_model(tmp_path: Path):
    with pytest.raises(LoadFailed, match="no weights"):
        facts.read(written(tmp_path, gguf_bytes(TINY, tensors=0)))


# -- What a model is able to do ------------------------


def test_an_embedding_model_is_known_as_one(testdata: Path):
    details = facts.read(testdata / "models/all-MiniLM-L6-v2-Q8_0.gguf").details

    assert (details.completes, details.chat, details.pooling) == (False, False, "mean")


@pytest.mark.parametrize(
    ("metadata", "completes", "pooling"),
    [
        ({}, True, ""),
        ({"tiny.pooling_type": 0}, True, ""),
        ({"tiny.pooling_type": 3}, False, "last"),  # a decoder that was made to embed
        ({"tiny.pooling_type": 4}, False, "rank"),
        ({"tiny.attention.causal": struct.pack("<I?", 7, False)}, False, "mean"),
        ({"tiny.attention.causal": struct.pack("<I?", 7, True)}, True, ""),
    ],
)
def test_what_pools_or_reads_both_ways_cannot_go_on_with_a_text(
    tmp_path: Path, metadata: dict[str, object], completes: bool, pooling: str
):
    template = {"tokenizer.chat_template": "{{ messages }}"}

    details = facts.read(written(tmp_path, gguf_bytes(TINY | template | metadata))).details

    assert (details.completes, details.chat, details.pooling) == (completes, completes, pooling)


def of_architecture(name: str) -> dict[str, object]:
    renamed: dict[str, object] = {
        key.replace("tiny.", name + "."): value for key, value in TINY.items()
    }
    return renamed | {"general.architecture": name}


def test_an_encoder_decoder_is_refused_and_its_encoder_alone_is_not(tmp_path: Path):
    with pytest.raises(LoadFailed, match=r"model\.gguf is an encoder-decoder \(t5\)"):
        facts.read(written(tmp_path, gguf_bytes(of_architecture("t5"))))

    encoder = facts.read(written(tmp_path, gguf_bytes(of_architecture("t5encoder"))))
    assert not encoder.details.completes


def projector(width: int, more: Mapping[str, object] | None = None) -> bytes:
    return gguf_bytes(
        {
            "general.architecture": "clip",
            "general.type": "mmproj",
            "clip.vision.projection_dim": width,
            **(more or {}),
        }
    )


def test_a_projector_that_lies_beside_a_model_lets_it_see(tmp_path: Path):
    path = written(tmp_path, gguf_bytes(TINY))
    assert not facts.read(path).details.vision

    written(tmp_path, projector(999), "mmproj-of-another.gguf")
    written(tmp_path, b"GGUF", "mmproj-damaged.gguf")
    assert not facts.read(path).details.vision

    written(tmp_path, projector(64), "mmproj-F16.gguf")
    written(tmp_path, projector(64) + bytes(99), "a-larger-mmproj.gguf")
    found = facts.read(path)
    assert found.details.vision
    assert found.files == Files(tmp_path, "model.gguf", "mmproj-F16.gguf")


def test_eyes_within_a_model_are_none_that_llama_cpp_could_open(tmp_path: Path):
    metadata = TINY | {"tiny.vision.block_count": 3}

    assert not facts.read(written(tmp_path, gguf_bytes(metadata))).details.vision


def test_a_projector_of_another_family_or_one_that_hears_goes_with_no_model(tmp_path: Path):
    path = written(tmp_path, gguf_bytes(TINY))
    written(tmp_path, projector(64, {"clip.projector_type": "gemma3"}), "mmproj-gemma.gguf")
    written(tmp_path, projector(64, {"clip.has_vision_encoder": False}), "mmproj-ears.gguf")

    assert not facts.read(path).details.vision


def test_what_a_picture_takes_is_told_by_the_projector(tmp_path: Path):
    path = written(tmp_path, gguf_bytes(TINY))
    sizes = {"image_size": 896, "patch_size": 14, "embedding_length": 1152}
    about = {f"clip.vision.{key}": each for key, each in sizes.items()}
    about |= {"clip.vision.feed_forward_length": 4304, "clip.projector_type": "mlp"}
    written(tmp_path, projector(64, about), "mmproj-F16.gguf")

    assert facts.read(path).details.picture_bytes == 4096 * (4304 + 8 * 1152) * 4


FILL_IN = ["<fim_prefix>", "<fim_suffix>", "<fim_middle>"]


@pytest.mark.parametrize(
    ("metadata", "insert"),
    [
        ({"tokenizer.ggml.tokens": ["a", "<fim_prefixes>", *FILL_IN[1:]]}, False),
        ({"tokenizer.ggml.tokens": ["a", *FILL_IN[:2]]}, False),
        ({"tokenizer.ggml.tokens": ["a", *FILL_IN, "b"]}, True),
        ({"tokenizer.ggml.tokens": FILL_IN, "tiny.pooling_type": 1}, False),
        ({}, False),
    ],
)
def test_a_vocabulary_tells_whether_a_model_fills_in(
    tmp_path: Path, metadata: dict[str, object], insert: bool
):
    details = facts.read(written(tmp_path, gguf_bytes(TINY | metadata))).details

    assert details.insert is insert


@pytest.mark.parametrize(
    ("name", "tools", "thinking"),
    [
        ("Qwen-Qwen3-0.6B", True, True),
        ("Qwen-Qwen2.5-7B-Instruct", True, False),
        ("HuggingFaceTB-SmolLM3-3B", False, True),
        ("deepseek-ai-DeepSeek-R1-Distill-Llama-8B", False, True),
        ("mistralai-Ministral-3-14B-Reasoning-2512", True, True),
        ("openai-gpt-oss-120b", True, True),
        ("meta-llama-Llama-3.2-3B-Instruct", True, False),
        ("google-gemma-2-2b-it", False, False),
        ("chatml", False, False),
    ],
)
def test_a_real_template_gives_away_what_its_model_can_do_here(
    testdata: Path, tmp_path: Path, name: str, tools: bool, thinking: bool
):
    template = (testdata / f"chat-templates/{name}.jinja").read_text(encoding="utf-8")
    metadata = TINY | {"tokenizer.chat_template": template}

    details = facts.read(written(tmp_path, gguf_bytes(metadata))).details

    assert (details.tools, details.thinking) == (tools, thinking)


def test_damage_anywhere_in_a_header_is_an_error_or_harmless(tmp_path: Path):
    tokens = {"tokenizer.ggml.tokens": ["a", "b"], "tokenizer.ggml.bos_token_id": 1}
    whole = gguf_bytes(TINY | tokens | {"tokenizer.chat_template": "{{ messages }}"})
    chance = random.Random(1)
    for _ in range(1500):
        raw = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            raw[chance.randrange(len(raw) - 256)] = chance.randrange(256)
        path = written(
            tmp_path, bytes(raw)[: chance.choice([len(raw), chance.randrange(len(raw))])]
        )
        for read in (facts.read, gguf.read_template):
            try:
                read(path)
            except LoadFailed as error:
                assert str(error).endswith(".")


def test_nothing_and_half_a_model_are_refused_with_the_way_out(tmp_path: Path):
    (tmp_path / "part.safetensors").write_bytes(b"")

    with pytest.raises(InvalidRequest, match="There is no file or folder"):
        facts.read(tmp_path / "missing.gguf")
    with pytest.raises(InvalidRequest, match="name its folder"):
        facts.read(tmp_path / "part.safetensors")
    with pytest.raises(InvalidRequest, match=r"has no config\.json"):
        facts.read(tmp_path)
    written(tmp_path, gguf_bytes(TINY), "a.gguf")
    written(tmp_path, gguf_bytes(TINY), "b.gguf")
    with pytest.raises(InvalidRequest, match=r"name the GGUF file of one, a\.gguf, b\.gguf"):
        facts.read(tmp_path)


def test_a_folder_that_has_one_gguf_model_is_that_model(tmp_path: Path):
    written(tmp_path, gguf_bytes(TINY))
    written(tmp_path, projector(64), "mmproj-F16.gguf")

    found = facts.read(tmp_path)

    assert found.files == Files(tmp_path, "model.gguf", "mmproj-F16.gguf")
    assert found.details.vision
