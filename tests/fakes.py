"""Stand-ins that behave like the real thing, only small."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from models.chat import GenerateRequest, Origin, Request
from models.engine.backend import (
    Admitted,
    Counters,
    Decoded,
    EmbedWork,
    LoadSpec,
    Output,
    Pooled,
    Prefilled,
    Work,
)
from models.engine.embedding import unit
from models.engine.house import Runner
from models.engine.prompt import Prompter
from models.engine.template import ChatTemplate
from models.engine.tokenizer import Tokenizer
from models.errors import InferenceError, ModelNotFound, NotAble
from models.events import Event, Failed, FinishReason, Sink
from models.health import Health
from models.images import Picture
from models.ledger import Need
from models.model import Details, Files, Kind, Model
from models.names import ModelName
from models.residency import Residency
from models.resident import Resident
from models.spelling import Spelling
from models.totals import Totals

A_TEST = Origin("command", client="a test")

TEMPLATE = ChatTemplate(
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)

THINKING_TEMPLATE = ChatTemplate(
    "{% for m in messages %}[{{ m.role }}]"
    "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
    "{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% if enable_thinking %}<think>{% endif %}{% endif %}"
)


class ByteTokenizer:
    """Each byte is a token. ``read`` are the texts that it has been given."""

    longest_token_bytes = 1
    cuts_cleanly = True
    around = ((1,), (2,))

    def __init__(self, bos: int | None = None) -> None:
        self.bos = bos
        self.read: list[str] = []

    def encode(self, text: str) -> list[int]:
        self.read.append(text)
        return list(text.encode())

    def encode_each(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(each) for each in texts]


class FakeSight:
    """A picture is as many tokens as it is wide, each of them 1."""

    marker = "<image>"

    def __init__(self, *, by_template: bool = True) -> None:
        self.by_template = by_template

    def tokens(
        self, pieces: Sequence[str], pictures: Sequence[Picture], tokenizer: Tokenizer
    ) -> list[int]:
        tokens = tokenizer.encode(pieces[0])
        for picture, piece in zip(pictures, pieces[1:], strict=True):
            tokens += [1] * picture.width + tokenizer.encode(piece)
        return tokens


class ScriptedBackend:
    """A backend that says what it is told to, one piece a step; its tokens are bytes.

    With no pieces, or when they end in ``...``, it babbles on until it is stopped.
    ``loading_steps`` is how often ``load`` says no. ``fail_step`` is raised by ``step``.
    ``hold`` keeps it from saying anything while it is set. The vector of a text is made of its
    length and the sum of its bytes, and there is one a step.
    """

    def __init__(
        self,
        *pieces: str,
        context_length: int = 256,
        loading_steps: int = 0,
        template: ChatTemplate = TEMPLATE,
    ) -> None:
        self.closed = False
        self.running: dict[int, deque[str]] = {}
        self.prompts: list[bytes] = []
        self.rows: dict[int, dict[int, tuple[int, ...]]] = {}  # left to embed
        self.left: dict[int, int] = {}  # tokens that each may still say
        self.fail_step: InferenceError | None = None
        self.fail_load: InferenceError | None = None
        self.loading_steps = loading_steps
        self.hold = False
        self.prompter = Prompter(template, ByteTokenizer(), context_length)
        self._new: list[int] = []
        self.pieces = pieces

    @property
    def loaded_bytes(self) -> int:
        return 0

    @property
    def counters(self) -> Counters:
        return Counters(waiting_sequences=len(self._new))

    def load(self) -> bool:
        if self.fail_load:
            raise self.fail_load
        self.loading_steps -= 1
        return self.loading_steps < 0

    def insert(self, works: Mapping[int, Work]) -> None:
        for ticket, work in works.items():
            self.prompts.append(bytes(work.tokens))
            self.running[ticket] = deque(self.pieces)
            self.left[ticket] = work.max_tokens
            self._new.append(ticket)

    def embed(self, ticket: int, work: EmbedWork) -> None:
        self.rows[ticket] = dict(enumerate(work.rows))

    def has_work(self) -> bool:
        busy = bool(self.running or self.rows) and not self.hold
        return busy or self.loading_steps >= 0 or self.fail_step is not None

    def step(self) -> list[Output]:
        if self.fail_step:
            raise self.fail_step
        outputs: list[Output] = self.admitted()
        outputs += [self._next(ticket) for ticket in list(self.running)]
        return outputs + [self._vector(ticket) for ticket in list(self.rows)]

    def admitted(self) -> list[Output]:
        """What is to be said of the sequences that are new."""
        outputs: list[Output] = []
        for ticket in self._new:
            outputs += [Admitted(ticket, len(self.prompts[-1])), Prefilled(ticket, 0)]
        self._new.clear()
        return outputs

    def _next(self, ticket: int) -> Output:
        pieces = self.running[ticket]
        babbles = not pieces or pieces[0] == "..."
        piece = (". " if babbles else pieces.popleft()).encode()
        self.left[ticket] -= 1
        finish = None
        if not babbles and not pieces:
            finish = FinishReason.END_OF_TURN
        elif self.left[ticket] == 0:
            finish = FinishReason.MAX_TOKENS
        if finish:
            del self.running[ticket]
        return Decoded(ticket, piece, (0 if finish is FinishReason.END_OF_TURN else 1,), finish)

    def _vector(self, ticket: int) -> Output:
        place, row = self.rows[ticket].popitem()
        if not self.rows[ticket]:
            del self.rows[ticket]
        return Pooled(ticket, {place: unit((float(len(row)), float(sum(row))))})

    def remove(self, ticket: int) -> None:
        self.running.pop(ticket, None)
        self.rows.pop(ticket, None)

    def close(self) -> None:
        self.closed = True


def a_model(
    name: str = "scripted",
    *,
    kind: Kind = Kind.LLAMA,
    size_bytes: int = 1000,
    quantization: str = "F16",
    context_length: int = 256,
    kv_bytes_per_token: int = 8,
) -> Model:
    return Model(
        name=ModelName.parse(name),
        kind=kind,
        files=Files(Path(), f"{name}.gguf"),
        size_bytes=size_bytes,
        digest=sha256(name.lower().encode()).hexdigest(),
        modified_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        details=Details(
            architecture="scripted",
            parameter_count=1000,
            quantization=quantization,
            context_length=context_length,
            embedding_length=8,
            kv_bytes_per_token=kv_bytes_per_token,
            chat=True,
        ),
    )


def a_spec(model: Model, *, context_length: int = 256, max_sequences: int = 1) -> LoadSpec:
    return LoadSpec(
        model=model,
        context_length=context_length,
        max_sequences=max_sequences,
        need=Need(weights_bytes=model.size_bytes, cache_bytes=0, working_bytes=0),
    )


def find_among(*models: Model) -> Callable[[str], Model]:
    """Finds the models by their names, as a store does."""

    def find(name: str) -> Model:
        for model in models:
            if model.name == ModelName.parse(name):
                return model
        raise ModelNotFound(name)

    return find


def scripted_residency(
    backend: ScriptedBackend, *models: Model, keep_alive_seconds: float = 300.0
) -> Residency:
    """A Residency whose every model (``scripted``, where none is given) is ``backend``."""

    def open_backend(spec: LoadSpec, wake: Callable[[], None]) -> ScriptedBackend:
        backend.closed = False
        return backend

    return Residency(
        find_among(*(models or (a_model(),))),
        {Kind.LLAMA: Runner(open_backend), Kind.MLX: Runner(open_backend)},
        keep_alive_seconds=keep_alive_seconds,
    )


class RecordedEngines:
    """Engines that answer every request with the same events, and with more when told to.

    A request that wants to think is refused where ``lacking`` says so.
    """

    def __init__(self, *events: Event, lacking: tuple[str, ...] = ()) -> None:
        self._events = events
        self._lacking = lacking
        self._sinks: list[Sink] = []
        self.requests: list[GenerateRequest] = []
        self.origins: list[Origin] = []
        self.cancelled: list[int] = []

    def submit(self, request: Request, sink: Sink, *, origin: Origin) -> int:
        assert isinstance(request, GenerateRequest)
        self.requests.append(request)
        self.origins.append(origin)
        self._sinks.append(sink)
        if self._lacking and request.thinking:
            sink(Failed(NotAble(request.model, self._lacking)))
        else:
            for event in self._events:
                sink(event)
        return len(self._sinks)

    def submit_group(
        self,
        request: GenerateRequest,
        seeds: Sequence[int | None],
        sinks: Sequence[Sink],
        *,
        origin: Origin,
    ) -> tuple[int, ...]:
        return tuple(
            self.submit(
                replace(request, sampling=replace(request.sampling, seed=seed)), sink, origin=origin
            )
            for seed, sink in zip(seeds, sinks, strict=True)
        )

    def say(self, event: Event) -> None:
        """Send one more event to everyone who has asked."""
        for sink in self._sinks:
            sink(event)

    def cancel(self, ticket: int) -> None:
        self.cancelled.append(ticket)

    def residents(self) -> tuple[Resident, ...]:
        return ()

    def health(self) -> Health:
        return Health()

    def count_tokens(self, request: GenerateRequest) -> int:
        return len(str(request.prompt))

    def spelling(self, model: str) -> Spelling:
        raise ModelNotFound(model)

    def totals(self) -> Totals:
        return Totals()
