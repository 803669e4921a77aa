"""Prompt templates as people give them, in Go's words or in Jinja's, to what an engine runs: Jinja.

Ollama gives a template the messages (``.Messages``), or, where it does not know them, one
exchange after another (``.System``, ``.Prompt``, ``.Response``), and ends the last where the
reply begins (ollama/ollama: template/template.go). Both are one Jinja program over messages.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from models.go_expression import Call, Expression, Field, Literal, Variable, unknown
from models.go_template import Assign, Block, Jump, Node, Show, parse, walk

_JINJA = re.compile(r"\{%|\{\{-?\s*(?:messages|bos_token|loop|[a-z_]+\[)")

# What a template is given: Go's name, and what it is in Jinja.
_ROOT = {
    "System": "go.system",
    "Prompt": "go.prompt",
    "Response": "go.response",
    "Messages": "messages",
    "Tools": "tools",
    "Suffix": "''",
    "Think": "(enable_thinking | default(false))",
    "ThinkLevel": "(reasoning_effort | default(''))",
    "IsThinkSet": "(enable_thinking is defined)",
}
_TEXTS = frozenset(("System", "Prompt", "Response", "Suffix", "ThinkLevel", "Role", "Content"))
# Of messages, tools and calls (api/types.go), as our templates know them.
_KEYS = {
    "Role": "role",
    "Content": "content",
    "Thinking": "thinking",
    "ToolCalls": "tool_calls",
    "ToolName": "name",
    "ToolCallID": "tool_call_id",
    "Images": "images",
    "ID": "id",
    "Type": "type",
    "Function": "function",
    "Index": "index",
    "Name": "name",
    "Description": "description",
    "Arguments": "arguments",
    "Parameters": "parameters",
    "Properties": "properties",
    "Required": "required",
    "Items": "items",
    "Enum": "enum",
}
_MAPPINGS = ("Arguments", "Properties")  # the others that are ranged over are lists
# Functions with so many arguments.
_FORMS = {
    ("eq", 2): "({} == {})",
    ("ne", 2): "({} != {})",
    ("lt", 2): "({} < {})",
    ("le", 2): "({} <= {})",
    ("gt", 2): "({} > {})",
    ("ge", 2): "({} >= {})",
    ("not", 1): "(not {})",
    ("len", 1): "({} | length)",
    ("slice", 2): "{}[{}:]",
    ("slice", 3): "{}[{}:{}]",
    ("json", 1): "({} | tojson(separators=(',', ':')))",
    ("currentDate", 0): "strftime_now('%Y-%m-%d')",
}

# Each exchange in turn: what comes before it is written out whole, the last up to its reply.
_EXCHANGES = (
    "{% set go = namespace(system='', prompt='', response='', ends=false) %}"
    "{% for message in messages %}"
    "{% if (go.response and message.role != 'assistant')"
    " or (go.prompt and message.role == 'system') %}"
    "<whole>{% set go.system = '' %}{% set go.prompt = '' %}{% set go.response = '' %}"
    "{% endif %}"
    "{% if message.role == 'system' %}{% set go.system = <joined>(go.system) %}"
    "{% elif message.role == 'assistant' %}{% set go.response = <joined>(go.response) %}"
    "{% else %}{% set go.prompt = <joined>(go.prompt) %}{% endif %}"
    "{% endfor %}"
)
_JOINED = re.compile(r"<joined>\((go\.\w+)\)")
_ALL_SYSTEM = (
    "{% set go = namespace(system='', prompt='', response='') %}"
    "{% for message in messages %}{% if message.role == 'system' %}"
    "{% set go.system = <joined>(go.system) %}{% endif %}{% endfor %}"
)


def is_jinja(template: str) -> bool:
    """Whether a template that was given is in Jinja's words already."""
    return _JINJA.search(template) is not None


@lru_cache(64)
def to_jinja(template: str) -> str:
    """Return the template as Jinja; one that is Jinja already as it stands.

    Raises:
        InvalidRequest: it is broken, or uses of Go's templates what is not known here.
    """
    if is_jinja(template):
        return template
    nodes = parse(template)
    names = {name for each in walk(nodes) if (name := _root_name(each))}
    if "Messages" in names:
        return _joining(_ALL_SYSTEM) + _Writer().write(nodes)
    if "Response" not in names:
        nodes = [*nodes, Show(Field(Variable("."), "Response"))]
    whole, begun = _Writer().write(nodes), _Writer(until_reply=True).write(nodes)
    return _joining(_EXCHANGES).replace("<whole>", whole) + begun


def _joining(text: str) -> str:
    return _JOINED.sub(r"((\1 ~ '\\n\\n' if \1 else '') ~ message.content)", text)


def _root_name(expression: Expression) -> str | None:
    match expression:
        case Field(Variable("." | "$"), name):
            return name
        case _:
            return None


@dataclass(frozen=True, slots=True)
class _Scope:
    """What "." and the variables stand for just now, in Jinja."""

    dot: str | None = None  # None: all that the template was given
    variables: tuple[tuple[str, str], ...] = ()

    def find(self, name: str) -> str | None:
        return next((each for known, each in reversed(self.variables) if known == name), None)


class _Writer:
    """Writes nodes as Jinja; ``until_reply``: what follows the reply is left out."""

    def __init__(self, *, until_reply: bool = False) -> None:
        self._until_reply = until_reply
        self._over = False
        self._names = 0

    def write(self, nodes: list[Node]) -> str:
        # What is assigned in a block holds outside of it too, unlike Jinja's own variables.
        return "{% set kept = namespace() %}" + "".join(self._nodes(nodes, _Scope()))

    def _nodes(self, nodes: list[Node], scope: _Scope) -> Iterator[str]:
        for node in nodes:
            if self._over:
                return
            match node:
                case str(text):
                    yield f"{{{{ {_quoted(text)} }}}}"
                case Show(value):
                    yield f"{{{{ {self._shown(value, scope)} }}}}"
                case Assign(variable, value, declares):
                    written = self._value(value, scope)
                    if declares:
                        scope = self._with(scope, variable, f"kept.{self._new()}")
                    target = scope.find(variable)
                    if target is None or not target.startswith("kept."):
                        raise unknown(f"{variable} = …")
                    yield f"{{% set {target} = {written} %}}"
                case Block():
                    yield from self._block(node, scope)
                case Jump(kind):
                    yield f"{{% {kind} %}}"

    def _block(self, block: Block, scope: _Scope) -> Iterator[str]:
        value = self._value(block.value, scope)
        if self._over:  # whether there is a reply: so it begins here
            return
        inner = scope
        if block.kind == "range":
            head, inner = self._loop(block, value, scope)
            yield head
        else:
            yield f"{{% if {value} %}}"
            if block.variables or block.kind == "with":
                name = self._new()
                yield f"{{% set {name} = {value} %}}"
                for variable in block.variables:
                    inner = self._with(inner, variable, name)
                if block.kind == "with":
                    inner = _Scope(name, inner.variables)
        yield from self._nodes(block.then, inner)
        if block.otherwise and not self._over:
            yield "{% else %}"
            yield from self._nodes(block.otherwise, scope)
        yield "{% endfor %}" if block.kind == "range" else "{% endif %}"

    def _loop(self, block: Block, value: str, scope: _Scope) -> tuple[str, _Scope]:
        element, index = self._new(), self._new()
        inner = _Scope(element, scope.variables)
        if block.variables:
            inner = self._with(inner, block.variables[-1], element)
        if len(block.variables) > 1:
            inner = self._with(inner, block.variables[0], index)
        if isinstance(block.value, Field) and block.value.name in _MAPPINGS:
            return f"{{% for {index}, {element} in ({value} or {{}}).items() %}}", inner
        counted = f"{{% set {index} = loop.index0 %}}" if len(block.variables) > 1 else ""
        return f"{{% for {element} in {value} or [] %}}{counted}", inner

    # -- Values ------------------------------------------------------------------

    def _shown(self, value: Expression, scope: _Scope) -> str:
        """As Go writes it out: texts and numbers as they are, all else as JSON."""
        written = self._value(value, scope)
        match value:
            case Field(_, name) if name in _TEXTS:
                return written
            case Literal(str()) | Call("json" | "currentDate" | "len"):
                return written
            case _:
                plain = f"{written} is string or {written} is none or {written} is undefined"
                shown = f"{written} | tojson(separators=(',', ':'))"
                return f"({written} or '') if {plain} else {shown}"

    def _value(self, value: Expression, scope: _Scope) -> str:
        match value:
            case Literal(str(text)):
                return _quoted(text)
            case Literal(None | bool() as plain):
                return str(plain).lower()
            case Literal(number):
                return repr(number)
            case Variable("." | "$"):
                if value.name == "$" or scope.dot is None:
                    raise unknown(value.name)
                return scope.dot
            case Variable(name):
                if (found := scope.find(name)) is None:
                    raise unknown(name)
                return found
            case Field(of, name):
                return self._field(of, name, scope)
            case Call(function, arguments):
                return self._call(function, [self._value(each, scope) for each in arguments])

    def _field(self, of: Expression, name: str, scope: _Scope) -> str:
        if of == Variable("$") or (of == Variable(".") and scope.dot is None):
            if name not in _ROOT:
                raise unknown(f".{name}")
            if name == "Response" and self._until_reply:
                self._over = True
            return _ROOT[name]
        if name not in _KEYS:
            raise unknown(f".{name}")
        return f"{self._value(of, scope)}['{_KEYS[name]}']"

    def _call(self, function: str, given: list[str]) -> str:
        form = _FORMS.get((function, len(given)))
        if form:
            return form.format(*given)
        match function, given:
            case "eq", [first, *others] if others:
                return "(" + " or ".join(f"{first} == {each}" for each in others) + ")"
            case (("and" | "or"), [_, *_]):
                return "(" + f" {function} ".join(given) + ")"
            case "index", [whole, *keys] if keys:
                return whole + "".join(f"[{each}]" for each in keys)
            case _:
                raise unknown(function)

    def _new(self) -> str:
        self._names += 1
        return f"go_{self._names}"

    @staticmethod
    def _with(scope: _Scope, variable: str, stands_for: str) -> _Scope:
        return _Scope(scope.dot, (*scope.variables, (variable, stands_for)))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return "'" + escaped.replace("\n", "\\n").replace("\r", "\\r") + "'"
