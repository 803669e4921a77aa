"""Stand-ins that behave like the real thing, only small."""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from models.chat import GenerateRequest, Origin, Request
from models.engine.backend import LoadPlan, Output, Prefilled, Token
from models.engine.state import Resident
from models.engine.template import ChatTemplate
from models.errors import InferenceError, ModelNotFound, NotAble
from models.events import Event, Failed, FinishReason, Sink
from models.model import Details, Kind, Model
from models.names import ModelName
from models.residency import Residency, Runner

TEMPLATE = ChatTemplate(
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


class ScriptedBackend:
    """A backend that says what it is told to, one piece a step; its tokens are bytes.

    With no pieces, or when they end in ``...``, it babbles on until it is stopped.
    ``loading_steps`` is how often ``ready`` says no. ``fail_step`` is raised by ``step``.
    """

    def __init__(self, *pieces: str, context_length: int = 256, loading_steps: int = 0) -> None:
        self._context_length = context_length
        self.closed = False
        self.running: dict[int, deque[str]] = {}
        self.prompts: list[bytes] = []
        self.left: dict[int, int] = {}  # tokens that each may still say
        self.fail_step: InferenceError | None = None
        self.fail_ready: InferenceError | None = None
        self.loading_steps = loading_steps
        self._new: list[int] = []
        self._pieces = pieces

    @property
    def context_length(self) -> int:
        return self._context_length

    @property
    def template(self) -> ChatTemplate | None:
        return TEMPLATE

    def ready(self) -> bool:
        if self.fail_ready:
            raise self.fail_ready
        self.loading_steps -= 1
        return self.loading_steps < 0

    def tokenize(self, text: str) -> list[int]:
        return list(text.encode())

    def insert(
        self, ticket: int, prompt: list[int], max_tokens: int, request: GenerateRequest
    ) -> None:
        self.prompts.append(bytes(prompt))
        self.running[ticket] = deque(self._pieces)
        self.left[ticket] = max_tokens
        self._new.append(ticket)

    def has_work(self) -> bool:
        return bool(self.running) or self.loading_steps >= 0 or self.fail_step is not None

    def step(self) -> list[Output]:
        if self.fail_step:
            raise self.fail_step
        prefilled: list[Output] = [Prefilled(ticket, 0) for ticket in self._new]
        self._new.clear()
        return prefilled + [self._next(ticket) for ticket in list(self.running)]

    def _next(self, ticket: int) -> Output:
        pieces = self.running[ticket]
        babbles = not pieces or pieces[0] == "..."
        piece = (". " if babbles else pieces.popleft()).encode()
        self.left[ticket] -= 1
        if not babbles and not pieces:
            del self.running[ticket]
            return Token(ticket, piece, (0,), FinishReason.END_OF_TURN)
        if self.left[ticket] == 0:
            del self.running[ticket]
            return Token(ticket, piece, (1,), FinishReason.MAX_TOKENS)
        return Token(ticket, piece, (1,))

    def remove(self, ticket: int) -> None:
        self.running.pop(ticket, None)

    def close(self) -> None:
        self.closed = True


def a_model(
    name: str = "scripted",
    *,
    kind: Kind = Kind.LLAMA,
    size_bytes: int = 1000,
    context_length: int = 256,
    kv_bytes_per_token: int = 8,
) -> Model:
    return Model(
        name=ModelName.parse(name),
        kind=kind,
        path=Path(f"{name}.gguf"),
        size_bytes=size_bytes,
        digest="0" * 64,
        modified_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        details=Details(
            architecture="scripted",
            parameter_count=1000,
            quantization="F16",
            context_length=context_length,
            embedding_length=8,
            kv_bytes_per_token=kv_bytes_per_token,
            chat=True,
        ),
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

    def open_backend(plan: LoadPlan, wake: Callable[[], None]) -> ScriptedBackend:
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

    def say(self, event: Event) -> None:
        """Send one more event to everyone who has asked."""
        for sink in self._sinks:
            sink(event)

    def cancel(self, ticket: int) -> None:
        self.cancelled.append(ticket)

    def residents(self) -> tuple[Resident, ...]:
        return ()

    @property
    def alive(self) -> bool:
        return True

    def count_tokens(self, request: GenerateRequest) -> int:
        return len(str(request.prompt))
