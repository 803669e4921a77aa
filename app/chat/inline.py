"""What models write in a line: addresses, ``<br>``, TeX, and bold beside East Asian marks.

Rules for markdown-it: each looks at one place, and makes tokens where it knows what is there.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import TypeAlias

from markdown_it.rules_inline import StateInline

_Rule: TypeAlias = Callable[[StateInline, bool], bool]

# Letters and marks of East Asia, which end an address: no space does there.
_WIDE = (
    r"\u1100-\u11ff\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7ff"
    r"\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff"
)
_SCHEME = re.compile(r"(?<![A-Za-z0-9])https?$", re.IGNORECASE)
_HOST = r"(?=\w|\[[\da-fA-F:.]+\])"  # how one begins
_ADDRESS = re.compile(rf"://{_HOST}(?:(?![{_WIDE}])[\w\-.~:/?#\[\]@!$&'()+,;=%])+")
_BREAK = re.compile(r"</?br\s*/?>", re.IGNORECASE)
_TEX = {"$$": "$$", r"\(": r"\)", r"\[": r"\]"}  # where it begins, and ends
# A dollar before a space, or closing before a digit, is money.
_TEX_IN_LINE = re.compile(r"\$(?![\s$])[^$\n]*[^\s$\\]\$(?!\d)")


def bare_link(state: StateInline, silent: bool) -> bool:
    """Make a link of an ``http`` or ``https`` address that stands in the text."""
    pos = state.pos
    if state.src[pos] != ":" or silent or state.linkLevel > 0:
        return False
    scheme = _SCHEME.search(state.src, max(0, pos - 6), pos)
    found = _ADDRESS.match(state.src, pos)
    if scheme is None or found is None or not state.pending.endswith(scheme[0]):
        return False
    rest = _without_end_of_sentence(found[0])
    address = state.md.normalizeLink(scheme[0] + rest)
    if rest == "://" or not state.md.validateLink(address):
        return False
    state.pending = state.pending.removesuffix(scheme[0])
    state.push("link_open", "a", 1).attrs = {"href": address}
    state.push("text", "", 0).content = scheme[0] + rest
    state.push("link_close", "a", -1)
    state.pos += len(rest)
    return True


def _without_end_of_sentence(address: str) -> str:
    """Leave off what ends the sentence, and a bracket that opens before the address."""
    spare = {close: address.count(close) - address.count(open_) for open_, close in ("()", "[]")}
    end = len(address)
    while address[end - 1] in ".,:;!?'~_" or spare.get(address[end - 1], 0) > 0:
        end -= 1
        if address[end] in spare:
            spare[address[end]] -= 1
    return address[:end]


def closed_later(rule: _Rule) -> _Rule:
    """Spare a rule for ``[a](b)`` the brackets that no such link can begin at."""

    def checked(state: StateInline, silent: bool) -> bool:
        may_be = state.src[state.pos] in "[!" and state.src.find("](", state.pos) > 0
        return may_be and rule(state, silent)

    return checked


def line_break(state: StateInline, silent: bool) -> bool:
    found = _BREAK.match(state.src, state.pos) if state.src[state.pos] == "<" else None
    if found is None:
        return False
    if not silent:
        state.push("hardbreak", "br", 0)
    state.pos = found.end()
    return True


def maths(state: StateInline, silent: bool) -> bool:
    """Keep TeX as it stands: markdown would eat its backslashes and underscores."""
    if state.src[state.pos] not in "$\\":
        return False
    end = _end_of_maths(state.src, state.pos)
    if end < 0:
        return False
    if not silent:
        state.push("code_inline", "code", 0).content = state.src[state.pos : end]
    state.pos = end
    return True


def _end_of_maths(text: str, start: int) -> int:
    """Return where it ends; -1 where there is none."""
    opening = text[start : start + 2]
    if opening in _TEX:
        end = text.find(_TEX[opening], start + 3)  # something stands between
        return end + 2 if end >= 0 else -1
    found = _TEX_IN_LINE.match(text, start)
    return found.end() if found else -1


def between_letters(rule: _Rule) -> _Rule:
    """Let ``**`` and ``~~`` open and close beside the marks of scripts without spaces.

    CommonMark asks for a space, or a mark, outside of a mark such as "。" inside. Here, as
    in https://github.com/tats-u/markdown-cjk-friendly, a wide mark inside is as good as a
    letter, and a wide letter outside is as good as a mark.
    """

    def tokenize(state: StateInline, silent: bool) -> bool:
        start, before = state.pos, len(state.delimiters)
        if not rule(state, silent):
            return False
        if state.src[start] != "_":
            left = state.src[start - 1] if start > 0 else " "
            right = state.src[state.pos] if state.pos < state.posMax else " "
            if _is_wide(left) or _is_wide(right):
                for delimiter in state.delimiters[before:]:
                    delimiter.open = _may_stand(inside=right, outside=left)
                    delimiter.close = _may_stand(inside=left, outside=right)
        return True

    return tokenize


def _may_stand(*, inside: str, outside: str) -> bool:
    if inside.isspace():
        return False
    outside_is_no_letter = outside.isspace() or _is_mark(outside) or _is_wide(outside)
    return _is_wide(inside) or not _is_mark(inside) or outside_is_no_letter


def _is_wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in "WFH"


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter)[0] in "PS"
