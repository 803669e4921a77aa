"""Reads what stands between the braces of Go's templates: values, fields, functions.

https://pkg.go.dev/text/template#hdr-Arguments
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from models.errors import InvalidRequest

_MOST_TOKENS = 400  # in one pair of braces: what is in them is read by recursion
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<text>"(?:[^"\\]|\\.)*"|`[^`]*`)
    |(?P<number>-?\d+(?:\.\d+)?)
    |(?P<field>\.[A-Za-z_]\w*)
    |(?P<variable>\$\w*)
    |(?P<word>[A-Za-z_]\w*)
    |(?P<mark>:=|=|,|\||\(|\)|\.)""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "'": "'"}
_KEYWORDS = frozenset(
    ("if", "else", "end", "range", "with", "break", "continue", "define", "template", "block")
)


# -- Expressions ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal:
    value: str | float | bool | None


@dataclass(frozen=True, slots=True)
class Variable:
    """``$name``; "$" is what the template was given, "." where it is just now."""

    name: str


@dataclass(frozen=True, slots=True)
class Field:
    of: "Expression"
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: "tuple[Expression, ...]"


Expression: TypeAlias = Literal | Variable | Field | Call


def broken(what: str, line: int = 1) -> InvalidRequest:
    return InvalidRequest(f"template: :{line}: {what}", field="template")  # Go's words


def unknown(action: str) -> InvalidRequest:
    return InvalidRequest(
        f'"template" has {{{{ {action[:60]} }}}}, which is not supported.', field="template"
    )


def inside(expression: Expression) -> Iterator[Expression]:
    yield expression
    match expression:
        case Field(of):
            yield from inside(of)
        case Call(_, arguments):
            for each in arguments:
                yield from inside(each)
        case _:
            pass


# -- Reading them -------------------------------------------------------------


class Tokens:
    """What is between the braces, read from left to right."""

    def __init__(self, between: str, line: int) -> None:
        self._between = between
        self._line = line
        self._tokens: list[tuple[str, str]] = []
        self._at = 0
        position = 0
        while position < len(between):
            found = _TOKEN.match(between, position)
            if found is None or found.lastgroup is None:
                raise unknown(between)
            self._tokens.append((found.lastgroup, found[0]))
            position = found.end()
            if len(self._tokens) > _MOST_TOKENS:
                raise unknown(between)

    def word(self) -> str | None:
        """Take a keyword, where the next is one."""
        self._skip_space()
        kind, text = self._peek()
        if kind == "word" and text in _KEYWORDS:
            self._at += 1
            return text
        return None

    def end(self) -> None:
        self._skip_space()
        if self._at < len(self._tokens):
            raise unknown(self._between)

    def assigned(self) -> tuple[str, bool] | None:
        """Take ``$a :=`` or ``$a =``; None where nothing is assigned, else whether it is new."""
        start = self._at
        self._skip_space()
        kind, name = self._take()
        self._skip_space()
        sign = self._take()
        if kind == "variable" and sign in (("mark", ":="), ("mark", "=")):
            return name, sign[1] == ":="
        self._at = start
        return None

    def declared(self) -> tuple[str, ...]:
        """Take ``$a, $b :=``; () where nothing is declared."""
        start = self._at
        names: list[str] = []
        while True:
            self._skip_space()
            kind, text = self._take()
            if kind != "variable":
                break
            names.append(text)
            self._skip_space()
            mark = self._take()
            if mark == ("mark", ":="):
                return tuple(names)
            if mark != ("mark", ","):
                break
        self._at = start
        return ()

    def pipeline(self) -> Expression:
        value = self._command(None)
        self._skip_space()
        while self._peek() == ("mark", "|"):
            self._at += 1
            value = self._command(value)
            self._skip_space()
        return value

    def _command(self, piped: Expression | None) -> Expression:
        """A function with its arguments, what is piped in last; or one value."""
        self._skip_space()
        kind, text = self._peek()
        if kind == "word" and text not in ("true", "false", "nil"):
            self._at += 1
            arguments: list[Expression] = []
            while self._skip_space() and self._is_operand():
                arguments.append(self._operand())
            if piped is not None:
                arguments.append(piped)
            return Call(text, tuple(arguments))
        if piped is not None or not self._is_operand():
            raise unknown(self._between)
        return self._operand()

    def _is_operand(self) -> bool:
        kind, text = self._peek()
        return kind in ("text", "number", "field", "variable", "word") or text in ("(", ".")

    def _operand(self) -> Expression:
        kind, text = self._take()
        match kind, text:
            case "text", _:
                return Literal(text[1:-1] if text[0] == "`" else _unescaped(text[1:-1]))
            case "number", _:
                return Literal(float(text) if "." in text else int(text))
            case "word", ("true" | "false"):
                return Literal(text == "true")
            case "word", "nil":
                return Literal(None)
            case "word", _:
                return Call(text, ())
            case "mark", "(":
                value = self.pipeline()
                if self._take() != ("mark", ")"):
                    raise broken("unclosed left paren", self._line)
                return self._chain(value)
            case "field", _:
                return self._chain(Field(Variable("."), text[1:]))
            case _:
                return self._chain(Variable(text))

    def _chain(self, value: Expression) -> Expression:
        while self._peek()[0] == "field":
            value = Field(value, self._take()[1][1:])
        return value

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _take(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _skip_space(self) -> bool:
        if self._peek()[0] == "space":
            self._at += 1
        return True


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), text)
