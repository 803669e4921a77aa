"""How a response is sent: named events, and what goes wrong in the middle as two of them."""

from dataclasses import replace

from models.errors import InferenceError
from server import framing
from server.fields import Json
from server.formats.openai_responses.encoder import Encoder
from server.framing import Chunk
from server.wires import OPENAI_RESPONSES, Wire

_SEVERAL = "several"


def wire_of(encoder: Encoder) -> Wire:
    """Return the wire of one answer, whose errors go on with the numbers of its events."""

    def error_body(error: InferenceError) -> Json:
        return {"type": _SEVERAL, "events": [*encoder.fail(error)]}

    return replace(OPENAI_RESPONSES, error_body=error_body, frame=_frame)


def _frame(chunk: Chunk) -> bytes:
    if isinstance(chunk, dict) and chunk["type"] == _SEVERAL:
        return b"".join(framing.event(each) for each in chunk["events"])
    return framing.event(chunk)
