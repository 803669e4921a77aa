"""The tools of a response: functions, groups of functions, and tools that take plain text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from models.chat import Tool, ToolChoice
from models.errors import InvalidRequest
from server.fields import Fields, Json
from server.openai_fields import Mode, no_such_tool, read_mode
from server.text_tools import read_text_tool
from server.tools import read_function


@dataclass(frozen=True, slots=True)
class Named:
    """A tool as its client knows it; ``takes_text``: its argument is no JSON."""

    name: str
    namespace: str = ""
    takes_text: bool = False

    @property
    def full(self) -> str:
        """Its name for the model, which knows no groups."""
        return f"{self.namespace}.{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class Tools:
    """``told`` are those that the model has, as the response tells of them."""

    tools: tuple[Tool, ...]
    choice: ToolChoice
    named: Mapping[str, Named]  # by full name
    told: tuple[Json, ...]
    told_choice: str | Json


def read_tools(fields: Fields) -> Tools:
    """Read ``tools``, ``tool_choice`` and ``parallel_tool_calls``.

    Tools that run on OpenAI's computers are passed over, and named as ignored.

    Raises:
        InvalidRequest: a call is forced to what is not there.
    """
    tools: list[Tool] = []
    named: dict[str, Named] = {}
    told: list[Json] = []
    for each in fields.objects("tools") or ():
        several = list(_tool(each))
        for tool, name in several:
            if name.full in named:
                raise InvalidRequest(
                    f'"{each.name("name")}" {name.full[:80]!r} is there twice.', field="tools"
                )
            tools.append(tool)
            named[name.full] = name
        if several:
            told.append(_told(each))
    mode, names, told_choice = _choice(fields, named)
    if mode == "required" and not tools:
        raise InvalidRequest(
            '"tool_choice" requires a call, and there are no tools that can be called here.',
            field="tool_choice",
        )
    parallel = fields.flag("parallel_tool_calls") is not False
    return Tools(tuple(tools), ToolChoice(mode, names, parallel), named, tuple(told), told_choice)


def _tool(tool: Fields, namespace: str = "") -> Iterator[tuple[Tool, Named]]:
    match tool.required_text("type"):
        case "function":
            read = read_function(tool)
            name = Named(read.name, namespace)
            yield Tool(name.full, read.description, read.parameters, read.strict), name
        case "custom":
            name = Named(tool.required_text("name"), namespace, takes_text=True)
            yield read_text_tool(tool, name.full), name
        case "namespace" if not namespace:
            group = tool.required_text("name")
            tool.text("description")
            for each in tool.objects("tools") or ():
                yield from _tool(each, group)
        case _:
            tool.raw()
            tool.ignore("type")


def _told(tool: Fields) -> Json:
    """Return a tool as it was given, with what the schema of a response wants of it."""
    body = tool.given()
    if body["type"] == "function":
        return {"description": None, "strict": None, "parameters": None} | body
    return body


# -- Which of them may or must be called -------------------------------------------


def _choice(fields: Fields, named: Mapping[str, Named]) -> tuple[Mode, tuple[str, ...], str | Json]:
    value = fields.value("tool_choice")
    if value is None:
        return "auto", (), "auto"
    if isinstance(value, str):
        return read_mode(fields, "tool_choice"), (), value
    choice = fields.inner("tool_choice")
    assert choice is not None
    if choice.required_text("type") != "allowed_tools":
        return "required", (_chosen(choice, named),), choice.given()
    mode = read_mode(choice, "mode")
    allowed = choice.objects("tools") or ()
    names = tuple(_chosen(each, named) for each in allowed if _is_here(each))
    if not names:  # tools of OpenAI's alone, which may or must be called: here there is none
        if mode == "required":
            raise _not_here(choice)
        return "none", (), choice.given()
    return mode, names, choice.given()


def _is_here(choice: Fields) -> bool:
    if choice.required_text("type") in ("function", "custom"):
        return True
    choice.raw()
    choice.ignore("type")
    return False


def _chosen(choice: Fields, named: Mapping[str, Named]) -> str:
    """Return the full name of a tool that is chosen, by that or by its own if there is one."""
    if choice.required_text("type") not in ("function", "custom"):
        raise _not_here(choice)
    wanted = choice.required_text("name")
    group = choice.text("namespace")
    full = Named(wanted, group or "").full
    if full in named:
        return full
    found = [full for full, each in named.items() if each.name == wanted and not group]
    if len(found) != 1:
        raise no_such_tool(full)
    return found[0]


def _not_here(choice: Fields) -> InvalidRequest:
    kind = choice.text("type") or ""
    return InvalidRequest(
        f'"{choice.name("type")}" {kind[:40]!r} is not supported: that tool runs on its '
        "vendor's computers, and here only yours can be called.",
        field="tool_choice",
    )
