"""Engines that do all that is asked of them: for tests of what is asked."""

from collections.abc import Sequence

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
from tests.fakes import RecordedEngines


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
