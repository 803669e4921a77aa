"""GBNF, the grammars of llama.cpp, to Lark as llguidance reads it.

A part without recursion becomes one terminal, which is a regular expression and means the
same in both. Where recursive rules meet, a terminal takes the longest text that it can, and
GBNF would try every length: what is written is a sentence of the GBNF all the same.
"""

from collections.abc import Iterator

from models.engine.grammar_gbnf import (
    Choice,
    Node,
    Reference,
    Repeated,
    Sequence,
    SpecialToken,
    Terminal,
    read_gbnf,
)
from models.errors import InvalidRequest


def gbnf_to_lark(text: str) -> str:
    """Return Lark whose ``start`` is the GBNF's ``root``.

    Raises:
        InvalidRequest: it is no GBNF, or too large.
    """
    rules = read_gbnf(text)
    if "root" not in rules:
        raise InvalidRequest("The grammar cannot be read: it has no rule 'root'.")
    return _Writer(rules).lark()


class _Writer:
    def __init__(self, rules: dict[str, Node]) -> None:
        self._rules = rules
        self._regular = _regular(rules)
        self._names = {
            name: f"T{place}" if name in self._regular else f"r{place}"
            for place, name in enumerate(rules)
        }
        self._anonymous: list[str] = []

    def lark(self) -> str:
        lines = ["start: " + self._names["root"]]
        for name in self._needed():
            node = self._rules[name]
            regular = name in self._regular
            lines.append(
                f"{self._names[name]}: {self._term(node) if regular else self._rule(node)}"
            )
        return "\n".join([*lines, *self._anonymous])

    def _needed(self) -> list[str]:
        """The rules that ``root`` uses, in the order they are met."""
        found = {"root": None}
        waiting = ["root"]
        while waiting:
            for name in _names_in(self._rules[waiting.pop()]):
                if name not in self._rules:
                    raise InvalidRequest(f"The grammar cannot be read: no rule is named '{name}'.")
                if name not in found:
                    found[name] = None
                    waiting.append(name)
        return list(found)

    def _is_regular(self, node: Node) -> bool:
        return not _has_token(node) and all(name in self._regular for name in _names_in(node))

    def _term(self, node: Node) -> str:
        """A part as it stands in a terminal."""
        match node:
            case Terminal(lark) | SpecialToken(lark):
                return lark
            case Reference(name):
                return self._names[name]
            case Sequence(parts):
                return "(" + " ".join(map(self._term, parts)) + ")" if parts else '""'
            case Choice(branches):
                return "(" + " | ".join(map(self._term, branches)) + ")"
            case Repeated(inner, bounds):
                return f"({self._term(inner)}){bounds}"

    def _rule(self, node: Node) -> str:
        """A part as it stands in a rule: what is regular of it becomes a terminal of its own."""
        if self._is_regular(node):
            return self._terminal(node)
        match node:
            case Sequence(parts):
                return "(" + " ".join(self._merged(parts)) + ")"
            case Choice(branches):
                return "(" + " | ".join(map(self._rule, branches)) + ")"
            case Repeated(inner, bounds):
                return f"({self._rule(inner)}){bounds}"
            case Reference(name):
                return self._names[name]
            case Terminal(lark) | SpecialToken(lark):
                return lark

    def _merged(self, parts: tuple[Node, ...]) -> Iterator[str]:
        run: list[Node] = []
        for part in (*parts, None):
            if part is not None and self._is_regular(part):
                run.append(part)
                continue
            if run:
                yield self._terminal(run[0] if len(run) == 1 else Sequence(tuple(run)))
                run = []
            if part is not None:
                yield self._rule(part)

    def _terminal(self, node: Node) -> str:
        if isinstance(node, Reference):
            return self._names[node.name]
        name = f"A{len(self._anonymous)}"
        self._anonymous.append(f"{name}: {self._term(node)}")
        return name


def _regular(rules: dict[str, Node]) -> set[str]:
    """The rules that need no other way than a regular expression: none leads to itself."""
    waits = {name: set(_names_in(node)) for name, node in rules.items() if not _has_token(node)}
    users: dict[str, list[str]] = {}
    for name, used in waits.items():
        for each in used:
            users.setdefault(each, []).append(name)
    found = [name for name, used in waits.items() if not used]
    for name in found:  # which grows
        for user in users.get(name, ()):
            waits[user].discard(name)
            if not waits[user]:
                found.append(user)
    return set(found)


def _names_in(node: Node) -> list[str]:
    return [each.name for each in _all(node) if isinstance(each, Reference)]


def _has_token(node: Node) -> bool:
    return any(isinstance(each, SpecialToken) for each in _all(node))


def _all(node: Node) -> Iterator[Node]:
    yield node
    match node:
        case Sequence(parts) | Choice(parts):
            for part in parts:
                yield from _all(part)
        case Repeated(inner, _):
            yield from _all(inner)
        case _:
            pass
