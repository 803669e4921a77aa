"""A model's markdown, cut into blocks while it grows. No Qt here, and no HTML of the model's."""

import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

# TeX that markdown would otherwise eat the backslashes and underscores of. A dollar
# before a space, or closing before a digit, is money.
_MATHS = re.compile(
    r"\$\$.+?\$\$|\\\(.+?\\\)|\\\[.+?\\\]|\$(?![\s$])[^$\n]*?[^\s$\\]\$(?!\d)", re.DOTALL
)


_UNSETTLED = 2  # blocks at the end that more text may still change


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a list, a table…: what gets a widget of its own."""

    kind: Literal["text", "code", "rule"]
    content: str  # HTML that is safe to show; of code, the code itself
    language: str = ""  # of code
    indent: int = 0  # lists that it is in
    heading: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    """A top-level block of the markdown. A list with code in it makes several of ours."""

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
    parts: list[_Part] = []
    start = 0
    tokens = _markdown().parse(text)
    for index, token in enumerate(tokens):
        if token.level == 0 and token.nesting <= 0:
            whole = tokens[start : index + 1]
            start = index + 1
            line = whole[0].map[0] if whole[0].map else 0
            parts.append(_Part(line, _blocks(whole)))
    return parts


def _blocks(tokens: "Sequence[Token]") -> list[Block]:
    first = tokens[0]
    match first.type:
        case "fence" | "code_block":
            return [_code(first)]
        case "hr":
            return [Block("rule", "")]
        case "bullet_list_open" | "ordered_list_open" if _has_code(tokens):
            return _list_with_code(tokens)
        case _:
            return [_text(tokens)]


def _text(tokens: "Sequence[Token]") -> Block:
    markdown = _markdown()
    html = markdown.renderer.render(tokens, markdown.options, {})
    return Block("text", html, heading=tokens[0].type == "heading_open")


def _code(token: "Token", indent: int = 0) -> Block:
    words = token.info.split()
    return Block("code", token.content.rstrip("\n"), words[0] if words else "", indent)


# -- Code in lists ------------------------------------------------------------

# A step of a recipe often has a command in it, and that wants its Copy button. Code
# that lies deeper stays a part of its list.
_IN_ITEM = 2  # the level of what stands directly in an item of a top-level list


def _has_code(tokens: "Sequence[Token]") -> bool:
    return any(token.type == "fence" and token.level == _IN_ITEM for token in tokens)


def _list_with_code(tokens: "Sequence[Token]") -> list[Block]:
    """Cut a list wherever code stands in it; its numbers go on behind."""
    opening, closing = tokens[0], tokens[-1]
    number = int(opening.attrGet("start") or 1)
    blocks: list[Block] = []
    items: list[Token] = []  # of the list between two pieces of code
    first_number = number
    for item in _items(tokens[1:-1]):
        for index, run in enumerate(_runs(item[1:-1])):
            if run and run[0].type == "fence":
                blocks += _list_block(opening, closing, items, first_number)
                blocks.append(_code(run[0], indent=1))
                items, first_number = [], number + 1
            elif index == 0:
                items += [item[0], *run, item[-1]]
            elif run:  # what an item says after its code has no number
                content = _text(run).content
                blocks.append(Block("text", f'<ul type="none"><li>{content}</li></ul>'))
        number += 1
    return blocks + _list_block(opening, closing, items, first_number)


def _list_block(
    opening: "Token", closing: "Token", items: "list[Token]", first_number: int
) -> list[Block]:
    if not items:
        return []
    if opening.type == "ordered_list_open":
        opening = copy(opening)
        opening.attrs = {"start": first_number}
    return [_text([opening, *items, closing])]


def _items(tokens: "Sequence[Token]") -> "list[list[Token]]":
    """Cut what is in a list into its items, each from its opening to its closing."""
    items: list[list[Token]] = []
    for token in tokens:
        if token.type == "list_item_open" and token.level == 1:
            items.append([])
        items[-1].append(token)
    return items


def _runs(tokens: "Sequence[Token]") -> "list[list[Token]]":
    """Cut what is in an item into code, and what is before, between and behind."""
    runs: list[list[Token]] = [[]]
    for token in tokens:
        if token.type == "fence" and token.level == _IN_ITEM:
            runs += [[token], []]
        else:
            runs[-1].append(token)
    return runs


def _offset_of_line(text: str, line: int) -> int:
    offset = 0
    for _ in range(line):
        offset = text.index("\n", offset) + 1
    return offset


# -- The parser ---------------------------------------------------------------


@cache
def _markdown() -> "MarkdownIt":
    # 0.1 s, and nobody needs it before the first reply.
    from markdown_it import MarkdownIt  # noqa: PLC0415

    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    markdown.inline.ruler.before("escape", "maths", _maths_rule)
    for name, rule in _RULES.items():
        markdown.add_render_rule(name, rule)
    return markdown


def _maths_rule(state: "StateInline", silent: bool) -> bool:
    if state.src[state.pos] not in "$\\":
        return False
    found = _MATHS.match(state.src, state.pos)
    if found is None:
        return False
    if not silent:
        token = state.push("code_inline", "code", 0)
        token.content = found[0]
    state.pos = found.end()
    return True


def _image(_: Any, tokens: "Sequence[Token]", index: int, *_rest: Any) -> str:  # noqa: ANN401
    """A picture is named and never fetched: its address would learn who reads it."""
    token = tokens[index]
    return f'<a href="{escape(str(token.attrGet("src") or ""))}">[{escape(token.content)}]</a>'


def _fence(_: Any, tokens: "Sequence[Token]", index: int, *_rest: Any) -> str:  # noqa: ANN401
    return f"<pre>{escape(tokens[index].content.rstrip())}</pre>"


def _table_open(*_: Any) -> str:  # noqa: ANN401
    return '<table cellspacing="0" cellpadding="7" class="grid">'


def _cell(_: Any, tokens: "Sequence[Token]", index: int, *_rest: Any) -> str:  # noqa: ANN401
    """Qt forgets the style sheet's borders where a cell has a style of its own."""
    token = tokens[index]
    style = str(token.attrGet("style") or "")
    align = f' align="{style.removeprefix("text-align:")}"' if style else ""
    return f"<{token.tag}{align}>"


def _quote_open(*_: Any) -> str:  # noqa: ANN401
    return (
        '<table cellspacing="0" cellpadding="0" width="100%"><tr><td class="bar" width="3"></td>'
        '<td class="quote">'
    )


def _quote_close(*_: Any) -> str:  # noqa: ANN401
    return "</td></tr></table>"


_RULES = {
    "image": _image,
    "fence": _fence,
    "code_block": _fence,
    "table_open": _table_open,
    "th_open": _cell,
    "td_open": _cell,
    "blockquote_open": _quote_open,
    "blockquote_close": _quote_close,
}
