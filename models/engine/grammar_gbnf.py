"""Reads GBNF, the grammars of llama.cpp: its text to a tree for each rule.

The language: llama.cpp, grammars/README.md. Its tokens by name (``<think>``) need the model's
vocabulary, and are refused: by number, as ``<[5]>``, they are the same everywhere.
"""

import re
import sys
from dataclasses import dataclass
from typing import TypeAlias

from models.engine.grammar_limits import Limit
from models.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Terminal:
    lark: str  # a string or a regular expression


@dataclass(frozen=True, slots=True)
class SpecialToken:
    lark: str  # "<[5]>"


@dataclass(frozen=True, slots=True)
class Reference:
    name: str


@dataclass(frozen=True, slots=True)
class Sequence:
    parts: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Choice:
    branches: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Repeated:
    node: "Node"
    bounds: str  # "*", "+", "?", "{2,4}"


Node: TypeAlias = Terminal | SpecialToken | Reference | Sequence | Choice | Repeated


def read_gbnf(text: str) -> dict[str, Node]:
    """Return the rules by their names, in their order.

    Raises:
        InvalidRequest: it is no GBNF, or too large.
    """
    return _Reader(text).rules()


_NAME = re.compile(r"[A-Za-z0-9_-]+")
_REPETITION = re.compile(r"\{\s*(\d+)\s*(?:(,)\s*(\d*)\s*)?\}")
_TOKEN = re.compile(r"(!?)<\[(\d+)\]>")
_BLANK = re.compile(r"(?:[ \t]|#[^\n]*)*")
_BLANK_LINES = re.compile(r"(?:\s|#[^\n]*)*")
_ESCAPES = {"n": 10, "r": 13, "t": 9, "\\": 92, '"': 34, "[": 91, "]": 93, "-": 45, "^": 94}
_ANY = "/(?s:.)/"
_SURROGATES = range(0xD800, 0xE000)  # halves of characters in UTF-16
_WIDTHS = {"x": 2, "u": 4, "U": 8}


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def rules(self) -> dict[str, Node]:
        rules: dict[str, Node] = {}
        self._skip(_BLANK_LINES)
        while self._at < len(self._text):
            name = self._name()
            self._skip(_BLANK)
            if not self._take("::="):
                raise self._wrong("'::=' is missing")
            self._skip(_BLANK_LINES)
            rules[name] = self._choice()
            Limit.RULES.check(len(rules), "The grammar")
            if self._at < len(self._text) and self._peek() not in "\r\n":
                raise self._wrong(f"'{self._peek()}' is not expected")
            self._skip(_BLANK_LINES)
        return rules

    def _choice(self) -> Node:
        branches = [self._sequence()]
        while self._take("|"):
            self._skip(_BLANK_LINES)
            branches.append(self._sequence())
            Limit.ALTERNATIVES.check(len(branches), f"The grammar at line {self._line()}")
        return branches[0] if len(branches) == 1 else Choice(tuple(branches))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while (found := self._element()) is not None:
            self._blank()
            parts.append(self._repeated(found))
            self._blank()
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _element(self) -> Node | None:
        here = self._peek()
        if here == '"':
            return self._literal()
        if here == "[":
            return self._class()
        if here == "(":
            return self._group()
        if here == ".":
            self._at += 1
            return Terminal(_ANY)
        if found := _TOKEN.match(self._text, self._at):
            self._at = found.end()
            return SpecialToken(f"<[{'^' if found[1] else ''}{int(found[2])}]>")
        if here in ("<", "!"):
            raise self._wrong("a token must be named by its number, as in <[5]>")
        return Reference(self._name()) if _NAME.match(self._text, self._at) else None

    def _group(self) -> Node:
        self._at += 1
        self._depth += 1
        Limit.NESTING.check(self._depth, f"The grammar at line {self._line()}")
        self._skip(_BLANK_LINES)
        node = self._choice()
        if not self._take(")"):
            raise self._wrong("')' is missing")
        self._depth -= 1
        return node

    def _repeated(self, node: Node) -> Node:
        for _ in range(Limit.NESTING.value.most):
            if (here := self._peek()) and here in "*+?":
                self._at += 1
                node = Repeated(node, here)
            elif found := _REPETITION.match(self._text, self._at):
                self._at = found.end()
                least, most = found[1], found[3] if found[2] else found[1]
                for count in (least, most or "0"):
                    Limit.REPETITIONS.check(int(count[:9]), "The grammar")
                node = Repeated(node, f"{{{least},{most}}}")
            else:
                return node
            self._blank()
        raise self._wrong("one thing is repeated too often")

    def _literal(self) -> Node:
        self._at += 1
        codes: list[int] = []
        while not self._take('"'):
            codes.append(self._character())
        return Terminal('"' + "".join(map(_in_string, codes)) + '"')

    def _class(self) -> Node:
        self._at += 1
        inside = "^" if self._take("^") else ""
        while not self._take("]"):
            first = self._character()
            inside += _in_class(first)
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] != "]":
                self._at += 1
                last = self._character()
                if last < first:
                    raise self._wrong("a range ends before it begins")
                inside += f"-{_in_class(last)}"
        if not inside:
            raise self._wrong("a class has no characters")
        return Terminal(f"/[{inside}]/" if inside != "^" else _ANY)

    def _character(self) -> int:
        if self._at >= len(self._text) or self._peek() in "\r\n":
            raise self._wrong("it ends inside quotes or brackets")
        here = self._peek()
        self._at += 1
        if here != "\\":
            return ord(here)
        kind = self._peek()
        self._at += 1
        if kind in _ESCAPES and kind:
            return _ESCAPES[kind]
        digits = self._text[self._at : self._at + _WIDTHS.get(kind, 0)]
        if kind not in _WIDTHS or not re.fullmatch(f"[0-9a-fA-F]{{{_WIDTHS[kind]}}}", digits):
            raise self._wrong(f"the escape '\\{kind}' is not known")
        self._at += len(digits)
        code = int(digits, 16)
        if code > sys.maxunicode or code in _SURROGATES:
            raise self._wrong(f"there is no character {digits}")
        return code

    def _name(self) -> str:
        found = _NAME.match(self._text, self._at)
        if not found:
            raise self._wrong("the name of a rule is missing")
        self._at = found.end()
        return found[0]

    def _blank(self) -> None:
        """Between two parts: inside brackets a line may end, and outside it ends the rule."""
        self._skip(_BLANK_LINES if self._depth else _BLANK)

    def _skip(self, blank: re.Pattern[str]) -> None:
        found = blank.match(self._text, self._at)
        assert found, "it may be empty"
        self._at = found.end()

    def _take(self, wanted: str) -> bool:
        if self._text.startswith(wanted, self._at):
            self._at += len(wanted)
            return True
        return False

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1

    def _wrong(self, why: str) -> InvalidRequest:
        return InvalidRequest(f"The grammar cannot be read: line {self._line()}: {why}.")


def _in_string(code: int) -> str:
    return {34: '\\"', 92: "\\\\", 10: "\\n", 13: "\\r", 9: "\\t"}.get(code) or (
        chr(code) if chr(code).isprintable() else f"\\u{{{code:x}}}"
    )


def _in_class(code: int) -> str:
    return chr(code) if re.match("[A-Za-z0-9]", chr(code)) else f"\\x{{{code:x}}}"
