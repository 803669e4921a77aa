"""``ingle run``: ask a model in the terminal, once or in a conversation."""

import queue
import sys
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from app import words
from app.commands import INTERRUPTED, CommandFailed, terminal
from app.services import open_everything
from models import chat, paths
from models.chat import GenerateRequest, Message, Origin, Overflow, SamplingParams
from models.errors import InferenceError
from models.events import Event, Failed, Finished, Started, TextDelta
from models.residency import Residency

_CHECK_SECONDS = 0.2
# What a model writes must not move the cursor or rename the window.
_HARMLESS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    model: str
    system: str | None
    sampling: SamplingParams
    max_tokens: int | None


def run(question: Question, prompt: str) -> int:
    """Answer ``prompt``, with what is piped in; without either, begin a conversation."""
    piped = terminal.piped_in().strip()
    prompt = "\n\n".join(part for part in (prompt, piped) if part.strip())
    if not prompt and not sys.stdin.isatty():
        raise CommandFailed(
            f"There is nothing to ask: write it behind the model, as in "
            f"'ingle run {question.model} \"Hello\"', or pipe it in."
        )
    with open_everything(paths.home()) as services:
        services.store.find(question.model)  # before anything is typed
        conversation = Conversation(services.residency, question)
        if prompt:
            return 0 if conversation.say(prompt) else INTERRUPTED
        return _converse(conversation)


def _converse(conversation: "Conversation") -> int:
    with suppress(ImportError):  # Windows has none
        # Gives input() its history and arrow keys.
        import readline  # noqa: F401, PLC0415  # pyright: ignore[reportUnusedImport]

    print("Ask away. /bye or Ctrl-D leaves, /new forgets what was said, Ctrl-C stops a reply.")
    while True:
        try:
            line = input(">>> ").strip()
        except EOFError:
            print()
            return 0
        except KeyboardInterrupt:  # what was being typed is dropped
            print()
            continue
        match line:
            case "":
                continue
            case "/bye":
                return 0
            case "/new":
                conversation.forget()
            case _:
                try:
                    conversation.say(line)
                except InferenceError as error:
                    print(f"ingle: {error}", file=sys.stderr)


class Conversation:
    def __init__(self, residency: Residency, question: Question) -> None:
        self._residency = residency
        self._request = GenerateRequest(
            model=question.model,
            prompt="",
            sampling=question.sampling,
            max_tokens=question.max_tokens,
            overflow=Overflow.DROP,
        )
        self._system = (chat.system(question.system),) if question.system else ()
        self._messages: tuple[Message, ...] = ()

    def forget(self) -> None:
        self._messages = ()

    def say(self, text: str) -> bool:
        """Print the reply as it comes; return whether it was not interrupted.

        Raises:
            InferenceError: there is no reply, or only a part. It is not remembered.
        """
        messages = (*self._messages, chat.user(text))
        request = replace(self._request, prompt=(*self._system, *messages))
        pieces: list[str] = []
        whole = True
        try:
            with closing(_events(self._residency, request)) as events:
                for event in events:
                    match event:
                        case Started(dropped_messages=dropped) if dropped:
                            print(f"ingle: {words.left_out(dropped)}.", file=sys.stderr)
                        case TextDelta(text):
                            pieces.append(text)
                            _write(text)
                        case _:
                            pass
        except KeyboardInterrupt:
            whole = False
        _write("\n")
        if pieces:
            self._messages = (*messages, chat.assistant("".join(pieces)))
        return whole


def _events(residency: Residency, request: GenerateRequest) -> Generator[Event]:
    """Yield one reply's events; leaving early cancels it.

    Raises:
        InferenceError: where the stream would have had ``Failed``.
    """
    arrived: queue.SimpleQueue[Event] = queue.SimpleQueue()
    ticket = residency.submit(request, arrived.put, origin=Origin("command"))
    waiting = _Waiting()
    try:
        while True:
            try:
                event = arrived.get(timeout=_CHECK_SECONDS)
            except queue.Empty:
                waiting.show()
                continue
            waiting.end()
            if isinstance(event, Failed):
                raise event.error
            yield event
            if isinstance(event, Finished):
                return
    finally:
        waiting.end()
        residency.cancel(ticket)


class _Waiting:
    """Says on a terminal that the model is being loaded, until something arrives."""

    def __init__(self) -> None:
        self._shown = False
        self._over = not sys.stderr.isatty()

    def show(self) -> None:
        if not self._over and not self._shown:
            self._shown = True
            sys.stderr.write("loading ...")
            sys.stderr.flush()

    def end(self) -> None:
        if self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
        self._shown, self._over = False, True


def _write(text: str) -> None:
    sys.stdout.write(text.translate(_HARMLESS) if sys.stdout.isatty() else text)
    sys.stdout.flush()
