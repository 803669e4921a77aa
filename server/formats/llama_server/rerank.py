"""Documents, ranked: a shape of Jina's that llama.cpp's server has too."""

from collections.abc import Iterable
from dataclasses import dataclass

from models.chat import Overflow, RerankRequest
from models.errors import InvalidRequest
from models.events import Event, Reranked
from models.reply import Reply
from server.answer import Asked, End
from server.contract import settle
from server.fields import Fields, Json
from server.formats.llama_server.contract import RERANKS
from server.framing import Chunk
from server.keep_alive import read_keep_alive
from server.sampling import read_limit


def parse(body: Json) -> Asked:
    """Raises InvalidRequest."""
    fields = Fields(body)
    model = fields.required_text("model")
    documents = _documents(fields)
    top = fields.integer("top_n", least=1)
    shown = documents if fields.flag("return_documents") else None
    request = RerankRequest(
        model=model,
        query=fields.required_text("query"),
        documents=documents,
        overflow=Overflow.TRUNCATE if fields.flag("truncate") else Overflow.REFUSE,
        context_length=read_limit(fields, "num_ctx") or read_limit(fields, "context_length"),
        keep_alive_seconds=read_keep_alive(fields),
    )
    return Asked(
        request=request,
        stream=False,
        encoder=Encoder(model, top or len(documents), shown),
        ignored=settle(fields, RERANKS[0]),
        deed="rerank",
    )


def _documents(fields: Fields) -> tuple[str, ...]:
    given = fields.array("documents")
    if given is None:
        raise fields.missing("documents")
    if not given:
        raise InvalidRequest('"documents" must not be empty.', field="documents")
    # A text stands for an object that has it.
    found = [{"text": each} if isinstance(each, str) else each for each in given]
    each_one = Fields({"documents": found}).objects("documents") or []
    return tuple(each.required_text("text") for each in each_one)


@dataclass(frozen=True, slots=True)
class Encoder:
    model: str
    top: int  # so many of the best
    documents: tuple[str, ...] | None  # None: they are not told again

    def encode(self, event: Event) -> Iterable[Chunk]:
        return ()

    def whole(self, reply: Reply, end: End) -> Json:
        assert isinstance(end, Reranked)
        ranked = sorted(enumerate(end.scores), key=lambda each: -each[1])
        return {
            "model": self.model,
            "object": "list",
            "results": [self._result(place, score) for place, score in ranked[: self.top]],
            "by": end.by,
            "usage": {"prompt_tokens": end.prompt_tokens, "total_tokens": end.prompt_tokens},
        }

    def _result(self, place: int, score: float) -> Json:
        result: Json = {"index": place, "relevance_score": score}
        if self.documents is not None:
            result["document"] = {"text": self.documents[place]}
        return result
