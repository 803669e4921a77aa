"""The events of a response that has ended: as they were, or where they were not kept, anew."""

from collections.abc import Iterator, Sequence

from models.records.responses import KeptResponse
from server.fields import Json

_ENDS = {"completed": "response.completed", "failed": "response.failed"}


def replay(kept: KeptResponse) -> Sequence[Json]:
    """Return events from the first to the last, each at the place of its number."""
    if kept.events:
        return kept.events
    return [
        {"type": each["type"], "sequence_number": number, **each}
        for number, each in enumerate(_told(kept.body))
    ]


def _told(body: Json) -> Iterator[Json]:
    nothing = list[Json]()
    begun = {
        **body,
        "status": "in_progress",
        "output": nothing,
        "usage": None,
        "completed_at": None,
    }
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(body["output"]):
        place = {"output_index": index}
        yield {"type": "response.output_item.added", "item": _begun(item), **place}
        for kind, said in _of_item(item):
            yield {"type": f"response.{kind}", "item_id": item["id"], **place, **said}
        yield {"type": "response.output_item.done", "item": item, **place}
    yield {"type": _ENDS.get(body["status"], "response.incomplete"), "response": body}


def _begun(item: Json) -> Json:
    """Return an item as it was before anything was said in it."""
    begun: Json = {"status": "in_progress"}
    for name in item.keys() & {"content", "summary"}:
        begun[name] = list[Json]()
    for name in item.keys() & {"arguments", "input"}:
        begun[name] = ""
    rest = {name: value for name, value in item.items() if name != "encrypted_content"}
    return rest | begun


def _of_item(item: Json) -> Iterator[tuple[str, Json]]:
    for part in item.get("summary", ()):
        where = {"summary_index": 0}
        yield "reasoning_summary_part.added", {"part": part | {"text": ""}, **where}
        yield "reasoning_summary_text.delta", {"delta": part["text"], **where}
        yield "reasoning_summary_text.done", {"text": part["text"], **where}
        yield "reasoning_summary_part.done", {"part": part, **where}
    for part in item.get("content", ()):
        where = {"content_index": 0}
        odds = {"logprobs": part["logprobs"]} if "logprobs" in part else {}
        yield "content_part.added", {"part": part | {"text": ""}, **where}
        yield f"{part['type']}.delta", {"delta": part["text"], **odds, **where}
        yield f"{part['type']}.done", {"text": part["text"], **odds, **where}
        yield "content_part.done", {"part": part, **where}
    if item["type"] == "function_call":
        said = item["arguments"]
        yield "function_call_arguments.delta", {"delta": said}
        yield "function_call_arguments.done", {"name": item["name"], "arguments": said}
    if item["type"] == "custom_tool_call":
        yield "custom_tool_call_input.delta", {"delta": item["input"]}
        yield "custom_tool_call_input.done", {"input": item["input"]}
