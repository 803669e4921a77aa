"""An answer that is kept as it ends, and how it is sent when something goes wrong before."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from models.errors import InferenceError
from models.events import Event, Finished
from models.reply import Reply
from server import framing
from server.answer import End
from server.fields import Json
from server.formats.openai_responses.encoder import Encoder
from server.framing import Chunk
from server.wires import OPENAI_RESPONSES, Wire

_SEVERAL = "several"


class Keeping:
    """An encoder that hands the response to ``keep`` before its end is told."""

    def __init__(self, encoder: Encoder, keep: Callable[[Json], None]) -> None:
        self._encoder = encoder
        self._keep = keep

    def encode(self, event: Event) -> Iterable[Chunk]:
        chunks = self._encoder.encode(event)
        if isinstance(event, Finished):
            chunks = [*chunks]
            self._keep(self._encoder.response())
        return chunks

    def whole(self, reply: Reply, end: End) -> Json:
        body = self._encoder.whole(reply, end)
        self._keep(body)
        return body

    def beat(self) -> Chunk:
        return self._encoder.beat()

    def wire(self) -> Wire:
        """Return the wire of this answer, whose errors go on with the numbers of its events."""
        return replace(OPENAI_RESPONSES, error_body=self._fail, frame=_frame)

    def _fail(self, error: InferenceError) -> Json:
        events = [*self._encoder.fail(error)]
        self._keep(self._encoder.response())
        return {"type": _SEVERAL, "events": events}


def _frame(chunk: Chunk) -> bytes:
    if isinstance(chunk, dict) and chunk["type"] == _SEVERAL:
        return b"".join(framing.event(each) for each in chunk["events"])
    return framing.event(chunk)
