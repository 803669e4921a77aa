"""The markdown that models write: what they mean by it, and how much of it is drawn.

A chat is no document: a line stays a line, an address is a link without being made one,
``<br>`` breaks a line, TeX keeps its backslashes, and ``**`` works between letters that
know no spaces. HTML is shown as text.

A model may write anything, and the window has one thread. So what costs more than its
length has a bound, and beyond the bound a mark is an ordinary letter: nothing is left out.
"""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Any, TypeAlias

from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock, blockquote, lheading, list_block, paragraph, table
from markdown_it.rules_block.table import escapedSplit, getLine
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import emphasis, image, link, strikethrough
from markdown_it.token import Token

from app.chat.inline import bare_link, between_letters, closed_later, line_break, maths

_BlockRule: TypeAlias = Callable[[StateBlock, int, int, bool], bool]

_DEEPEST = 16  # levels of blocks in each other: a quote is one, a list is two
_MOST_QUOTE_MARKS = 6  # on one line; with more it is a conflict's end or a debugger's banner
_MOST_LINES = 200  # of one paragraph
_LONGEST = 5_000  # characters of one paragraph, heading or cell
_DEEPEST_INLINE = 20  # bold, italic and struck out in each other


def make_parser() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True})
    markdown.enable(["table", "strikethrough"])
    # What a definition defines has long been drawn when it comes. So it is text.
    markdown.disable("reference")
    _bound_blocks(markdown)
    inline = markdown.inline.ruler
    inline.after("text", "bare_link", bare_link)
    inline.before("escape", "maths", maths)
    inline.before("autolink", "line_break", line_break)
    inline.at("link", closed_later(link))
    inline.at("image", closed_later(image))
    inline.at("emphasis", between_letters(emphasis.tokenize))
    inline.at("strikethrough", between_letters(strikethrough.tokenize))
    for name, rule in _RENDERERS.items():
        markdown.add_render_rule(name, rule)
    return markdown


# -- Blocks, and their bounds ---------------------------------------------------


def _bound_blocks(markdown: MarkdownIt) -> None:
    blocks = markdown.block.ruler
    # ``alt`` is what a rule may interrupt: that of the rules in whose places these stand.
    of_table: RuleOptionsType = {"alt": ["paragraph"]}
    of_quote: RuleOptionsType = {"alt": ["paragraph", "blockquote", "list"]}
    of_list: RuleOptionsType = {"alt": ["paragraph", "blockquote"]}
    blocks.at("table", _whole_table, of_table)
    blocks.at("blockquote", _shallow(_real_quote, levels=1), of_quote)
    blocks.at("list", _shallow(list_block, levels=2), of_list)
    blocks.at("lheading", _short(lheading))
    blocks.at("paragraph", _short(paragraph))
    markdown.core.ruler.after("block", "cut", _cut_long)
    markdown.core.ruler.push("flatten", _flatten)


def _shallow(rule: _BlockRule, *, levels: int) -> _BlockRule:
    """Keep the parser off its recursion limit, past which it leaves text out."""

    def bounded(state: StateBlock, start: int, end: int, silent: bool) -> bool:
        return state.level + levels <= _DEEPEST and rule(state, start, end, silent)

    return bounded


def _real_quote(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    line = getLine(state, start).replace(" ", "")
    marks = len(line) - len(line.lstrip(">"))
    return marks <= _MOST_QUOTE_MARKS and blockquote(state, start, end, silent)


def _short(rule: _BlockRule) -> _BlockRule:
    """Bound the lines of a paragraph, each of which every rule is tried on."""

    def bounded(state: StateBlock, start: int, end: int, silent: bool) -> bool:
        last, most = state.lineMax, start + _MOST_LINES  # a rule goes by one end or the other
        state.lineMax = min(last, most)
        found = rule(state, start, min(end, most), silent)
        state.lineMax = last
        return found

    return bounded


def _whole_table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Keep cells that a row has too many of: they are added to its last one."""
    before = len(state.tokens)
    if not table(state, start, end, silent):
        return False
    row: list[Token] = []  # what is in its cells
    line = start
    for token in state.tokens[before:]:
        match token.type:
            case "tr_open":
                row = []
                line = token.map[0] if token.map else start
            case "inline":
                row.append(token)
            case "tr_close":
                extra = _cells(getLine(state, line))[len(row) :]
                row[-1].content = " | ".join([row[-1].content, *extra])
            case _:
                pass
    return True


def _cells(line: str) -> list[str]:
    cells = escapedSplit(line.strip())
    if cells[0] == "":
        del cells[0]
    if cells and cells[-1] == "":
        del cells[-1]
    return [cell.strip() for cell in cells]


def _cut_long(state: StateCore) -> None:
    """Make several paragraphs of a long one; those after the first have no ``map``.

    What is long and no paragraph has no marks in it.
    """
    tokens: list[Token] = []
    for index, token in enumerate(state.tokens):
        if token.type != "inline" or len(token.content) <= _LONGEST:
            tokens.append(token)
        elif tokens[-1].type == "paragraph_open":
            opening, closing = tokens.pop(), state.tokens[index + 1]
            opening.hidden = closing.hidden = False
            for piece in _pieces(token.content):
                again = opening.copy(map=None) if tokens and tokens[-1] is closing else opening
                tokens += [again, token.copy(content=piece, children=[]), closing]
            tokens.pop()  # it comes by itself
        else:
            tokens.append(Token("text", "", 0, content=token.content, level=token.level))
    state.tokens = tokens


def _pieces(text: str) -> Iterator[str]:
    """Cut a text at the ends of lines, between words, or where it must be."""
    start = 0
    while len(text) - start > _LONGEST:
        end = start + _LONGEST
        for gap in "\n ":
            if (found := text.rfind(gap, start, end)) > start:
                end = found
                break
        yield text[start:end]
        start = end + (text[end] in "\n ")
    yield text[start:]


def _flatten(state: StateCore) -> None:
    """Qt takes minutes for thousands of bold words in each other. They stay as written."""
    for token in state.tokens:
        if any(child.level > _DEEPEST_INLINE for child in token.children or ()):
            token.children = [Token("text", "", 0, content=token.content)]


# -- Drawing, in the HTML that Qt's documents know ------------------------------


def _heading_open(_: Any, tokens: Sequence[Token], index: int, *_rest: Any) -> str:  # noqa: ANN401
    return f'<p class="{tokens[index].tag}">'


def _heading_close(*_: Any) -> str:  # noqa: ANN401
    return "</p>\n"


def _image(_: Any, tokens: Sequence[Token], index: int, *_rest: Any) -> str:  # noqa: ANN401
    """A picture is named and never fetched: its address would learn who reads it."""
    token = tokens[index]
    return f'<a href="{escape(str(token.attrGet("src") or ""))}">[{escape(token.content)}]</a>'


def _code(_: Any, tokens: Sequence[Token], index: int, *_rest: Any) -> str:  # noqa: ANN401
    return f"<pre>{escape(tokens[index].content.rstrip())}</pre>"


def _table_open(*_: Any) -> str:  # noqa: ANN401
    return '<table cellspacing="0" cellpadding="7" class="grid">'


def _cell(_: Any, tokens: Sequence[Token], index: int, *_rest: Any) -> str:  # noqa: ANN401
    """Qt forgets the style sheet's borders where a cell has a style of its own."""
    token = tokens[index]
    style = str(token.attrGet("style") or "")
    align = f' align="{style.removeprefix("text-align:")}"' if style else ""
    return f"<{token.tag}{align}>"


_RENDERERS = {
    "heading_open": _heading_open,
    "heading_close": _heading_close,
    "image": _image,
    "fence": _code,
    "code_block": _code,
    "table_open": _table_open,
    "th_open": _cell,
    "td_open": _cell,
}
