"""Large bodies become objects in a process of their own: Python would stand still meanwhile.

docs/decisions/large-bodies.md has the figures.
"""

import logging
import marshal
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

from models.errors import EngineClosed, InferenceError, InvalidRequest
from models.worker import PYTHON, Command
from server import strict_json
from server.strict_json import LENGTH_BYTES, NotJson, Object

log = logging.getLogger(__name__)

_PROGRAM = Path(strict_json.__file__)
_MOST_SECONDS = 15.0  # for one body; 256 MB of text take two


class LargeBodies:
    """Reads one body after the other, in a child that starts with the first."""

    def __init__(self, command: Command = PYTHON) -> None:
        self._command = (*command, str(_PROGRAM))
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()  # of starting a child, against closing
        self._closed = False
        self.thread = ThreadPoolExecutor(1, "large-bodies")  # where ``parse`` is to be called

    def parse(self, chunks: Sequence[bytes]) -> Object:
        """Return the object that the chunks of a body are.

        Raises:
            NotJson: they are none.
            InvalidRequest: it takes too long to find out.
            InferenceError: the child has died.
        """
        child = self._living_child()
        late = threading.Event()
        clock = threading.Timer(_MOST_SECONDS, lambda: (late.set(), child.kill()))
        clock.start()
        try:
            return _exchange(child, chunks)
        except (OSError, EOFError):
            self._end()
            if late.is_set():
                sentence = "The request body takes too long to read: send less at once."
                raise InvalidRequest(sentence) from None
            log.error("The process that reads large bodies has died")
            raise InferenceError("The request body could not be read: send it again.") from None
        finally:
            clock.cancel()

    def close(self) -> None:
        """End the child. Whoever waits for it hears so. Harmless twice."""
        with self._lock:
            self._closed = True
            if self._child:
                self._child.kill()
        self.thread.shutdown()
        self._end()

    def _living_child(self) -> subprocess.Popen[bytes]:
        if self._child and self._child.poll() is None:
            return self._child
        self._end()
        with self._lock:
            if self._closed:
                raise EngineClosed("The local API has been switched off.")
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C in the terminal is meant for us alone
            )
            return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                assert pipe
                with suppress(OSError):  # what it has not read is still to be flushed
                    pipe.close()


def _exchange(child: subprocess.Popen[bytes], chunks: Sequence[bytes]) -> Object:
    assert child.stdin and child.stdout
    child.stdin.write(sum(map(len, chunks)).to_bytes(LENGTH_BYTES, "big"))
    for chunk in chunks:
        child.stdin.write(chunk)
    child.stdin.flush()
    said = cast("str | tuple[Object, int]", _read(child.stdout))
    if isinstance(said, str):
        raise NotJson(said)
    value, count = said
    return _with_long_texts(value, [_read_text(child.stdout) for _ in range(count)])


def _read_text(pipe: IO[bytes]) -> str:
    pieces: list[str] = []
    while piece := cast("str", _read(pipe)):
        pieces.append(piece)
    return "".join(pieces)


def _read(pipe: IO[bytes]) -> Any:  # noqa: ANN401 - what the child has marshalled
    length = pipe.read(LENGTH_BYTES)
    if len(length) < LENGTH_BYTES:
        raise EOFError
    return marshal.loads(pipe.read(int.from_bytes(length, "big")))


def _with_long_texts(value: Object, texts: list[str]) -> Object:
    for holder, place, each in strict_json.inside(value):
        if isinstance(each, tuple):
            [number] = cast("tuple[int]", each)
            holder[place] = texts[number]
    return value
