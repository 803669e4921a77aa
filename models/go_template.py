"""Reads Go's text/template, in which Ollama's models have their prompts written.

https://pkg.go.dev/text/template, without templates that are defined in one. What it means is
told in ``go_jinja.py``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from models.go_expression import Expression, Tokens, broken, inside, unknown

_TRIMS_LEFT = re.compile(r"^-\s")
_TRIMS_RIGHT = re.compile(r"\s-$")
_MOST_NESTED = 100


# -- Nodes ---------------------------------------------------------------------


@dataclass(slots=True)
class Show:
    value: Expression


@dataclass(slots=True)
class Assign:
    variable: str
    value: Expression
    declares: bool


@dataclass(slots=True)
class Block:
    """``if``, ``with`` or ``range``; ``variables`` are what it declares, the element last."""

    kind: str
    value: Expression
    variables: tuple[str, ...] = ()
    then: "list[Node]" = field(default_factory=list["Node"])
    otherwise: "list[Node]" = field(default_factory=list["Node"])


@dataclass(slots=True)
class Jump:
    kind: str  # break, continue


Node: TypeAlias = str | Show | Assign | Block | Jump


def parse(template: str) -> list[Node]:
    """Raises InvalidRequest where the template is broken, or uses what nobody else does."""
    return _Parser(template).nodes


def walk(nodes: list[Node]) -> Iterator[Expression]:
    """Every expression in the nodes, and those inside it."""
    for node in nodes:
        match node:
            case Show(value) | Assign(value=value):
                yield from inside(value)
            case Block(value=value, then=then, otherwise=otherwise):
                yield from inside(value)
                yield from walk(then)
                yield from walk(otherwise)
            case _:
                pass


class _Parser:
    """Reads a template in one pass, holding the blocks that are open."""

    def __init__(self, template: str) -> None:
        self.nodes: list[Node] = []
        self._target = self.nodes  # what the next node is added to
        # Each open block, the list around it, and whether it is an "else if": then the "end"
        # that closes it closes the one around it too.
        self._open: list[tuple[Block, list[Node], bool]] = []
        self._line = 1
        self._read(template)

    def _read(self, template: str) -> None:
        position, trim = 0, False
        while (start := template.find("{{", position)) >= 0:
            self._line += template.count("\n", position, start)
            end = template.find("}}", start)
            if end < 0:
                raise broken("unclosed action", self._line)
            inside = template[start + 2 : end]
            self._text(template[position:start], trim, bool(_TRIMS_LEFT.match(inside)))
            trim = bool(_TRIMS_RIGHT.search(inside))
            self._action(_TRIMS_RIGHT.sub("", _TRIMS_LEFT.sub("", inside)).strip())
            self._line += inside.count("\n")
            position = end + 2
        self._text(template[position:], trim, False)
        if self._open:
            raise broken("unexpected EOF", self._line)

    def _text(self, text: str, trim_left: bool, trim_right: bool) -> None:
        text = text.lstrip() if trim_left else text
        text = text.rstrip() if trim_right else text
        if text:
            self._target.append(text)

    def _action(self, action: str) -> None:
        if action.startswith("/*") and action.endswith("*/"):
            return
        tokens = Tokens(action, self._line)
        match tokens.word():
            case ("if" | "with" | "range") as kind:
                self._begin(kind, tokens)
            case "else":
                self._otherwise()
                if kind := tokens.word():
                    if kind not in ("if", "with"):
                        raise unknown(action)
                    self._begin(kind, tokens, chained=True)
            case "end":
                self._end()
            case ("break" | "continue") as kind:
                self._target.append(Jump(kind))
            case None:
                self._target.append(_statement(tokens))
            case _:
                raise unknown(action)
        tokens.end()

    def _begin(self, kind: str, tokens: "Tokens", *, chained: bool = False) -> None:
        if len(self._open) >= _MOST_NESTED:
            raise broken("too many blocks are open", self._line)
        variables = tokens.declared()
        if len(variables) > (2 if kind == "range" else 1):
            raise broken(f"too many declarations in {kind}", self._line)
        block = Block(kind, tokens.pipeline(), variables)
        self._target.append(block)
        self._open.append((block, self._target, chained))
        self._target = block.then

    def _otherwise(self) -> None:
        if not self._open or self._target is self._open[-1][0].otherwise:
            raise broken("unexpected {{else}}", self._line)
        self._target = self._open[-1][0].otherwise

    def _end(self) -> None:
        if not self._open:
            raise broken("unexpected {{end}}", self._line)
        chained = True
        while chained:
            _, self._target, chained = self._open.pop()


def _statement(tokens: Tokens) -> Node:
    if assigned := tokens.assigned():
        name, declares = assigned
        return Assign(name, tokens.pipeline(), declares)
    return Show(tokens.pipeline())
