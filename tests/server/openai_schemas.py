"""What OpenAI and Open Responses publish, to hold our bodies and events against."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.conftest import TESTDATA

FOLDER = TESTDATA / "openapi"

needs_schemas = pytest.mark.skipif(
    not (FOLDER / "openai.json").is_file(),
    reason=f"No schemas at {FOLDER}: set INGLENOOK_TESTDATA to the test data",
)

# Open Responses says each kind of event by itself, and its names for thoughts are its own.
_OPEN_EVENTS = {
    "error": "ErrorStreamingEvent",
    "response.created": "ResponseCreatedStreamingEvent",
    "response.queued": "ResponseQueuedStreamingEvent",
    "response.in_progress": "ResponseInProgressStreamingEvent",
    "response.completed": "ResponseCompletedStreamingEvent",
    "response.incomplete": "ResponseIncompleteStreamingEvent",
    "response.failed": "ResponseFailedStreamingEvent",
    "response.output_item.added": "ResponseOutputItemAddedStreamingEvent",
    "response.output_item.done": "ResponseOutputItemDoneStreamingEvent",
    "response.content_part.added": "ResponseContentPartAddedStreamingEvent",
    "response.content_part.done": "ResponseContentPartDoneStreamingEvent",
    "response.output_text.delta": "ResponseOutputTextDeltaStreamingEvent",
    "response.output_text.done": "ResponseOutputTextDoneStreamingEvent",
    "response.reasoning_summary_part.added": "ResponseReasoningSummaryPartAddedStreamingEvent",
    "response.reasoning_summary_part.done": "ResponseReasoningSummaryPartDoneStreamingEvent",
    "response.reasoning_summary_text.delta": "ResponseReasoningSummaryDeltaStreamingEvent",
    "response.reasoning_summary_text.done": "ResponseReasoningSummaryDoneStreamingEvent",
    "response.function_call_arguments.delta": "ResponseFunctionCallArgumentsDeltaStreamingEvent",
    "response.function_call_arguments.done": "ResponseFunctionCallArgumentsDoneStreamingEvent",
}
_THOUGHTS = {"response.reasoning_text.delta", "response.reasoning_text.done"}


def faults(file: str, schema: str, value: Any) -> list[str]:
    """What is wrong with a value by one of the schemas of ``openai`` or ``open-responses``."""
    errors = _validator(FOLDER / f"{file}.json", schema).iter_errors(value)
    return [f"{error.json_path}: {error.message[:300]}" for error in errors]


def faults_of_response(body: Any, *, ours_alone: bool = False) -> list[str]:
    """``ours_alone``: it has items that Open Responses does not know."""
    found = faults("openai", "Response", _as_openai(body))
    return found if ours_alone else found + faults("open-responses", "ResponseResource", body)


def faults_of_event(event: Any, *, ours_alone: bool = False) -> list[str]:
    kind = event["type"]
    told = event | {"response": _as_openai(event["response"])} if "response" in event else event
    found = faults("openai", "ResponseStreamEvent", told)
    if ours_alone or kind in _THOUGHTS:
        return found
    return found + faults("open-responses", _OPEN_EVENTS[kind], event)


def _as_openai(body: Any) -> Any:
    """Leave out a ``usage`` that is not known yet: OpenAI's schema has no null for it, although
    its own examples do, and Open Responses wants it there."""
    return {name: value for name, value in body.items() if name != "usage" or value is not None}


@cache
def _validator(file: Path, schema: str) -> Draft202012Validator:
    document = json.loads(file.read_text(encoding="utf-8"))
    root = {"$ref": f"#/components/schemas/{schema}"}
    return Draft202012Validator(
        root | {"components": {"schemas": document["components"]["schemas"]}}
    )
