"""From events to bytes: whatever fails, the last frame says so."""

import json
from collections.abc import AsyncGenerator

from models.errors import InferenceError, ModelCrashed
from models.events import Event, Finished, FinishReason, TextDelta
from server.framing import ndjson, sse

END = Finished(FinishReason.END_OF_TURN)


def encode(event: Event):
    if isinstance(event, TextDelta):
        yield {"text": event.text}
    else:
        yield {"end": True}


def error_body(error: InferenceError):
    return {"error": str(error)}


async def events(*given: Event | Exception) -> AsyncGenerator[Event, None]:
    for each in given:
        if isinstance(each, Exception):
            raise each
        yield each


async def bytes_of(frames) -> bytes:
    return b"".join([frame async for frame in frames])


async def test_lines_end_where_the_stream_does():
    said = await bytes_of(ndjson(events(TextDelta("é"), END), encode, error_body))

    assert said == '{"text":"é"}\n{"end":true}\n'.encode()


async def test_server_sent_events_end_with_done():
    said = await bytes_of(sse(events(TextDelta("a"), END), encode, error_body))

    assert said == b'data: {"text":"a"}\n\ndata: {"end":true}\n\ndata: [DONE]\n\n'


async def test_an_error_in_the_middle_is_the_last_thing_said():
    broken = (TextDelta("a"), ModelCrashed("It died."))

    lines = await bytes_of(ndjson(events(*broken), encode, error_body))
    frames = await bytes_of(sse(events(*broken), encode, error_body))

    assert lines == b'{"text":"a"}\n{"error":"It died."}\n'
    assert frames == b'data: {"text":"a"}\n\ndata: {"error":"It died."}\n\ndata: [DONE]\n\n'


async def test_a_bug_in_the_middle_is_logged_and_told(caplog):
    said = await bytes_of(ndjson(events(TextDelta("a"), ZeroDivisionError()), encode, error_body))

    assert json.loads(said.splitlines()[-1])["error"].startswith("The request failed unexpectedly")
    assert caplog.records[0].exc_info


async def test_half_a_character_does_not_end_a_stream():
    said = await bytes_of(ndjson(events(TextDelta("\ud83d"), END), encode, error_body))

    assert said == b'{"text":"?"}\n{"end":true}\n'
