"""Requests that ought to harm nobody but who sends them: what benchmarks/isolation.py sends."""

import itertools
import json
import signal
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias

import psutil

from benchmarks.clients import ask, post
from benchmarks.measure import JSON, Server

COMMAND_SECONDS = 20.0
STREAM_TOKENS = 1900
FIRST_PIECE = b'"response"'
_MESSAGE_BYTES = 64 << 20
_HISTORY_BYTES = 1 << 20
_HISTORY_MESSAGE_WORDS = 100
_LETTERS = 30_000
_WORDS = b"the weather of the day is fine and so we go on and on and "

_nonces = itertools.count(1)

Around: TypeAlias = Callable[[Server, str], AbstractContextManager[None]]
"""What is done before and after, with the server and the name of the model asked."""


@dataclass(frozen=True)
class Wire:
    name: str
    path: str


OPENAI = Wire("OpenAI, refuses", "/v1/chat/completions")
OLLAMA = Wire("Ollama, cuts", "/api/chat")


def asked_for_one_token(wire: Wire, model: str, messages: bytes, context_tokens: int) -> bytes:
    """Return a request for a stream that tells how many tokens its prompt had.

    Each wire finds its own fields in it. The messages are put in as they are: they are large.
    """
    rest: JSON = {
        "model": model,
        "stream": True,
        "max_tokens": 1,
        "stream_options": {"include_usage": True},
        "options": {"num_predict": 1, "num_ctx": context_tokens},
    }
    body = b'{"messages":' + messages + b"," + json.dumps(rest).encode()[1:]
    return post(wire.path, body)


def asked_for_a_stream(model: str) -> bytes:
    """Greedy and without a template: any of the models goes on and on from this."""
    body: JSON = {
        "model": model,
        "prompt": "day day day day",
        "raw": True,
        "options": {"temperature": 0, "num_predict": STREAM_TOKENS},
    }
    return post("/api/generate", json.dumps(body).encode())


# -- Messages, as JSON ---------------------------------------------------------


def words(count: int) -> bytes:
    """A message of so many words. No two messages begin alike: no cache helps."""
    return _messages(_text(count))


def _large() -> bytes:
    return _messages(_WORDS * (_MESSAGE_BYTES // len(_WORDS)))


def _history() -> bytes:
    text = _text(_HISTORY_MESSAGE_WORDS)
    return _messages(*[text] * (_HISTORY_BYTES // len(text) | 1))  # odd: the last is the user's


def _letters() -> bytes:
    return b'[{"role":"user","content":"' + b"a" * _LETTERS + b'"}]'


def _text(count: int) -> bytes:
    return b" ".join(itertools.islice(itertools.cycle(_WORDS.split()), count))


def _messages(*texts: bytes) -> bytes:
    roles = itertools.cycle((b"user", b"assistant"))
    return b"[%s]" % b",".join(
        b'{"role":"%s","content":"%d %s"}' % (role, next(_nonces), text)
        for role, text in zip(roles, texts, strict=False)
    )


# -- Before and after ----------------------------------------------------------


def _nothing(_server: Server, _model: str) -> AbstractContextManager[None]:
    return nullcontext()


@contextmanager
def _loaded(server: Server, model: str) -> Generator[None]:
    _command(server, {"model": model})  # where it does not load, the offender will wait for it
    yield


@contextmanager
def _unloaded_after(server: Server, model: str) -> Generator[None]:
    yield
    _command(server, {"model": model, "keep_alive": 0})


@contextmanager
def _stopped(server: Server, model: str) -> Generator[None]:
    """Load a model, and stop its process until what is inside has happened."""
    _command(server, {"model": model})
    child = next(each for each in server.children() if _has_open(each, f"{model}.gguf"))
    child.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):  # the server may have ended it
            child.send_signal(signal.SIGCONT)


def _has_open(process: psutil.Process, name: str) -> bool:
    return any(each.path.endswith(name) for each in process.memory_maps())


def _command(server: Server, body: JSON) -> None:
    """Load or unload, in Ollama's words, and wait for it a while."""
    answer = ask(server.port, post("/api/generate", json.dumps(body).encode()), COMMAND_SECONDS)
    if answer.status not in (HTTPStatus.OK, None):
        raise RuntimeError(f"{body} was answered with {answer.status}")


@dataclass(frozen=True)
class Offender:
    """One kind of request. ``model`` may name the streams' own and its engine, and the other."""

    key: str  # for --only
    title: str
    model: str
    messages: Callable[[], bytes] | None  # None: a stream that its client does not read
    around: Around = _nothing
    wires: tuple[Wire, ...] = (OPENAI, OLLAMA)
    engines: tuple[str, ...] = ("llama", "mlx")  # of the streams
    is_read: bool = False  # its prompt is long, and prefilled where it is not refused
    fresh: bool = False  # each on a server that has just started


OFFENDERS = (
    Offender("a", "a 64 MB message", "{model}-{engine}", _large, is_read=True),
    Offender("b", "1 MB of history", "{model}-{engine}", _history, is_read=True),
    Offender("c", "another model's stopped child", "other-llama", lambda: words(2), _stopped),
    Offender("d", "a template without end", "loops-{engine}", lambda: words(2), _loaded),
    Offender(
        "e",
        "another model loads in the same engine",
        "{model}-2-{engine}",
        lambda: words(2),
        _unloaded_after,
    ),
    Offender(
        "e",
        "a model loads in the other engine",
        "{model}-2-{other}",
        lambda: words(2),
        _unloaded_after,
    ),
    Offender(
        "e",
        "the first MLX model loads",
        "{model}-2-mlx",
        lambda: words(2),
        _unloaded_after,
        engines=("llama",),
        fresh=True,
    ),
    Offender("f", "a client that does not read", "{model}-{engine}", None, wires=(OLLAMA,)),
    Offender("g", "30,000 letters without a space", "{model}-{engine}", _letters, is_read=True),
)
