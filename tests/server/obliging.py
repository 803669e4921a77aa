"""A server that does all that is asked of it: for tests of what is asked."""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event as Stop

from models.chat import (
    EmbedRequest,
    GenerateRequest,
    LoadRequest,
    Origin,
    Request,
    RerankRequest,
    UnloadRequest,
)
from models.errors import ModelNotFound
from models.events import (
    Embedded,
    Event,
    Failed,
    Finished,
    FinishReason,
    Loaded,
    Reranked,
    Sink,
    Started,
    TextDelta,
    TokenLogprob,
    Unloaded,
    Usage,
)
from models.hub_progress import PullProgress
from models.model import Model
from models.spelling import Spelled
from models.store import Store
from server.app import create_app
from server.listener import ApiServer
from tests.conftest import REPOSITORY
from tests.fakes import RecordedEngines
from tests.server.conftest import HOST, Serving

_POCKET = next((REPOSITORY / "resources/pocket").rglob("pocket.gguf"))
# A model for whoever deletes one.
DOOMED = "doomed"
UNKNOWN = "nothere"
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


class AnySpelling:
    """A model whose tokens are bytes."""

    template = "{{ messages }}"

    def tokens(
        self, text: str, *, add_special: bool = False, parse_special: bool = True
    ) -> list[Spelled]:
        return [Spelled(byte, bytes([byte])) for byte in text.encode()]

    def text(self, ids: Sequence[int]) -> str:
        return "x" * len(ids)

    def prompt(self, request: GenerateRequest, *, ask: bool = True) -> str:
        return str(request.prompt)


class ObligingEngines(RecordedEngines):
    """They know every model but ``nothere``."""

    def submit(self, request: Request, sink: Sink, *, origin: Origin) -> int:
        known = request.model != UNKNOWN
        for event in _answer(request) if known else [Failed(ModelNotFound(UNKNOWN))]:
            sink(event)
        return 1

    def count_tokens(self, request: GenerateRequest) -> int:
        _check(request.model)
        return super().count_tokens(request)

    def spelling(self, model: str) -> AnySpelling:
        _check(model)
        return AnySpelling()


def _check(model: str) -> None:
    if model == UNKNOWN:
        raise ModelNotFound(model)


class _Hub:
    """Has every model."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def pull(
        self, name: str, on_progress: Callable[[PullProgress], None], cancelled: Stop
    ) -> Model:
        on_progress(PullProgress("success"))
        return self._store.import_path(_POCKET, name)


class ObligingServing(Serving):
    """It has the model ``scripted`` in a store of its own."""

    def __init__(self, home: Path, engines: RecordedEngines | None = None) -> None:
        self.store = Store(home, builtin=None)
        self.store.import_path(_POCKET, "scripted")
        self.revive()
        with self.store.blobs.upload(EMPTY_SHA256, 0) as upload:
            upload.finish()
        engines = engines or ObligingEngines()
        hub = _Hub(self.store)
        self._make_app = lambda: create_app(engines, self.store, host=HOST, hub=hub)
        self.server = ApiServer(self._make_app, HOST, [0])
        self.server.start()

    def revive(self) -> None:
        """Have the model again that is there to be deleted."""
        self.store.copy("scripted", DOOMED)


def _answer(request: Request) -> Sequence[Event]:
    match request:
        case EmbedRequest():
            return [Embedded(((0.6, 0.8),) * len(request.inputs), 1)]
        case RerankRequest():
            return [Reranked((0.5,) * len(request.documents), "embeddings", 1)]
        case LoadRequest():
            return [Loaded()]
        case UnloadRequest():
            return [Unloaded()]
        case GenerateRequest():
            odds = (TokenLogprob(1, b"a", -0.5),) if request.top_logprobs is not None else ()
            end = Finished(FinishReason.END_OF_TURN, Usage(1, 0, 1), (1, 2))
            return [Started(1), TextDelta("a", odds), end]
