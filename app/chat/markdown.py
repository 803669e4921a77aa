"""A model's markdown, cut into blocks while it grows. No Qt here, and no HTML of the model's."""

import re
from collections.abc import Sequence
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
        parsed = _parse(tail)
        if len(parsed) > _UNSETTLED:
            keep = parsed[-_UNSETTLED][1]
            self._settled += [block for block, line in parsed if line < keep]
            self._settled_end += _offset_of_line(tail, keep)
            parsed = [each for each in parsed if each[1] >= keep]
        return self._settled + [block for block, _line in parsed]


def _parse(text: str) -> list[tuple[Block, int]]:
    """Return each top-level block, and the line it begins on."""
    markdown = _markdown()
    tokens = markdown.parse(text)
    blocks: list[tuple[Block, int]] = []
    start = 0
    for index, token in enumerate(tokens):
        if token.level == 0 and token.nesting <= 0:
            whole = tokens[start : index + 1]
            start = index + 1
            line = whole[0].map[0] if whole[0].map else 0
            blocks.append((_block(markdown, whole), line))
    return blocks


def _block(markdown: "MarkdownIt", tokens: "Sequence[Token]") -> Block:
    first = tokens[0]
    match first.type:
        case "fence" | "code_block":
            words = first.info.split()
            return Block("code", first.content.rstrip("\n"), words[0] if words else "")
        case "hr":
            return Block("rule", "")
        case _:
            return Block("text", markdown.renderer.render(tokens, markdown.options, {}))


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
    return '<table border="1" cellspacing="0" cellpadding="7" class="grid">'


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
    "blockquote_open": _quote_open,
    "blockquote_close": _quote_close,
}
