"""The items that a client sends: a conversation for the model, and the same as it is kept."""

from collections.abc import Callable, Mapping
from typing import Any

from models.chat import Image, Message, Part, Reasoning, Role, Text, ToolCall, ToolResult
from models.errors import InvalidRequest
from server.content import refuse_unseen, with_detail
from server.fields import Fields, Json
from server.formats.openai_responses.ids import new_id
from server.formats.openai_responses.sealed import unseal
from server.formats.openai_responses.tools import Named
from server.images import read_image
from server.text_tools import text_call
from server.tools import read_function_call

_ROLES: Mapping[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}
_STATUSES = ("in_progress", "completed", "incomplete")
_TEXTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}
# What OpenAI's own tools did and said: no model here knows of them.
_PASSED_OVER = {
    *("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call"),
    *("computer_call", "computer_call_output", "local_shell_call", "local_shell_call_output"),
    *("shell_call", "shell_call_output", "apply_patch_call", "apply_patch_call_output"),
    *("mcp_list_tools", "mcp_approval_request", "mcp_approval_response", "mcp_call"),
    *("tool_search_call", "tool_search_output", "additional_tools", "compaction_trigger"),
    *("program", "program_output"),
}


class Conversation:
    """Reads items one after the other. A thought, what is said and the calls are one message."""

    def __init__(self, instructions: str | None = None) -> None:
        self._said: list[tuple[Role, list[Part]]] = []
        self._names: dict[str, str] = {}  # full name of the tool, by id of the call
        if instructions:
            self._said.append(("system", [Text(instructions)]))

    @property
    def messages(self) -> tuple[Message, ...]:
        return tuple(Message(role, tuple(parts)) for role, parts in self._said)

    def take(self, item: Fields) -> Json | None:
        """Read one item; return it as it is kept, None: it is passed over.

        Raises InvalidRequest.
        """
        kind = item.text("type") or "message"
        # A call that was cut off is none, and its arguments are no JSON.
        cut = kind == "function_call" and item.given().get("status") == "incomplete"
        if kind in _PASSED_OVER or cut:
            item.raw()
            item.ignore("type")
            return None
        readers: Mapping[str, Callable[[Fields], Json | None]] = {
            "message": self._message,
            "reasoning": self._reasoning,
            "function_call": self._function_call,
            "custom_tool_call": self._custom_call,
            "function_call_output": self._output,
            "custom_tool_call_output": self._output,
            "compaction": self._compaction,
        }
        if kind not in readers:
            name = item.name("type")
            known = ", ".join([*readers, "item_reference"])
            raise InvalidRequest(f'"{name}" must be one of {known}, not {kind[:40]!r}.', field=name)
        id = item.text("id")
        kept = readers[kind](item)
        if kept is None:
            return None
        said = item.text("status")
        status = said if said in _STATUSES else "completed"
        return {"id": id or new_id(_PREFIXES[kind]), "type": kind, "status": status} | kept

    def _message(self, item: Fields) -> Json:
        said = item.required_text("role")
        if said not in _ROLES:
            name = item.name("role")
            known = ", ".join(_ROLES)
            raise InvalidRequest(f'"{name}" must be one of {known}, not {said[:40]!r}.', field=name)
        phase = item.text("phase")
        written = said == "assistant"
        parts, kept = _content(item, "content", "output_text" if written else "input_text")
        if written:
            self._assistant(parts or [Text("")], begins=(Text, ToolCall))
        else:
            self._said.append((_ROLES[said], parts))
        return {"role": said, "content": kept} | ({"phase": phase} if phase else {})

    def _reasoning(self, item: Fields) -> Json:
        summary = _texts(item, "summary")
        content = _texts(item, "content")
        sealed = item.text("encrypted_content")
        # Ours is packed beside what it says; a thought of another's that is sealed is lost.
        thought = content or (unseal(sealed) if sealed else None) or summary
        if thought:
            self._assistant([Reasoning(thought)], begins=(Text, ToolCall))
        elif sealed:
            item.ignore("encrypted_content")
        kept: Json = {"summary": item.array("summary") or []}
        if content:
            kept["content"] = item.array("content")
        return kept | ({"encrypted_content": sealed} if sealed else {})

    def _function_call(self, item: Fields) -> Json:
        namespace = item.text("namespace") or ""
        call = read_function_call(item, id=item.required_text("call_id"))
        self._call(ToolCall(call.id, Named(call.name, namespace).full, call.arguments))
        named = {"namespace": namespace} if namespace else {}
        said = {"call_id": call.id, "name": call.name, "arguments": call.arguments}
        return said | named

    def _custom_call(self, item: Fields) -> Json:
        namespace = item.text("namespace") or ""
        id, name = item.required_text("call_id"), item.required_text("name")
        given = item.required_text("input")
        self._call(text_call(id, Named(name, namespace).full, given))
        return {"call_id": id, "name": name, "input": given} | (
            {"namespace": namespace} if namespace else {}
        )

    def _call(self, call: ToolCall) -> None:
        self._names[call.id] = call.name
        self._assistant([call], begins=())

    def _output(self, item: Fields) -> Json:
        id = item.required_text("call_id")
        name = item.text("name") or ""
        group = item.text("namespace") or ""
        parts, kept = _content(item, "output", "input_text")
        known = self._names.get(id) or (Named(name, group).full if name else "")
        shown = tuple(part for part in parts if isinstance(part, Text | Image))
        self._said.append(("tool", [ToolResult(id, shown, known)]))
        whole = item.value("output")
        return {"call_id": id, "output": whole if isinstance(whole, str) else kept}

    def _compaction(self, item: Fields) -> Json | None:
        sealed = item.required_text("encrypted_content")
        summary = unseal(sealed)
        if summary is None:
            name = item.name("encrypted_content")
            raise InvalidRequest(f'"{name}" is none of ours, or no longer whole.', field=name)
        self._assistant([Text(summary)], begins=(Text, ToolCall))
        return {"encrypted_content": sealed}

    def _assistant(self, parts: list[Part], *, begins: tuple[type[Part], ...]) -> None:
        """Add to what the model said last, or begin anew after parts of certain kinds."""
        if self._said and self._said[-1][0] == "assistant":
            last = self._said[-1][1]
            if not any(isinstance(part, begins) for part in last):
                last.extend(parts)
                return
        self._said.append(("assistant", parts))


_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "function_call_output": "fco",
    "custom_tool_call_output": "ctco",
    "compaction": "cmp",
}


def _content(item: Fields, field: str, kind: str) -> tuple[list[Part], list[Json]]:
    """Return content as parts, and as a list of parts as it is kept: ``kind`` are its texts."""
    value = item.value(field)
    if value is None:
        raise item.missing(field)
    if isinstance(value, str):
        return [Text(value)], [_kept_text(kind, value)]
    if not isinstance(value, list):
        raise item.wrong(field, "a string or a list of parts", value)
    read = [_part(each, kind) for each in item.objects(field) or ()]
    return [part for part, _ in read], [kept for _, kept in read]


def _part(part: Fields, text_kind: str) -> tuple[Part, Json]:
    kind = part.required_text("type")
    name = part.name("type")
    if kind in _TEXTS:
        text = part.required_text(_TEXTS[kind])
        # Of our own answers, told again.
        notes, odds = part.array("annotations"), part.array("logprobs")
        if kind == "refusal":
            return Text(text), {"type": "refusal", "refusal": text}
        return Text(text), _kept_text(text_kind, text, notes, odds)
    if kind == "input_image":
        address = part.text("image_url")
        if not address:
            raise InvalidRequest(
                f'"{part.name("image_url")}" is missing: files are not kept here.',
                field=part.name("image_url"),
            )
        kept = {"type": kind, "image_url": address, "detail": part.given().get("detail") or "auto"}
        return with_detail(read_image(address, part.name("image_url")), part), kept
    refuse_unseen(part, kind)
    raise InvalidRequest(
        f"\"{name}\" must be 'input_text', 'output_text' or 'input_image', not {kind[:40]!r}.",
        field=name,
    )


def _kept_text(
    kind: str, text: str, notes: list[Any] | None = None, odds: list[Any] | None = None
) -> Json:
    if kind != "output_text":
        return {"type": kind, "text": text}
    return {"type": kind, "text": text, "annotations": notes or [], "logprobs": odds or []}


def _texts(item: Fields, field: str) -> str:
    parts = item.objects(field) or ()
    for each in parts:
        each.text("type")
    return "\n\n".join(each.required_text("text") for each in parts)
