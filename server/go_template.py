"""The small part of Go's text/template in which Ollama's clients write prompts.

``{{ .System }}``, ``{{ .Prompt }}``, ``{{ .Response }}``, ``{{ if }}``, ``{{ else if }}``,
``{{ else }}``, ``{{ end }}``, comments, and ``-`` to trim white space. Anything else is
refused: https://pkg.go.dev/text/template
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from models.errors import InvalidRequest

VARIABLES = ("System", "Prompt", "Response")
_VARIABLE = re.compile(r"\.([A-Z]\w*)")
_TRIMS_LEFT = re.compile(r"^-\s")
_TRIMS_RIGHT = re.compile(r"\s-$")
_MOST_NESTED = 100


@dataclass(slots=True)
class _Value:
    variable: str


@dataclass(slots=True)
class _If:
    variable: str
    then: "list[_Node]" = field(default_factory=list["_Node"])
    otherwise: "list[_Node]" = field(default_factory=list["_Node"])


_Node: TypeAlias = str | _Value | _If


class _ReplyBegins(Exception):
    pass


def render(template: str, *, system: str, prompt: str) -> str:
    """Return the prompt text, up to where the model's reply goes.

    Raises:
        InvalidRequest: the template is broken, or uses more of Go than we know.
    """
    nodes = _Parser(template).nodes
    values = {"System": system, "Prompt": prompt}
    pieces: list[str] = []
    try:
        for piece in _rendered(nodes, values):
            pieces.append(piece)
    except _ReplyBegins:
        pass
    return "".join(pieces)


def _rendered(nodes: list[_Node], values: Mapping[str, str]) -> Iterator[str]:
    for node in nodes:
        match node:
            case str():
                yield node
            case _Value("Response") | _If("Response"):
                raise _ReplyBegins
            case _Value(variable):
                yield values[variable]
            case _If(variable, then, otherwise):
                yield from _rendered(then if values[variable] else otherwise, values)


class _Parser:
    """Reads a template in one pass, holding the blocks that are open."""

    def __init__(self, template: str) -> None:
        self.nodes: list[_Node] = []
        self._target = self.nodes  # what the next node is added to
        # Each open "if", the list around it, and whether it is an "else if": then the "end"
        # that closes it closes the one around it too.
        self._open: list[tuple[_If, list[_Node], bool]] = []
        self._read(template)

    def _read(self, template: str) -> None:
        position, trim = 0, False
        while (start := template.find("{{", position)) >= 0:
            end = template.find("}}", start)
            if end < 0:
                raise _broken("unclosed action")
            inside = template[start + 2 : end]
            self._text(template[position:start], trim, bool(_TRIMS_LEFT.match(inside)))
            trim = bool(_TRIMS_RIGHT.search(inside))
            self._action(_TRIMS_RIGHT.sub("", _TRIMS_LEFT.sub("", inside)).strip())
            position = end + 2
        self._text(template[position:], trim, False)
        if self._open:
            raise _broken("unexpected EOF")

    def _text(self, text: str, trim_left: bool, trim_right: bool) -> None:
        text = text.lstrip() if trim_left else text
        text = text.rstrip() if trim_right else text
        if text:
            self._target.append(text)

    def _action(self, inside: str) -> None:
        match inside.split():
            case [variable] if _VARIABLE.fullmatch(variable):
                self._target.append(_Value(_known(variable)))
            case ["if", variable]:
                self._begin(variable, chained=False)
            case ["else"]:
                self._otherwise()
            case ["else", "if", variable]:
                self._otherwise()
                self._begin(variable, chained=True)
            case ["end"]:
                self._end()
            case _ if inside.startswith("/*") and inside.endswith("*/"):
                pass
            case _:
                raise _unknown(inside)

    def _begin(self, variable: str, *, chained: bool) -> None:
        if len(self._open) >= _MOST_NESTED:
            raise _broken("too many blocks are open")
        block = _If(_known(variable))
        self._target.append(block)
        self._open.append((block, self._target, chained))
        self._target = block.then

    def _otherwise(self) -> None:
        if not self._open or self._target is self._open[-1][0].otherwise:
            raise _broken("unexpected {{else}}")
        self._target = self._open[-1][0].otherwise

    def _end(self) -> None:
        if not self._open:
            raise _broken("unexpected {{end}}")
        chained = True
        while chained:
            _, self._target, chained = self._open.pop()


def _known(variable: str) -> str:
    name = variable.removeprefix(".")
    if name not in VARIABLES or not variable.startswith("."):
        raise _unknown(variable)
    return name


def _broken(what: str) -> InvalidRequest:
    return InvalidRequest(f"template: :1: {what}", field="template")  # Go's words


def _unknown(action: str) -> InvalidRequest:
    known = ", ".join(f".{name}" for name in VARIABLES)
    return InvalidRequest(
        f'"template" has {{{{ {action[:40]} }}}}: only {known}, if, else and end are supported.',
        field="template",
    )
