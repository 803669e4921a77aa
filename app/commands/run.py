"""``ingle run``: ask a model in the terminal, once or in a conversation."""

import queue
import sys
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from app.commands import INTERRUPTED, CommandFailed, terminal
from app.commands.pictures import Asked, taken_from
from app.commands.printer import Printer, Thoughts, show_thoughts, write
from app.services import open_everything
from models import abilities, chat, paths, thinking
from models.abilities import Ability
from models.chat import GenerateRequest, Message, Origin, Overflow, Part, SamplingParams, Text
from models.errors import InferenceError
from models.events import Event, Failed, Finished
from models.residency import Residency
from models.thinking import Choice

_CHECK_SECONDS = 0.2
_CHOICES: dict[str, Choice] = {
    "on": True,
    "true": True,
    "off": False,
    "false": False,
    "low": "low",
    "medium": "medium",
    "high": "high",
    "max": "max",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    model: str
    system: str | None
    sampling: SamplingParams
    max_tokens: int | None
    thinking: Choice | None = None  # None: it is to think where it can
    thoughts: Thoughts = Thoughts.FOLD


def choice_of(word: str) -> Choice:
    """Read how a person says whether, or how hard, a model is to think. Raises ValueError."""
    if word not in _CHOICES:
        raise ValueError(word)
    return _CHOICES[word]


def run(question: Question, prompt: str) -> int:
    """Answer ``prompt``, with what is piped in; without either, begin a conversation."""
    piped = terminal.piped_in().strip()
    if not (prompt.strip() or piped or sys.stdin.isatty()):
        raise CommandFailed(
            f"There is nothing to ask: write it behind the model, as in "
            f"'ingle run {question.model} \"Hello\"', or pipe it in."
        )
    with open_everything(paths.home()) as services:
        model = services.store.find(question.model)  # before anything is typed
        conversation = Conversation(
            services.residency,
            question,
            thinking.choices(model),
            sees=Ability.VISION in abilities.of(model),
        )
        if prompt.strip() or piped:
            return 0 if conversation.say(prompt, piped) else INTERRUPTED
        return _converse(conversation)


def _converse(conversation: "Conversation") -> int:
    with suppress(ImportError):  # Windows has none
        # Gives input() its history and arrow keys.
        import readline  # noqa: F401, PLC0415  # pyright: ignore[reportUnusedImport]

    print("Ask away. /bye or Ctrl-D leaves, /new forgets what was said, Ctrl-C stops a reply.")
    if conversation.choices:
        print("/think off has it answer at once, /thoughts shows what it thought last.")
    while True:
        try:
            line = input(">>> ").strip()
        except EOFError:
            print()
            return 0
        except KeyboardInterrupt:  # what was being typed is dropped
            print()
            continue
        if line == "/bye":
            return 0
        if line:
            obey(conversation, line)


def obey(conversation: "Conversation", line: str) -> None:
    """Do what a line of a conversation says; what is no command is said to the model."""
    match line.split():
        case ["/new"]:
            conversation.forget()
        case ["/thoughts"]:
            show_thoughts(conversation.last)
        case ["/think", *rest] | ["/set", "think", *rest] if len(rest) <= 1:  # Ollama's is /set
            print(conversation.choose_thinking(rest[0] if rest else "on"))
        case ["/set", "nothink"]:
            print(conversation.choose_thinking("off"))
        case _:
            try:
                conversation.say(line)
            except InferenceError as error:
                print(f"ingle: {error}", file=sys.stderr)


class Conversation:
    """``choices`` are those that a person has of the model's thinking; ``sees`` is of pictures."""

    def __init__(
        self,
        residency: Residency,
        question: Question,
        choices: tuple[Choice, ...] = (),
        *,
        sees: bool = False,
    ) -> None:
        self.choices = choices
        self._sees = sees
        self._residency = residency
        self._thoughts = question.thoughts
        wanted = question.thinking
        self._request = GenerateRequest(
            model=question.model,
            prompt="",
            thinking=thinking.nearest(None, choices) if wanted is None else wanted,
            sampling=question.sampling,
            max_tokens=question.max_tokens,
            overflow=Overflow.DROP,
        )
        self._system = (chat.system(question.system),) if question.system else ()
        self._messages: tuple[Message, ...] = ()

    @property
    def last(self) -> tuple[Part, ...]:
        """The parts of the last reply."""
        return self._messages[-1].parts if self._messages else ()

    def forget(self) -> None:
        self._messages = ()

    def choose_thinking(self, word: str) -> str:
        """Have the model think, or not, from now on; return what to say of it."""
        if not self.choices:
            return "There is nothing to choose of this model's thinking."
        try:
            chosen = thinking.nearest(choice_of(word), self.choices)
        except ValueError:
            return f"{word!r} is none of on, off, low, medium, high."
        self._request = replace(self._request, thinking=chosen)
        if isinstance(chosen, str):
            return f"It thinks as hard as this from now on: {chosen}."
        return "It thinks before it answers now." if chosen else "It answers at once now."

    def say(self, text: str, piped: str = "") -> bool:
        """Print the reply as it comes; return whether it was not interrupted.

        The pictures are those that ``text`` names: what is piped in is nobody's question.

        Raises:
            InferenceError: there is no reply, or only a part. It is not remembered.
        """
        messages = (*self._messages, self._asked(text, piped))
        request = replace(self._request, prompt=(*self._system, *messages))
        printer = Printer(self._thoughts)
        whole = True
        try:
            with closing(_events(self._residency, request)) as events:
                for event in events:
                    if event is None:
                        printer.wait()
                    else:
                        printer.take(event)
        except KeyboardInterrupt:
            whole = False
        finally:
            printer.end()
        write("\n")
        if printer.parts:
            self._messages = (*messages, Message("assistant", printer.parts))
        return whole

    def _asked(self, text: str, piped: str) -> Message:
        """Take the pictures that a text names by their paths, where the model sees them."""
        asked = taken_from(text)
        if asked.images and not self._sees:
            print(
                f"ingle: {self._request.model} does not see pictures: it is told the path alone.",
                file=sys.stderr,
            )
            asked = Asked(text)
        for image in asked.images:
            print(f"ingle: {image.name} is shown to the model.", file=sys.stderr)
        said = "\n\n".join(part for part in (asked.text, piped) if part.strip())
        return Message("user", (*asked.images, *((Text(said),) if said else ())))


def _events(residency: Residency, request: GenerateRequest) -> Generator[Event | None]:
    """Yield one reply's events, and None while nothing comes; leaving early cancels it.

    Raises:
        InferenceError: where the stream would have had ``Failed``.
    """
    arrived: queue.SimpleQueue[Event] = queue.SimpleQueue()
    ticket = residency.submit(request, arrived.put, origin=Origin("command"))
    try:
        while True:
            try:
                event = arrived.get(timeout=_CHECK_SECONDS)
            except queue.Empty:
                yield None
                continue
            if isinstance(event, Failed):
                raise event.error
            yield event
            if isinstance(event, Finished):
                return
    finally:
        residency.cancel(ticket)
