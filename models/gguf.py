"""Reads the header of a GGUF file: what it says of itself, and where its tensors are."""

import math
import os
import re
import struct
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from models.errors import LoadFailed
from models.fill_in import FillIn, find, with_files
from models.gguf_header import SCALARS, STRING, Header, HeaderReader, LongArray, NotReadable, Value


@dataclass(frozen=True, slots=True)
class TemplateSource:
    """A chat template, what its ``bos_token`` and ``eos_token`` stand for, and its tokenizer.

    ``sampling`` is what the file recommends, by the names of ``SamplingParams``.
    """

    text: str | None  # None: the model has no chat template
    bos_token: str
    eos_token: str
    # As the file spells it, which is never shorter than the text that the token stands for:
    # a byte may be written as a character of two, a space as one of three.
    longest_token_bytes: int = 0  # 0: it has no vocabulary
    tokenizer_model: str = ""  # "gpt2", "llama", "bert", "t5"
    pre_tokenizer: str = ""  # "qwen2": how "gpt2" cuts a text up first
    vocabulary_size: int = 0  # tokens
    fill_in: FillIn | None = None
    sampling: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens of a file, in the order of their ids."""

    kind: str  # "gpt2", "llama"
    size: int  # tokens
    raw: bytes  # each with its length before it: what begins alike has the same first tokens


# In newer files and in older ones (gguf-py, gguf/constants.py).
_FILL_IN_KEYS = (("fim_pre", "fim_suf", "fim_mid"), ("prefix", "suffix", "middle"))
_FILES_KEYS = ("fim_rep", "fim_sep")
# llama.cpp's names in a file (common/common.cpp, COMMON_PARAMS_SAMPLING_CONFIG) and ours.
_SAMPLING_KEYS = {
    "general.sampling.temp": "temperature",
    "general.sampling.top_k": "top_k",
    "general.sampling.top_p": "top_p",
    "general.sampling.min_p": "min_p",
    "general.sampling.xtc_probability": "xtc_probability",
    "general.sampling.xtc_threshold": "xtc_threshold",
    "general.sampling.penalty_last_n": "repeat_last_n",
    "general.sampling.penalty_repeat": "repeat_penalty",
}


def read(path: Path) -> Header:
    """Read the header of a GGUF file, and check that its tensors are all there.

    Raises:
        LoadFailed: it is no GGUF file, or is damaged, or cut short.
    """
    with _opened(path) as reader:
        return reader.header()


def read_template(path: Path) -> TemplateSource:
    """Read the chat template of a GGUF file, with its BOS and EOS tokens.

    Raises:
        LoadFailed: as ``read``.
    """
    with _opened(path) as reader:
        header = reader.header()
        metadata = header.metadata
        text = metadata.get("tokenizer.chat_template")
        tokens = metadata.get("tokenizer.ggml.tokens")
        return TemplateSource(
            text if isinstance(text, str) and text.strip() else None,
            reader.token(metadata, "tokenizer.ggml.bos_token_id"),
            reader.token(metadata, "tokenizer.ggml.eos_token_id"),
            tokens.longest_bytes if isinstance(tokens, LongArray) else 0,
            _text(metadata, "tokenizer.ggml.model"),
            _text(metadata, "tokenizer.ggml.pre"),
            tokens.length if isinstance(tokens, LongArray) else 0,
            fill_in(path, header),
            _recommended(metadata),
        )


def fill_in(path: Path, header: Header) -> FillIn | None:
    """Return the tokens of fill-in-the-middle of the file whose header this is; None: none.

    Raises:
        LoadFailed: the file cannot be read.
    """
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, LongArray) or tokens.element_type != STRING:
        return None
    with _opened(path) as reader:
        raw = reader.raw(tokens)

    @cache  # most have none of them: then nothing is gone through
    def id_of(text: str) -> int | None:
        written = text.encode()
        # A length and a text behind it stand nowhere but where a token begins.
        if struct.pack("<Q", len(written)) + written not in raw:
            return None
        return next((id for id, each in enumerate(_strings(raw)) if each == written), None)

    def named(key: str) -> int | None:
        id = header.metadata.get(f"tokenizer.ggml.{key}_token_id")
        return id if isinstance(id, int) and 0 <= id < tokens.length else None

    found = _named_fill_in(named)
    found = with_files(found, id_of) if found else find(id_of)
    if found is None:
        return None
    repository, file = map(named, _FILES_KEYS)
    return replace(
        found,
        repository=found.repository if repository is None else repository,
        file=found.file if file is None else file,
    )


def _named_fill_in(named: Callable[[str], int | None]) -> FillIn | None:
    for keys in _FILL_IN_KEYS:
        ids = [id for key in keys if (id := named(key)) is not None]
        if len(ids) == len(keys):
            return FillIn(ids[0], ids[1], ids[2])
    return None


def read_tokens(path: Path) -> list[bytes]:
    """Read the vocabulary of a GGUF file, in the order of its ids, as the file spells it.

    Raises:
        LoadFailed: as ``read``.
    """
    with _opened(path) as reader:
        tokens = reader.header().metadata.get("tokenizer.ggml.tokens")
        if not isinstance(tokens, LongArray) or tokens.element_type != STRING:
            return []
        raw = reader.raw(tokens)
    return list(_strings(raw))


def read_array(path: Path, array: LongArray) -> list[int | float | bool | str]:
    """Read an array of a GGUF file that its header passes over.

    Raises:
        LoadFailed: as ``read``.
    """
    with _opened(path) as reader:
        raw = reader.raw(array)
    if array.element_type == STRING:
        return [each.decode("utf-8", "replace") for each in _strings(raw)]
    return [each for (each,) in SCALARS[array.element_type].iter_unpack(raw)]


def read_vocabulary(path: Path) -> Vocabulary:
    """Read what tells the vocabulary of a GGUF file from another's.

    Raises:
        LoadFailed: as ``read``.
    """
    with _opened(path) as reader:
        metadata = reader.header().metadata
        kind = _text(metadata, "tokenizer.ggml.model")
        tokens = metadata.get("tokenizer.ggml.tokens")
        if not isinstance(tokens, LongArray) or tokens.element_type != STRING:
            return Vocabulary(kind, 0, b"")
        return Vocabulary(kind, tokens.length, reader.raw(tokens))


def _strings(raw: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(raw):
        (length,) = struct.unpack_from("<Q", raw, at)
        at += 8 + length
        yield raw[at - length : at]


def _text(metadata: Mapping[str, Value], key: str) -> str:
    value = metadata.get(key)
    return value if isinstance(value, str) else ""


def _recommended(metadata: Mapping[str, Value]) -> dict[str, float]:
    found: dict[str, float] = {}
    for key, ours in _SAMPLING_KEYS.items():
        value = metadata.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            found[ours] = value
    return found


_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)


def shards(path: Path) -> list[Path]:
    """Return the files of the model at ``path``: itself, or all shards of which it is the first.

    llama.cpp is given the first shard and finds the others by their names
    (src/llama.cpp, llama_split_path).

    Raises:
        LoadFailed: it is a later shard, or another one is missing.
    """
    found = _SHARD.fullmatch(path.name)
    if found is None:
        return [path]
    count = int(found["count"])
    paths = [
        path.with_name(f"{found['stem']}-{number:05}-of-{count:05}.gguf")
        for number in range(1, count + 1)
    ]
    if int(found["number"]) != 1:
        raise LoadFailed(f"{path.name} is a part of a model: name its first file, {paths[0].name}.")
    for each in paths:
        if not each.is_file():
            raise LoadFailed(f"{each.name}, a part of the model, is missing beside {path.name}.")
    return paths


@contextmanager
def _opened(path: Path) -> Generator[HeaderReader]:
    try:
        with path.open("rb") as file:
            yield HeaderReader(file, os.fstat(file.fileno()).st_size)
    except NotReadable as error:
        raise LoadFailed(f"{path.name} {error}.") from None
    except OSError as error:
        raise LoadFailed(f"{path.name} cannot be read: {error.strerror}.") from None
