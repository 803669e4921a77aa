"""One installed model: what it is, where its files are, what it needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

from models.names import ModelName


class Kind(StrEnum):
    """What runs a model."""

    MLX = "mlx"  # a folder: config.json and safetensors
    LLAMA = "llama"  # a GGUF file


class KvType(StrEnum):
    """How the numbers of a KV cache are stored, in llama.cpp's words (ggml/src/ggml.c)."""

    F16 = "f16"
    Q8_0 = "q8_0"
    Q4_0 = "q4_0"


@dataclass(frozen=True, slots=True)
class Files:
    """Where a model lies. The names are those of files in ``folder``."""

    folder: Path
    main: str  # the (first) GGUF file; empty where an engine opens the folder as a whole
    projector: str = ""  # the GGUF file that turns images into embeddings

    @property
    def path(self) -> Path:
        """What an engine is told to open."""
        return self.folder / self.main


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """Facts that the files themselves tell, read when the model is added.

    A number that they do not tell is 0. An estimate of memory that is made of such a
    number is a guess, and whoever shows it should say so.
    """

    architecture: str  # "qwen3", "llama"
    parameter_count: int
    quantization: str  # "Q4_K_M", "F16", "4bit"
    context_length: int  # tokens the model was trained to read
    embedding_length: int  # width of the hidden state
    kv_bytes_per_token: int  # of a 16-bit KV cache, all layers that keep every token
    window_bytes_per_token: int = 0  # likewise, of those that keep the last ones alone
    window_tokens: int = 0  # so many
    state_bytes: int = 0  # of a sequence, at any length: what layers without a KV cache keep
    chat: bool  # completes, and has a chat template
    description: str = ""
    completes: bool = True  # goes on with a text; an embedding model does not
    # What makes one vector of many: "mean", "cls", "last", "max", and "rank" where that is one
    # number. "" in a model that completes.
    pooling: str = ""
    vision: bool = False  # has a part that reads images, in its files or beside them
    picture_bytes: int = 0  # that part needs so much to read one, beside its weights
    tools: bool = False  # its chat template knows tools
    thinking: bool = False  # its chat template knows reasoning
    thinking_switch: bool = False  # and can be asked to go without
    thinking_effort: bool = False  # and can be told how hard
    insert: bool = False  # its vocabulary has the tokens of fill-in-the-middle

    @property
    def goes_back(self) -> bool:
        """Whether what it has read can be cut anywhere: each layer keeps every token."""
        return not (self.window_bytes_per_token or self.state_bytes)


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter: weights that are added to a model's own, ``scale`` times."""

    path: Path  # absolute: a GGUF file, or the folder that mlx_lm has written
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a conversation that a model is made with."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How a model is wanted here. What is left out is as the model itself has it."""

    context_length: int | None = None  # tokens
    kv_type: KvType = KvType.F16
    # Numbers of ``SamplingParams`` by their names, within ``models.sampling_ranges``.
    sampling: Mapping[str, float] = field(default_factory=dict[str, float], hash=False)
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    template: str | None = None  # as it was given: in Go's words, or in Jinja's
    system: str | None = None
    messages: tuple[Said, ...] = ()  # which every conversation begins with
    keep_alive_seconds: float | None = None
    adapters: tuple[Adapter, ...] = ()
    drafts: str = ""  # a kind of look-up, or the name of a model: see ``models.drafts``
    license: tuple[str, ...] = ()

    @property
    def at_load(self) -> tuple[object, ...]:
        """What counts when the model is loaded: with another one it has to be loaded anew."""
        return self.context_length, self.kv_type, self.adapters, self.drafts


@dataclass(frozen=True, slots=True)
class NewAdapter:
    """An adapter in a folder of its own, which it is to keep."""

    folder: Path
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Making:
    """How a model that is being made is to be used; ``adapters`` are put behind the profile's."""

    profile: Profile
    adapters: tuple[NewAdapter, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    name: ModelName
    kind: Kind
    files: Files
    size_bytes: int
    digest: str  # 64 hex digits
    modified_at: datetime  # aware, UTC
    details: Details
    profile: Profile = Profile()
    builtin: bool = False  # ships with the program and cannot be removed

    @property
    def chats(self) -> bool:
        """Whether it has a template for conversations, of its own or from its profile."""
        return self.details.chat or (self.details.completes and self.profile.template is not None)

    @property
    def path(self) -> Path:
        """The GGUF file, or the MLX folder."""
        return self.files.path
