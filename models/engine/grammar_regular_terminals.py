"""The words of a Lark grammar, and its terminals as parts of a regular expression."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn
from unicodedata import category

from models.engine.grammar_limits import Limit
from models.errors import InvalidRequest

# As llguidance has them.
COMMON = {
    "DIGIT": "[0-9]",
    "HEXDIGIT": "[a-fA-F0-9]",
    "INT": "[0-9]+",
    "SIGNED_INT": r"[+\-]?[0-9]+",
    "DECIMAL": r"[0-9]+\.[0-9]*|\.[0-9]+",
    "_EXP": r"[eE][+\-]?[0-9]+",
    "FLOAT": r"(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+\-]?[0-9]+)?|[0-9]+[eE][+\-]?[0-9]+",
    "ESCAPED_STRING": r'"(?:[^"\\]|\\.)*"',
    "LCASE_LETTER": "[a-z]",
    "UCASE_LETTER": "[A-Z]",
    "LETTER": "[A-Za-z]",
    "WORD": "[A-Za-z]+",
    "CNAME": "[_A-Za-z][_A-Za-z0-9]*",
    "WS_INLINE": r"[ \t]+",
    "WS": r"[ \t\f\r\n]+",
    "CR": r"\r",
    "LF": r"\n",
    "NEWLINE": r"(?:\r?\n)+",
    "SH_COMMENT": r"#[^\n]*",
    "CPP_COMMENT": r"//[^\n]*",
    "C_COMMENT": r"/\*[^*]*\*+(?:[^/*][^*]*\*+)*/",
    "SQL_COMMENT": r"--[^\n]*",
}
COMMON["NUMBER"] = f"{COMMON['FLOAT']}|{COMMON['INT']}"
COMMON["SIGNED_FLOAT"] = rf"[+\-]?(?:{COMMON['FLOAT']})"
COMMON["SIGNED_NUMBER"] = rf"[+\-]?(?:{COMMON['NUMBER']})"

_TOKENS = re.compile(
    r"""
    (?P<space>[ \t\f\r]+|(?://|\#)[^\n]*)
    |(?P<line>\n)
    |(?P<text>"(?:\\.|[^"\\\n])*"i?)
    |(?P<regex>/(?:\\.|[^/\\\n])+/[imsu]*)
    |(?P<range>\.\.)
    |(?P<alias>->[ \t]*\w+)
    |(?P<repeat>~[ \t]*\d{1,6}(?:[ \t]*\.\.[ \t]*\d{1,6})?|\{\d{1,6}(?:,\d{0,6})?\}|\{,\d{1,6}\})
    |(?P<import>%import)
    |(?P<ignore>%ignore)
    |(?P<name>\w+)
    |(?P<sign>[|()\[\]?*+:!,.])
    """,
    re.VERBOSE,
)
_BOUNDS = re.compile(
    r"(?:~\s*|\{)(?:(?P<exact>\d+)|(?P<least>\d*)(?:\s*\.\.\s*|,)(?P<most>\d*))\}?"
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "b": "\b"}
_ESCAPED = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([ntrfb\"/\\])|(.))"
)
_META = re.compile(r"[\\.+*?()|\[\]{}^$#&\-~/]")
_LOOK_AROUND = re.compile(r"(?:\\.|[^\\])*?\(\?<?[=!]", re.DOTALL)
# Of what has these Python is no judge: Rust's own escapes, names, flags, and classes in classes.
_RUST_ALONE = re.compile(r"\\[pPz]|\\[xuU]\{|\(\?(<\w|[a-zA-Z\-]+\))|\[.*(\[|--|&&|~~|\|\|)")


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    line: int


def wrong(line: int, why: str) -> NoReturn:
    raise InvalidRequest(f"The grammar cannot be obeyed: line {line}: {why}.")


def tokens(text: str) -> Iterator[Token]:
    at, line = 0, 1
    while at < len(text):
        found = _TOKENS.match(text, at)
        if found is None:
            word = re.match(r"\S[\w|\[\]]{0,20}", text[at:])
            wrong(line, f"{word[0] if word else text[at]!r} is not known here")
        assert found.lastgroup
        if found.lastgroup != "space":
            yield Token(found.lastgroup, found[0], line)
        line += found[0].count("\n")
        at = found.end()
    yield Token("line", "\n", line)


def text_of(token: Token) -> str:
    """Return the text between quotes."""

    def character(found: re.Match[str]) -> str:
        if code := found[1] or found[2] or found[3]:
            if int(code, 16) <= sys.maxunicode and category(made := chr(int(code, 16))) != "Cs":
                return made
            wrong(token.line, f"{found[0]} is no character")
        if found[4]:
            return _ESCAPES.get(found[4], found[4])
        wrong(token.line, f"{found[0]} is not known in a text")

    return _ESCAPED.sub(character, token.text.removesuffix("i")[1:-1])


def literal(token: Token) -> str:
    return f"(?{'i' if token.text.endswith('i') else ''}:{escaped(text_of(token))})"


def escaped(text: str) -> str:
    return "".join(
        f"\\x{ord(each):02x}" if each < " " else _META.sub(r"\\\g<0>", each) for each in text
    )


def regex(token: Token) -> str:
    end = token.text.rindex("/")
    said, flags = token.text[1:end].replace("\\/", "/"), token.text[end + 1 :]
    if _LOOK_AROUND.match(said):
        wrong(token.line, f"/{said[:40]}/ looks around, which is not supported")
    if not _RUST_ALONE.search(said):
        try:
            re.compile(said)
        except (re.error, OverflowError, RecursionError) as error:
            wrong(token.line, f"/{said[:40]}/ is no regular expression: {error}")
    return f"(?{''.join(sorted({*flags}))}:{said})"


def bounds(token: Token) -> str:
    found = _BOUNDS.fullmatch(token.text)
    assert found
    exact = found["exact"]
    least, most = (exact, exact) if exact else (found["least"] or "0", found["most"] or "")
    Limit.REPETITIONS.check(int(most or least), f"Line {token.line}")
    if most and int(least) > int(most):
        wrong(token.line, f"{token.text} ends before it begins")
    return f"{{{least},{most}}}"
