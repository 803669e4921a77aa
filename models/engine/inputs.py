"""From texts to the rows of tokens that an embedding model reads, cut to fit the context."""

from collections.abc import Iterable
from typing import TypeAlias

from models.chat import EmbedRequest, Overflow, RerankRequest
from models.engine.backend import EmbedWork
from models.engine.counted import TooLong, readable, tokens_within
from models.engine.tokenizer import Around, Tokenizer
from models.errors import ContextOverflow, InvalidRequest
from models.model import Details
from models.pooling import RANK, ROBERTA

_LIKELY_CHARACTERS = 8  # a token
_SHORT_CHARACTERS = 2048
# Of a text that is cut, the last tokens may be others than those of the whole: as many are
# read beyond what is kept. The longest word of WordPiece has 100 characters.
_SLACK_TOKENS = 100
_LARGEST_TOKEN = 2**31 - 1  # what the libraries hold one in

Ids: TypeAlias = tuple[int, ...]


class InputReader:
    """Makes rows for one model. Any thread may call it that may wait.

    ``context_length`` is how many tokens a row may have.
    """

    def __init__(self, tokenizer: Tokenizer, details: Details, context_length: int) -> None:
        self.tokenizer = _Foreseeing(tokenizer)
        self.details = details
        self.context_length = context_length

    def embed(self, request: EmbedRequest) -> EmbedWork:
        """Tokenise the inputs, and put the model's special tokens round each.

        Token ids are taken as they are, and get those that they lack.

        Raises:
            ContextOverflow: an input is too long, and the request does not want it cut.
            InvalidRequest: there is no input, or nothing in one, or too many dimensions.
            ModelCrashed: the tokenizer went with its process.
        """
        if not request.inputs:
            raise InvalidRequest("There is no text to embed.", field="input")
        width = self.details.embedding_length
        if request.dimensions is not None and not 0 < request.dimensions <= (width or 1 << 20):
            raise InvalidRequest(
                f"The vectors of this model have {width} dimensions: it cannot make them with "
                f"{request.dimensions}.",
                field="dimensions",
            )
        room = self._room(request)
        self.tokenizer.foresee(each for each in request.inputs if isinstance(each, str))
        several = len(request.inputs) > 1
        return EmbedWork(
            rows=tuple(
                self._row(
                    each, room, request.overflow, f"input {place}" if several else "the input"
                )
                for place, each in enumerate(request.inputs, 1)
            )
        )

    def rerank(self, request: RerankRequest) -> EmbedWork:
        """Make a row of each document: with the query in it where the model is a cross-encoder,
        else behind a row that is the query.

        Raises:
            ContextOverflow, InvalidRequest, ModelCrashed: as ``embed``.
        """
        if not request.documents:
            raise InvalidRequest("There is no document to rank.", field="documents")
        room, overflow = self._room(request), request.overflow
        self.tokenizer.foresee(request.documents)
        if self.details.pooling == RANK:
            return self._pairs(request, room)
        query = self._row(request.query, room, Overflow.REFUSE, "the query")
        documents = [
            self._row(each, room, overflow, f"document {place}")
            for place, each in enumerate(request.documents, 1)
        ]
        return EmbedWork(rows=(query, *documents))

    def _room(self, request: EmbedRequest | RerankRequest) -> int:
        return max(1, min(request.context_length or self.context_length, self.context_length))

    def _row(self, given: str | Ids, room: int, overflow: Overflow, what: str) -> Ids:
        before, after = self.tokenizer.around
        inner = max(0, room - len(before) - len(after))
        if isinstance(given, str):
            tokens = self._tokens(given, inner, room, overflow, what)
        else:
            tokens = _bare(given, before, after, what)
            if len(tokens) > inner and overflow is Overflow.REFUSE:
                total = len(tokens) + room - inner
                raise ContextOverflow(prompt_tokens=total, context_length=room, what=what)
        row = (*before, *tokens[:inner], *after)
        if not row:
            raise InvalidRequest(f"There is nothing in {what}.", field="input")
        return row

    def _tokens(self, text: str, most: int, room: int, overflow: Overflow, what: str) -> Ids:
        """Return no more tokens of a text than ``most``, without those round it."""
        if overflow is not Overflow.REFUSE:
            return tuple(beginning(self.tokenizer, text, most))
        try:
            return tuple(tokens_within(self.tokenizer, text, most))
        except TooLong as error:
            raise ContextOverflow(
                prompt_tokens=error.tokens + room - most,
                context_length=room,
                at_least=not error.exact,
                what=what,
            ) from None

    # -- Pairs for a cross-encoder ---------------------------------------------

    def _pairs(self, request: RerankRequest, room: int) -> EmbedWork:
        """[CLS] query [SEP] document [SEP], or as many of what the model has for these."""
        before, after = self.tokenizer.around
        # As many as RoBERTa has, and two between query and document.
        around = len(before) + 3 * len(after)
        query = self._tokens(request.query, room - around, room, Overflow.REFUSE, "the query")
        left = room - around - len(query)
        documents: list[str] = []
        rows: list[Ids] = []
        for place, text in enumerate(request.documents, 1):
            what = f"document {place}, with the query,"
            tokens = self._tokens(text, left, room, request.overflow, what)
            cut = text if request.overflow is Overflow.REFUSE else self._cut(text, left)
            documents.append(readable(cut))
            between = after * 2 if self.details.architecture in ROBERTA else after
            rows.append((*before, *query, *between, *tokens, *after))
        return EmbedWork(
            rows=tuple(rows), query=readable(request.query), documents=tuple(documents)
        )

    def _cut(self, text: str, most: int) -> str:
        """Return as much of a text as has ``most`` tokens, or a little less."""
        fits, too_long = 0, len(text) + 1
        if len(beginning(self.tokenizer, text, most + 1)) <= most:
            return text
        while too_long - fits > 1:
            middle = (fits + too_long) // 2
            if len(beginning(self.tokenizer, text[:middle], most + 1)) <= most:
                fits = middle
            else:
                too_long = middle
        return text[:fits]


class _Foreseeing:
    """A ``Tokenizer`` that has read short texts together before each is asked for."""

    def __init__(self, inner: Tokenizer) -> None:
        self._inner = inner
        self._read: dict[str, list[int]] = {}
        self.encode_each = inner.encode_each

    @property
    def longest_token_bytes(self) -> int:
        return self._inner.longest_token_bytes

    @property
    def cuts_cleanly(self) -> bool:
        return self._inner.cuts_cleanly

    @property
    def bos(self) -> int | None:
        return self._inner.bos

    @property
    def around(self) -> Around:
        return self._inner.around

    def foresee(self, texts: Iterable[str]) -> None:
        short = list({readable(each): None for each in texts if len(each) <= _SHORT_CHARACTERS})
        self._read = dict(zip(short, self._inner.encode_each(short), strict=True)) if short else {}

    def encode(self, text: str) -> list[int]:
        read = self._read.get(text)
        return self._inner.encode(text) if read is None else read


def beginning(tokenizer: Tokenizer, text: str, most: int) -> list[int]:
    """Return the first tokens of a text, ``most`` of them, reading little more than that."""
    text = readable(text)
    width = (most + _SLACK_TOKENS) * _LIKELY_CHARACTERS
    while True:
        tokens = tokenizer.encode(text[:width])
        if width >= len(text) or len(tokens) >= most + _SLACK_TOKENS:
            return tokens[:most]
        width *= 2


def _bare(tokens: Ids, before: Ids, after: Ids, what: str) -> Ids:
    """Return tokens without what is put round them, where they have it already."""
    if any(not 0 <= each <= _LARGEST_TOKEN for each in tokens):
        raise unknown_tokens(what)
    if before and tokens[: len(before)] == before:
        tokens = tokens[len(before) :]
    if after and tokens[-len(after) :] == after:
        tokens = tokens[: -len(after)]
    return tokens


def unknown_tokens(what: str = "the input") -> InvalidRequest:
    return InvalidRequest(
        f"There are token numbers in {what} that this model does not know: they may be another "
        "model's.",
        field="input",
    )
