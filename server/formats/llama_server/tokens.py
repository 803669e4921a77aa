"""Texts as tokens and back, and chats as prompts: what is asked, and the answers."""

from collections.abc import Callable
from typing import TypeAlias

from models.chat import GenerateRequest
from models.spelling import Spelled, Spelling
from server.contract import settle, without_row
from server.fields import Fields, Json
from server.formats.llama_server.contract import (
    APPLY_TEMPLATE,
    DETOKENIZE,
    TOKENIZE,
)

Question: TypeAlias = Callable[[Spelling], Json]
ReadChat: TypeAlias = Callable[[Json], tuple[GenerateRequest, tuple[str, ...]]]
"""Reads a chat in OpenAI's words: the request, and the fields that have no effect."""


def parse_tokenize(body: Json) -> tuple[Question, tuple[str, ...]]:
    """Raises InvalidRequest."""
    fields = _fields(body)
    content = fields.required_text("content")
    add_special = bool(fields.flag("add_special"))
    parse_special = fields.flag("parse_special") is not False
    with_pieces = bool(fields.flag("with_pieces"))

    def ask(spelling: Spelling) -> Json:
        tokens = spelling.tokens(content, add_special=add_special, parse_special=parse_special)
        return {"tokens": [_piece(each) if with_pieces else each.id for each in tokens]}

    return ask, settle(fields, TOKENIZE)


def parse_detokenize(body: Json) -> tuple[Question, tuple[str, ...]]:
    """Raises InvalidRequest."""
    fields = _fields(body)
    given = fields.array("tokens")
    if given is None:
        raise fields.missing("tokens")
    # Read as the fields of an object are, so that one that is no number is named.
    numbers = Fields({str(place): each for place, each in enumerate(given)}, "tokens")
    ids = [numbers.integer(str(place)) for place in range(len(given))]
    wrong = next((place for place, id in enumerate(ids) if id is None), None)
    if wrong is not None:
        raise numbers.missing(str(wrong))
    tokens = [id for id in ids if id is not None]
    return lambda spelling: {"content": spelling.text(tokens)}, settle(fields, DETOKENIZE)


def parse_template(body: Json, read_chat: ReadChat) -> tuple[Question, tuple[str, ...]]:
    """Raises InvalidRequest."""
    own = Fields({"add_generation_prompt": body.get("add_generation_prompt")})
    ask = own.flag("add_generation_prompt") is not False
    rest = {name: each for name, each in body.items() if name != "add_generation_prompt"}
    request, ignored = read_chat(rest)
    unknown = without_row(body, APPLY_TEMPLATE)  # some of which a chat would take
    names = tuple(dict.fromkeys([*ignored, *unknown]))
    return lambda spelling: {"prompt": spelling.prompt(request, ask=ask)}, names


def _fields(body: Json) -> Fields:
    fields = Fields(body)
    fields.text("model")
    return fields


def _piece(token: Spelled) -> Json:
    try:
        piece: str | list[int] = token.piece.decode()
    except UnicodeDecodeError:
        piece = list(token.piece)
    return {"id": token.id, "piece": piece}
