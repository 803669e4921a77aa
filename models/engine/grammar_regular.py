"""A Lark grammar in which no rule leads back to itself, as one regular expression.

What a model says to a tool stands in a string of JSON, and llguidance's lexer looks no further
than one byte: in a string, where a line ends by two of them, rules and terminals one by one
would come to dead ends. One expression for the whole of it does not.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from models.engine.grammar_limits import Limit
from models.engine.grammar_regular_terminals import (
    COMMON,
    Token,
    bounds,
    escaped,
    literal,
    regex,
    text_of,
    tokens,
    wrong,
)

_MOST_INSIDE = 80  # rules in rules: a regular expression is read by recursion
_LONGEST = 64 << 10  # one rule, with all that it names
_IGNORED = "%ignore"  # the name of what may stand before every terminal


def lark_to_regex(text: str) -> str:
    """Return a regular expression of all that a grammar allows.

    Raises:
        InvalidRequest: it is none, or it cannot be one expression, with the place.
    """
    Limit.GRAMMAR_BYTES.check(len(text.encode(errors="replace")), "The grammar")
    return _Expressions(_Reader(text).rules()).whole()


@dataclass(frozen=True, slots=True)
class _Name:
    name: str
    line: int


@dataclass(slots=True)
class _Rule:
    line: int
    parts: "list[str | _Name]" = field(default_factory=list[str | _Name])


_Rules: TypeAlias = dict[str, _Rule]


# -- Reading -----------------------------------------------------------------------


class _Reader:
    """Reads the rules: their bodies are nearly regular expressions as they stand."""

    def __init__(self, text: str) -> None:
        self._tokens = [*tokens(text)]
        self._at = 0
        self._rules: _Rules = {}
        self._ignores = any(each.kind == "ignore" for each in self._tokens)

    def rules(self) -> _Rules:
        while self._at < len(self._tokens):
            token = self._next()
            if token.kind == "line":
                continue
            if token.kind == "import":
                self._import(token.line)
            elif token.kind == "ignore":
                self._ignore(token.line)
            else:
                self._rule(token)
        if "start" not in self._rules:
            wrong(1, "there is no rule 'start'")
        Limit.RULES.check(len(self._rules), "The grammar")
        return self._rules

    def _next(self) -> Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _comes(self, text: str) -> bool:
        """Take the next token if it is this one."""
        found = self._at < len(self._tokens) and self._tokens[self._at].text == text
        self._at += found
        return found

    def _add(self, name: str, line: int) -> _Rule:
        if name in self._rules:
            wrong(line, f"'{name}' is there twice")
        self._rules[name] = _Rule(line)
        return self._rules[name]

    def _import(self, line: int) -> None:
        said: list[Token] = []
        while (token := self._next()).kind != "line":
            said.append(token)
        words = "".join(f" {each.text} " if each.kind == "alias" else each.text for each in said)
        found = re.fullmatch(r"common(?:\.(\w+)(?: ->\s*(\w+) )?|\(([\w,]+)\))", words)
        if not found:
            wrong(line, "only what is in 'common' can be imported")
        for name in (found[3] or found[1]).split(","):
            if name not in COMMON:
                wrong(line, f"'{name}' is not in 'common'")
            self._add(found[2] or name, line).parts.append(f"(?:{COMMON[name]})")

    def _ignore(self, line: int) -> None:
        rule = self._rules.setdefault(_IGNORED, _Rule(line))
        if rule.parts:
            rule.parts.append("|")
        rule.parts += self._body(line, ignoring=False)

    def _rule(self, token: Token) -> None:
        while token.text in ("?", "!"):  # of its tree, which nobody builds
            token = self._next()
        if token.kind != "name" or not re.match(r"[A-Za-z_]", token.text):
            wrong(token.line, f"a rule or a terminal is to begin here, and not {token.text!r}")
        if self._comes("."):  # its priority, which is for who looks for one reading
            self._next()
        if not self._comes(":"):
            wrong(token.line, f"a colon is missing behind '{token.text}'")
        rule = self._add(token.text, token.line)
        terminal = token.text.isupper()
        rule.parts = self._body(token.line, ignoring=self._ignores and not terminal)

    def _body(self, line: int, *, ignoring: bool) -> "list[str | _Name]":
        body = _Body(ignoring=ignoring)
        while True:
            token = self._next()
            if token.kind == "line":
                if not body.is_open() and not self._goes_on():
                    return body.closed(line)
                if self._at == len(self._tokens):
                    return body.closed(line)
            elif token.kind == "text" and self._comes(".."):
                body.add_range(token, self._next())
            else:
                body.add(token)

    def _goes_on(self) -> bool:
        """Whether the next line that says something is of the same body."""
        at = self._at
        while at < len(self._tokens) and self._tokens[at].kind == "line":
            at += 1
        return at < len(self._tokens) and self._tokens[at].text == "|"


class _Body:
    """What stands behind a colon, token by token."""

    def __init__(self, *, ignoring: bool) -> None:
        self._parts: list[str | _Name] = []
        self._open: list[Token] = []
        self._before = [_Name(_IGNORED, 0)] if ignoring else list[_Name]()
        self._countable = False  # something that may be repeated has just ended

    def is_open(self) -> bool:
        return bool(self._open)

    def closed(self, line: int) -> "list[str | _Name]":
        if self._open:
            wrong(self._open[-1].line, f"{self._open[-1].text!r} is not closed")
        return self._parts

    def add(self, token: Token) -> None:
        match token.kind:
            case "text":
                self._terminal(literal(token), token.line)
            case "regex":
                self._terminal(regex(token), token.line)
            case "name" if token.text.isupper():
                self._terminal(_Name(token.text, token.line), token.line)
            case "name":
                self._parts.append(_Name(token.text, token.line))
                self._countable = True
            case "repeat":
                self._repeat(token, bounds(token))
            case "alias":
                self._countable = False
            case "sign":
                self._sign(token)
            case _:
                wrong(token.line, f"{token.text!r} cannot stand here")

    def add_range(self, first: Token, last: Token) -> None:
        ends = [text_of(each) for each in (first, last) if each.kind == "text"]
        if [len(each) for each in ends] != [1, 1] or ends[0] > ends[1]:
            wrong(first.line, f"{first.text}..{last.text} is no range of characters")
        self._terminal(f"[{escaped(ends[0])}-{escaped(ends[1])}]", first.line)

    def _terminal(self, part: str | _Name, line: int) -> None:
        self._parts += ["(?:", *self._before, part, ")"] if self._before else [part]
        self._countable = True

    def _sign(self, token: Token) -> None:
        match token.text:
            case "(" | "[":
                self._open.append(token)
                self._parts.append("(?:")
                self._countable = False
            case ")" | "]":
                if not self._open or self._open.pop().text != {")": "(", "]": "["}[token.text]:
                    wrong(token.line, f"{token.text!r} closes nothing")
                self._parts.append(")" if token.text == ")" else ")?")
                self._countable = token.text == ")"
            case "|":
                self._parts.append("|")
                self._countable = False
            case "?" | "*" | "+":
                self._repeat(token, token.text)
            case _:
                wrong(token.line, f"{token.text!r} cannot stand here")

    def _repeat(self, token: Token, bounds: str) -> None:
        if not self._countable:
            wrong(token.line, f"{token.text!r} repeats nothing")
        self._parts.append(bounds)
        self._countable = False


# -- Rules in rules ----------------------------------------------------------------


class _Expressions:
    def __init__(self, rules: _Rules) -> None:
        self._rules = rules
        self._made: dict[str, str] = {}

    def whole(self) -> str:
        made = self._of(_Name("start", 1), ())
        return made + self._of(_Name(_IGNORED, 0), ()) if _IGNORED in self._rules else made

    def _of(self, said: _Name, inside: Sequence[str]) -> str:
        name = said.name
        if name in self._made:
            return self._made[name]
        rule = self._rules.get(name)
        if rule is None:
            wrong(said.line, f"there is no '{name}'")
        if name in inside:
            wrong(
                rule.line,
                f"'{name}' leads back to itself, and what a model says to a tool is kept to "
                "grammars alone in which no rule does",
            )
        if len(inside) > _MOST_INSIDE:
            wrong(rule.line, f"'{name}' is more than {_MOST_INSIDE} rules deep")
        further = (*inside, name)
        found: list[str] = []
        size = 0
        for part in rule.parts:
            found.append(part if isinstance(part, str) else self._of(part, further))
            size += len(found[-1])
            if size > _LONGEST:
                wrong(rule.line, f"'{name}' is longer than {_LONGEST:,} characters in full")
        made = f"(?:{''.join(found)})" + ("*" if name == _IGNORED else "")
        self._made[name] = made
        return made
