"""A model's markdown, cut into blocks while it grows. No Qt here, and no HTML of the model's."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

Container: TypeAlias = Literal["list", "quote"]

_UNSETTLED = 2  # blocks at the end that more text may still change
_MOST_ITEMS = 100  # of a list in one block
# Laying out one block costs Qt more than its length: a table of this size takes it 0.5 s.
_LONGEST = 40_000  # characters of HTML
_STANDS_ALONE = ("fence", "code_block", "blockquote_open")  # in an item of a list
_NEWLINE = re.compile(r"\r\n?")


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a list, a table…: what gets a widget of its own."""

    kind: Literal["text", "code", "rule"]
    content: str  # HTML that is safe to show; of code, the code itself
    language: str = ""  # of code
    inside: tuple[Container, ...] = ()  # what it stands in, the outermost first
    heading: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    """A top-level block of the markdown. A quote, or a list with code, makes several of ours."""

    line: int  # that it begins on
    blocks: list[Block]


class Blocks:
    """The blocks of a text that grows.

    New text can change only the last blocks: a "1" below a list is a paragraph until
    its dot makes it one more item. So the last two are parsed again, and those before
    them never.
    """

    def __init__(self) -> None:
        self._text = ""
        self._settled: list[Block] = []
        self._settled_end = 0  # characters

    def of(self, text: str) -> list[Block]:
        """Return all blocks; quick where ``text`` goes on from the last time."""
        text = _NEWLINE.sub("\n", text)
        if not text.startswith(self._text):
            self._settled, self._settled_end = [], 0
        self._text = text
        tail = text[self._settled_end :]
        parts = _parse(tail)
        for part in parts[:-_UNSETTLED]:
            self._settled += part.blocks
        parts = parts[-_UNSETTLED:]
        if parts:
            self._settled_end += _offset_of_line(tail, parts[0].line)
        return self._settled + [block for part in parts for block in part.blocks]


def _parse(text: str) -> list[_Part]:
    lines = text.split("\n")
    parts: list[_Part] = []
    for tokens in _groups(_markdown().parse(text)):
        blocks = _blocks(tokens, lines, ())
        if tokens[0].map is None:  # a long paragraph goes on
            parts[-1].blocks.extend(blocks)
        else:
            parts.append(_Part(tokens[0].map[0], blocks))
    return parts


def _groups(tokens: "Sequence[Token]") -> "Iterator[Sequence[Token]]":
    """Cut tokens into those of one block each, as a list or a paragraph is one."""
    start = 0
    for index, token in enumerate(tokens):
        if token.level == tokens[0].level and token.nesting <= 0:
            yield tokens[start : index + 1]
            start = index + 1


def _blocks(
    tokens: "Sequence[Token]", lines: Sequence[str], inside: tuple[Container, ...]
) -> list[Block]:
    first = tokens[0]
    match first.type:
        case "fence" | "code_block":
            words = first.info.split()
            return [Block("code", first.content.rstrip("\n"), words[0] if words else "", inside)]
        case "hr":
            return [Block("rule", "", inside=inside)]
        case "blockquote_open":
            inside = (*inside, "quote")
            groups = _groups(tokens[1:-1])
            return [block for group in groups for block in _blocks(group, lines, inside)]
        case "bullet_list_open" | "ordered_list_open":
            return _list(tokens, lines, inside)
        case _:
            return [_text(tokens, lines, inside)]


def _text(tokens: "Sequence[Token]", lines: Sequence[str], inside: tuple[Container, ...]) -> Block:
    markdown = _markdown()
    html = markdown.renderer.render(tokens, markdown.options, {}).strip()
    if len(html) > _LONGEST:
        return Block("code", _source(tokens, lines), inside=inside)
    if inside:
        html = f'<div class="{inside[-1]}">{html}</div>'
    return Block("text", html, inside=inside, heading=tokens[0].type == "heading_open")


def _source(tokens: "Sequence[Token]", lines: Sequence[str]) -> str:
    """Return the lines that these tokens have been made of."""
    maps = [token.map for token in tokens if token.map]
    return "\n".join(lines[min(start for start, _ in maps) : max(end for _, end in maps)]).rstrip()


def _list(
    tokens: "Sequence[Token]", lines: Sequence[str], inside: tuple[Container, ...]
) -> list[Block]:
    """Cut a list where code or a quote stands in it, for code wants its Copy button.

    What lies deeper stays a part of it. The numbers go on behind.
    """
    opening, closing = tokens[0], tokens[-1]
    number = int(opening.attrGet("start") or 1)
    blocks: list[Block] = []
    items: list[Token] = []  # since the last cut
    items_from = number

    def cut() -> None:
        nonlocal items, items_from
        if items:
            again = opening.copy(map=None)
            if opening.type == "ordered_list_open":
                again.attrs = {"start": items_from}
            blocks.append(_text([again, *items, closing], lines, inside))
        items, items_from = [], number + 1

    for item in _groups(tokens[1:-1]):
        for index, run in enumerate(_runs(item[1:-1])):
            if run and run[0].type in _STANDS_ALONE:
                cut()
                blocks += _blocks(run, lines, (*inside, "list"))
            elif index == 0:
                items += [item[0], *run, item[-1]]
            elif run:  # what an item says after its code has no number
                blocks.append(_text(run, lines, (*inside, "list")))
        if number - items_from >= _MOST_ITEMS - 1:
            cut()
        number += 1
    cut()
    return blocks


def _runs(tokens: "Sequence[Token]") -> "list[list[Token]]":
    """Cut what is in an item into what stands alone, and what is before, between and behind."""
    runs: list[list[Token]] = [[]]
    for group in _groups(tokens):
        if group[0].type in _STANDS_ALONE:
            runs += [list(group), []]
        else:
            runs[-1] += group
    return runs


def _offset_of_line(text: str, line: int) -> int:
    offset = 0
    for _ in range(line):
        offset = text.index("\n", offset) + 1
    return offset


@cache
def _markdown() -> "MarkdownIt":
    # 0.1 s, and nobody needs it before the first reply.
    from app.chat.dialect import make_parser  # noqa: PLC0415

    return make_parser()
