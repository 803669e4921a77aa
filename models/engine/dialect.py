"""What a chat template wants to be given, read once from its syntax tree."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from jinja2 import nodes
from jinja2.meta import find_undeclared_variables

from models.errors import InvalidRequest

# What a request has other words for, or what is the model's.
_OURS = frozenset(
    {
        "messages",
        "tools",
        "functions",
        "add_generation_prompt",
        "bos_token",
        "eos_token",
        "image_token",
    }
)


@dataclass(frozen=True, slots=True)
class Dialect:
    variables: frozenset[str]  # that it reads
    takes_text: bool  # as the content of a message
    takes_parts: bool  # {"type": "text", "text": …} and {"type": "image"}, as its content
    # Of a tool call: else they are an object, which the template writes out itself.
    arguments_as_text: bool
    one_call: bool  # a message has at the most
    reads_calls: bool  # of a message
    role_of_results: str
    thoughts_as_parts: bool  # {"type": "thinking", "thinking": …}, in the content of a message
    calls_say_nothing: bool  # a message that calls tools and says nothing has no content at all
    changes_lists: bool  # those that it has made, and perhaps those that it is given

    def refuse_unknown(self, names: Iterable[str]) -> None:
        """Raises InvalidRequest where one of them says nothing to the template, or is ours."""
        for name in names:
            if name in _OURS or name not in self.variables:
                raise no_such_variable(name)


def no_such_variable(name: str) -> InvalidRequest:
    field = f"chat_template_kwargs.{name[:80]}"
    return InvalidRequest(
        f'"{field}" is no variable that the model\'s chat template takes.', field=field
    )


def dialect_of(tree: nodes.Template) -> Dialect:
    # They read a message's content by a name of its own, or as the parameter of a macro.
    contents = _Field(tree, "content")
    takes_parts = any(contents.has(loop.iter) for loop in tree.find_all(nodes.For))
    tests = [test for test in tree.find_all(nodes.Test) if test.name in ("string", "mapping")]
    takes_text = any(test.name == "string" and contents.has(test.node) for test in tests)
    arguments = _Field(tree, "arguments")
    as_object = [
        *(test.node for test in tests),
        *(loop.iter for loop in tree.find_all(nodes.For)),
        *(each.node for each in tree.find_all(nodes.Filter) if each.name in _OF_OBJECTS),
        *(each.node for each in tree.find_all(nodes.Call)),
    ]
    calls = _Field(tree, "tool_calls")
    takes_first = any(
        isinstance(each.arg, nodes.Const) and each.arg.value == 0 and calls.has(each.node)
        for each in tree.find_all(nodes.Getitem)
    )
    takes_all = any(calls.has(loop.iter) for loop in tree.find_all(nodes.For))
    words = set(_words(tree))
    return Dialect(
        frozenset(find_undeclared_variables(tree)),
        takes_text=takes_text or not takes_parts,
        takes_parts=takes_parts,
        arguments_as_text=any(map(arguments.is_it, _joined(tree)))
        and not any(map(arguments.has, as_object)),
        one_call=takes_first and not takes_all,
        reads_calls="tool_calls" in words,
        # Granite 3.0 has a word of its own.
        role_of_results="tool_response"
        if "tool" not in words and "tool_response" in words
        else "tool",
        thoughts_as_parts=takes_parts and any(map(_is_thought, tree.find_all(nodes.Compare))),
        calls_say_nothing=_asks_for_none(tree, contents),
        changes_lists=not _CHANGING.isdisjoint(words),
    )


_CHANGING = {"append", "pop"}


def _words(tree: nodes.Template) -> Iterator[str]:
    """What a template calls things by."""
    for attribute in tree.find_all(nodes.Getattr):
        yield attribute.attr
    for constant in tree.find_all(nodes.Const):
        if isinstance(constant.value, str):
            yield constant.value


def _asks_for_none(tree: nodes.Template, contents: "_Field") -> bool:
    """Whether something is done only for a message that has no content."""
    conditions = [side for each in tree.find_all(nodes.And) for side in (each.left, each.right)]
    return any(
        isinstance(each, nodes.Test) and each.name == "none" and contents.has(each.node)
        for each in conditions
    )


def _is_thought(test: nodes.Compare) -> bool:
    """Whether the type of a part is asked for, and that it is a thought."""
    asks = isinstance(test.expr, nodes.Getitem | nodes.Getattr)
    return asks and any(
        isinstance(each.expr, nodes.Const) and each.expr.value == "thinking" for each in test.ops
    )


_OF_OBJECTS = {"tojson", "items", "dictsort", "string"}


def _joined(tree: nodes.Template) -> Iterator[nodes.Node]:
    """What is put into the text as it stands."""
    for each in tree.find_all((nodes.Add, nodes.Concat, nodes.Output)):
        yield from each.iter_child_nodes()


class _Field:
    """One field of a message or a tool call, and the variables that hold it."""

    def __init__(self, tree: nodes.Template, name: str) -> None:
        self._name = name
        self._variables = {name}
        self._variables |= {
            each.target.name
            for each in tree.find_all(nodes.Assign)
            if isinstance(each.target, nodes.Name) and self.has(each.node)
        }

    def has(self, node: nodes.Node | None) -> bool:
        """Whether the node is the field, as it stands or filtered."""
        return any(self.is_it(each) for each in _down(node))

    def is_it(self, node: nodes.Node) -> bool:
        match node:
            case nodes.Getattr(attr=str(name)) | nodes.Name(name=str(name)):
                return name == self._name or (
                    isinstance(node, nodes.Name) and name in self._variables
                )
            case nodes.Getitem(arg=nodes.Const(value=value)):
                return value == self._name
            case _:
                return False


def _down(node: nodes.Node | None) -> Iterator[nodes.Node]:
    """The node, and what it is a filter, a method or a choice of."""
    while node is not None:
        yield node
        match node:
            case nodes.Filter():
                node = node.node
            case nodes.Getattr(attr="items"):
                node = node.node
            case nodes.Call():
                node = node.node
            case nodes.CondExpr():
                yield from _down(node.expr2)
                node = node.expr1
            case nodes.Or():
                node = node.left
            case _:
                return
