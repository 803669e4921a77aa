"""What is asked of a model, in the one form the whole program shares.

Every API family and the chat window build these values; every engine reads
them. They are frozen, comparable, and know nothing of HTTP, Qt or the GPU.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]

# -- Messages: parts in their order ------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file that the records have. It is read when it is wanted, and not held in memory."""

    path: Path

    def read(self) -> bytes:
        """Raises OSError."""
        return self.path.read_bytes()


@dataclass(frozen=True, slots=True)
class Image:
    source: bytes | str | KeptFile  # the picture's file, or the address that it is fetched from
    detail: Literal["low"] | None = None  # of which little is to be seen, for fewer tokens
    name: str = ""  # of its file, for who cannot see it


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a model thought before it answered."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str  # "" where the wire has none
    name: str
    arguments: str  # a JSON object, as the model wrote it


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of a tool call."""

    call_id: str  # "" where the wire has none
    parts: "tuple[Text | Image, ...]"
    name: str = ""  # of the tool, where the wire tells it
    is_error: bool = False

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))


Part: TypeAlias = Text | Image | Reasoning | ToolCall | ToolResult
_P = TypeVar("_P", bound=Part)


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """What is said in it, without pictures, reasoning, tool calls and their results."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))


def system(text: str) -> Message:
    return Message("system", (Text(text),))


def user(text: str) -> Message:
    return Message("user", (Text(text),))


def assistant(text: str) -> Message:
    return Message("assistant", (Text(text),))


def without_images(message: Message) -> Message:
    """Return a message in which words stand where its pictures were."""

    def told(parts: "Iterable[_P]") -> "tuple[_P | Text, ...]":
        return tuple(_told(part) if isinstance(part, Image) else part for part in parts)

    parts = (
        replace(part, parts=told(part.parts)) if isinstance(part, ToolResult) else part
        for part in message.parts
    )
    return replace(message, parts=told(parts))


def _told(image: Image) -> Text:
    return Text(f"[a picture: {image.name}]" if image.name else "[a picture]")


# -- Tools, thinking, and what an answer must look like ----------------------------


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may ask for. ``parameters`` is a JSON Schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] | None = None
    strict: bool = False  # arguments must match the schema to the letter
    # What arguments are kept to, where a schema would tell the model too little, or too much.
    kept_to: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether tools must or may be called: by name only those in ``names``, if there are any."""

    mode: Literal["auto", "none", "required"] = "auto"
    names: tuple[str, ...] = ()
    parallel: bool = True  # several calls in one answer


Thinking: TypeAlias = bool | Literal["low", "medium", "high", "max"] | None
"""Whether, or how hard, the model is to think first; None: as its template has it."""


@dataclass(frozen=True, slots=True)
class JsonObject:
    """Any JSON object."""


@dataclass(frozen=True, slots=True)
class JsonSchema:
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Grammar:
    text: str
    notation: Literal["gbnf", "lark", "regex"]


Constraint: TypeAlias = JsonObject | JsonSchema | Grammar


# -- Requests ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How the next token is drawn from the logits.

    ``None`` leaves the choice to the model's own ``generation_config.json``, and
    where it has none, to ``models.engine.sampling.DEFAULTS``. The engine resolves
    it in one place, so no API family invents defaults.
    """

    temperature: float | None = None  # 0.0 is greedy
    top_p: float | None = None  # keep the smallest set with this much probability
    top_k: int | None = None  # keep this many tokens; 0 keeps all
    min_p: float | None = None  # drop tokens less likely than this share of the best
    typical_p: float | None = None
    seed: int | None = None  # None: a new one each time
    repeat_penalty: float | None = None  # 1.0 is none
    repeat_last_n: int | None = None  # tokens that the three penalties look back on
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: tuple[tuple[int | str, float], ...] = ()  # added to the logits of tokens
    xtc_probability: float | None = None  # how often all but the last likely token are dropped
    xtc_threshold: float | None = None  # what counts as likely there; above 0.5: never
    dry_multiplier: float | None = None  # 0.0: repeated runs of tokens cost nothing
    dry_base: float | None = None
    dry_allowed_length: int | None = None  # tokens that a run may have for nothing
    dry_penalty_last_n: int | None = None  # tokens that it looks back on; below 0: all
    dry_sequence_breakers: tuple[str, ...] | None = None  # texts that end a run
    ignore_eos: bool = False  # the end of a turn is never drawn


class Overflow(StrEnum):
    """What to do with a prompt that is longer than the context."""

    REFUSE = "refuse"  # ContextOverflow
    DROP = "drop"  # the oldest exchanges go, whole; ContextOverflow where the last is too long
    TRUNCATE = "truncate"  # likewise, and of what alone is too long the middle goes


@dataclass(frozen=True, slots=True)
class Snippet:
    """A file, or a piece of one, that lies beside the one whose gap is to be filled."""

    text: str
    filename: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRequest:
    """One generation: a prompt in, a stream of events out.

    A tuple of messages goes through the model's chat template; where the last one
    is the assistant's, its text is continued. A plain string is tokenised as it
    stands.
    """

    model: str
    prompt: tuple[Message, ...] | str
    preceding_tokens: tuple[int, ...] = ()  # put before the prompt: Ollama's ``context``
    suffix: str = ""  # what follows the completion: fill-in-the-middle
    snippets: tuple[Snippet, ...] = ()  # put before all that: the first ones go where it is much
    template: str | None = None  # in Jinja; None: the model's own chat template
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    thinking: Thinking = None
    thinking_budget: int | None = None  # tokens of a thought, which is then ended; None: any
    # More variables of the model's chat template, which it must know.
    template_variables: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)
    constraint: Constraint | None = None  # what the answer must look like
    sampling: SamplingParams = SamplingParams()
    max_tokens: int | None = None  # None: until end of turn or full context
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None  # None: none at all; 0: of the sampled token alone
    prompt_logprobs: bool = False  # of the prompt's tokens too: ``PromptRead``
    want_tokens: bool = False  # ``Finished.tokens``
    context_length: int | None = None  # tokens; None: what the model was loaded with
    overflow: Overflow = Overflow.REFUSE
    keep_alive_seconds: float | None = None  # None: the default; 0: unload; inf: keep


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedRequest:
    """Texts, or token ids, to vectors: ``Embedded``."""

    model: str
    inputs: tuple[str | tuple[int, ...], ...]  # not empty
    dimensions: int | None = None  # the first of each vector, made unit length again
    overflow: Overflow = Overflow.REFUSE  # TRUNCATE: an input is cut at its end
    context_length: int | None = None
    keep_alive_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankRequest:
    """How well each document answers a query: ``Reranked``. TRUNCATE: documents are cut."""

    model: str
    query: str
    documents: tuple[str, ...]  # not empty
    overflow: Overflow = Overflow.REFUSE
    context_length: int | None = None
    keep_alive_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """Load a model and generate nothing: ``Loaded`` when it is ready."""

    model: str
    context_length: int | None = None
    keep_alive_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnloadRequest:
    """Free a model: ``Unloaded`` when that is done, after its last generation.

    What is in memory is found by its name although its record may be gone. A model that
    is not in memory is ``Unloaded`` at once.
    """

    model: str


ModelRequest: TypeAlias = GenerateRequest | EmbedRequest | RerankRequest | LoadRequest
"""What brings its model into memory."""

Request: TypeAlias = ModelRequest | UnloadRequest


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asks."""

    door: Literal["window", "command", "api"]
    wire: str = ""  # of the API: "openai-chat", "ollama" …
    client: str = ""  # what it calls itself
