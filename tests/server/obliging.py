"""Engines and a store that do all that is asked of them: for tests of what is asked."""

from collections.abc import Sequence
from pathlib import Path

from models.blobs import Blobs
from models.chat import (
    EmbedRequest,
    GenerateRequest,
    LoadRequest,
    Origin,
    Request,
    RerankRequest,
    UnloadRequest,
)
from models.events import (
    Embedded,
    Event,
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
from models.spelling import Spelled
from models.store import Store
from tests import adapters
from tests.fakes import RecordedEngines
from tests.models.test_store import gguf_file
from tests.server.lawful import AN_ADAPTER


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
    def submit(self, request: Request, sink: Sink, *, origin: Origin) -> int:
        for event in _answer(request):
            sink(event)
        return 1

    def spelling(self, model: str) -> AnySpelling:
        return AnySpelling()


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


class AnyBlobs(Blobs):
    """Whatever was sent is a model, or an adapter."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "blobs", folder)
        self._model = gguf_file(folder)
        self._adapter = adapters.write_gguf(folder / "adapter.gguf")

    def find(self, sha256: str) -> Path | None:
        return self._adapter if AN_ADAPTER.endswith(sha256) else self._model


class ObligingStore(Store):
    """Has a model that is called ``scripted``, and cannot be removed."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, builtin=None)
        home.mkdir()
        self.blobs = AnyBlobs(home)
        self.import_path(gguf_file(home, "scripted.gguf"), "scripted")

    def remove(self, name: str) -> None:
        self.find(name)
