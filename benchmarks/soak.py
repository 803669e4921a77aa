"""Everything at once, at random, for minutes: does every request end once, and does nothing leak?

    python -m benchmarks.soak [--seconds 600] [--seed 1]

A model on each engine, little memory, and whatever people and programs do: questions of all
kinds, chats that go on, texts to embed and to rank, cancels, clients that hang up, prompts that
are too long, grammars that are none, profiles that change, models that are let go, children that
are killed.
"""

import argparse
import json
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import psutil

from app.services import Services, api_server
from app.settings import SettingsFile
from benchmarks.clients import post
from benchmarks.measure import free_port
from models import builtin, chat
from models.chat import (
    EmbedRequest,
    GenerateRequest,
    Grammar,
    JsonObject,
    JsonSchema,
    LoadRequest,
    Message,
    Origin,
    Overflow,
    Request,
    RerankRequest,
    SamplingParams,
    UnloadRequest,
)
from models.engine.llama import open_llama
from models.engine.mlx import open_mlx
from models.engine.mlx_library import end_thread
from models.engine.roster import Runner
from models.errors import EngineClosed, InferenceError
from models.events import Event, Failed, Finished, Last
from models.hub import Hub
from models.ledger import Ledger
from models.model import Kind, Profile
from models.prompt_files import PromptFiles
from models.records.records import Records
from models.residency import Residency
from models.store import Store
from server.keys import Keys

MODELS = ("soak-gguf", "soak-mlx")
_CHATS = 4
_LONGEST_CHAT = 12  # messages: more than the context holds
_MEMORY_BYTES = 3 << 30
_MOST_RUNNING = 24
_END_SECONDS = 60.0
_POLL_SECONDS = 0.01
_ORIGIN = Origin("api", "soak")
_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
_CONSTRAINTS = (
    JsonObject(),
    JsonSchema(_SCHEMA),
    Grammar("yes|no", "regex"),
    Grammar('root ::= "a" | "b"', "gbnf"),
    Grammar("this is ( no grammar", "lark"),
    JsonSchema({"type": "nonsense"}),
)


@dataclass
class Told:
    """What one request was told. ``wrong`` says what broke the sentence of its events."""

    what: str
    events: list[Event] = field(default_factory=list[Event])
    wrong: str = ""
    ended: threading.Event = field(default_factory=threading.Event)

    def __call__(self, event: Event) -> None:
        if self.ended.is_set():
            self.wrong = f"{event!r} after the end"
        self.events.append(event)
        if isinstance(event, Last):
            self.ended.set()


@dataclass
class Report:
    asked: Counter[str] = field(default_factory=Counter[str])
    ends: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])
    unended: list[str] = field(default_factory=list[str])
    cached_tokens: int = 0
    most_bytes: list[int] = field(default_factory=lambda: [0, 0])  # in either half
    end_bytes: int = 0  # with all models gone
    left_running: int = 0
    left_children: int = 0
    left_threads: tuple[str, ...] = ()


class Soak:
    def __init__(self, services: Services, port: int, seed: int) -> None:
        self._residency = services.residency
        self._store = services.store
        self._port = port
        self._random = Random(seed)
        self._open: dict[int, Told] = {}
        self._clients: list[threading.Thread] = []
        self._chats: list[list[Message]] = [[] for _ in range(_CHATS)]
        self.report = Report()

    def run(self, seconds: float) -> Report:
        began = time.monotonic()
        actions: list[tuple[Callable[[], None], int]] = [
            (self._ask, 50),
            (self._go_on, 20),
            (self._embed, 8),
            (self._rerank, 6),
            (self._cancel, 20),
            (self._group, 6),
            (self._too_long, 4),
            (self._hang_up, 12),
            (self._load, 3),
            (self._unload, 2),
            (self._change_profile, 2),
            (self._kill_child, 1),
        ]
        choices, weights = zip(*actions, strict=True)
        while (now := time.monotonic() - began) < seconds:
            half = int(now > seconds / 2)
            self.report.most_bytes[half] = max(self.report.most_bytes[half], used_bytes())
            (action,) = self._random.choices(choices, weights)
            action()
            self._settle()
            time.sleep(self._random.random() * 0.05)
            while len(self._open) >= _MOST_RUNNING:
                self._settle()
                time.sleep(_POLL_SECONDS)
        self._end()
        return self.report

    # -- What is done ---------------------------------------------------------

    def _submit(self, what: str, request: Request) -> None:
        told = Told(what)
        self.report.asked[what] += 1
        ticket = self._residency.submit(request, told, origin=_ORIGIN)
        self._open[ticket] = told

    def _ask(self) -> None:
        self._submit("ask", self._request())

    def _request(self) -> GenerateRequest:
        random = self._random
        words = random.choice([1, 10, 60, 400])
        sampling = SamplingParams(
            temperature=random.choice([0.0, 0.7, 1.5]),
            seed=random.choice([None, 7]),
            top_k=random.choice([None, 1, 40]),
            typical_p=random.choice([None, None, 0.9]),
            repeat_penalty=random.choice([None, 1.2]),
            dry_multiplier=random.choice([None, None, 0.8]),
            xtc_probability=random.choice([None, None, 0.5]),
            logit_bias=random.choice([(), (), (), ((300, 2.0),), ((1 << 40, 1.0),)]),
        )
        return GenerateRequest(
            model=random.choice(MODELS),
            prompt=(chat.user(f"{random.randrange(8)} Tell me of " + "a day " * words),),
            sampling=sampling,
            max_tokens=random.choice([1, 20, 200, None]),
            stop=random.choice([(), (".",), ("\n", "the")]),
            constraint=random.choice([None, None, None, *_CONSTRAINTS]),
            top_logprobs=random.choice([None, None, 0, 5]),
            prompt_logprobs=random.random() < 0.05,
            overflow=random.choice([Overflow.REFUSE, Overflow.TRUNCATE]),
        )

    def _go_on(self) -> None:
        """A chat's next turn: what it begins with has been read before, most often."""
        chosen = self._random.choice(self._chats)
        if len(chosen) >= _LONGEST_CHAT:
            chosen.clear()
        question = chat.user(f"And then? {self._random.random()}")
        asked = GenerateRequest(
            model=self._random.choice(MODELS),
            prompt=(chat.system("You tell stories. " * 40), *chosen, question),
            sampling=SamplingParams(seed=self._random.choice([None, 7])),
            max_tokens=20,
            overflow=Overflow.DROP,
        )
        self._submit("go on", asked)
        chosen += [question, chat.assistant("Then the sun went down. " * 20)]

    def _texts(self, most: int) -> tuple[str, ...]:
        random = self._random
        sizes = [random.choice([1, 1, 10, 10, 60, 1000]) for _ in range(random.randint(1, most))]
        return tuple("a long day " * size for size in sizes)

    def _embed(self) -> None:
        asked = EmbedRequest(
            model=self._random.choice(MODELS),
            inputs=(*self._texts(6), self._random.choice([(5,), (6, 7), (8,), (9,), (1 << 40,)])),
            dimensions=self._random.choice([None, 8]),
            overflow=self._random.choice([Overflow.REFUSE, Overflow.TRUNCATE]),
        )
        self._submit("embed", asked)

    def _rerank(self) -> None:
        asked = RerankRequest(
            model=self._random.choice(MODELS),
            query="Which day was long?",
            documents=self._texts(6),
            overflow=self._random.choice([Overflow.REFUSE, Overflow.TRUNCATE]),
        )
        self._submit("rerank", asked)

    def _change_profile(self) -> None:
        self.report.asked["profile"] += 1
        temperature = self._random.choice([0.0, 1.0])
        profile = Profile(
            context_length=self._random.choice([None, 512, 2048]),
            sampling=self._random.choice([{}, {"temperature": temperature}]),
            keep_alive_seconds=self._random.choice([None, 0.0, 1.0]),
        )
        self._store.set_profile(self._random.choice(MODELS), profile)

    def _group(self) -> None:
        told = [Told("one of a group") for _ in range(self._random.choice([2, 3]))]
        self.report.asked["one of a group"] += len(told)
        seeds = [self._random.choice([None, n]) for n in range(len(told))]
        tickets = self._residency.submit_group(self._request(), seeds, told, origin=_ORIGIN)
        self._open |= dict(zip(tickets, told, strict=True))

    def _cancel(self) -> None:
        if self._open:
            self._residency.cancel(self._random.choice(list(self._open)))

    def _too_long(self) -> None:
        prompt = (chat.user("word " * 50_000),)
        self._submit("too long", GenerateRequest(model=self._random.choice(MODELS), prompt=prompt))

    def _load(self) -> None:
        context = self._random.choice([None, 512, 1024])
        model = self._random.choice(MODELS)
        self._submit("load", LoadRequest(model=model, context_length=context))

    def _unload(self) -> None:
        self._submit("unload", UnloadRequest(model=self._random.choice(MODELS)))

    def _kill_child(self) -> None:
        children = psutil.Process().children()
        if children:
            self.report.asked["kill"] += 1
            with suppress(psutil.NoSuchProcess):
                self._random.choice(children).kill()

    def _hang_up(self) -> None:
        """A client that leaves after some bytes, or in the middle of its question."""
        self.report.asked["hang up"] += 1
        body = {
            "model": self._random.choice(MODELS),
            "stream": self._random.random() < 0.8,
            "messages": [{"role": "user", "content": "Tell me a story."}],
        }
        path = self._random.choice(["/v1/chat/completions", "/api/chat"])
        asked = post(path, json.dumps(body).encode())
        cut = self._random.choice([len(asked), len(asked), len(asked) // 2])
        stay = self._random.random() * 0.5
        client = threading.Thread(target=leave_early, args=(self._port, asked[:cut], stay))
        client.start()
        self._clients.append(client)

    # -- What came of it ------------------------------------------------------

    def _settle(self) -> None:
        for ticket, told in list(self._open.items()):
            if told.ended.is_set():
                del self._open[ticket]
                self._judge(told)

    def _judge(self, told: Told) -> None:
        last = told.events[-1]
        end = type(last).__name__
        if isinstance(last, Failed):
            end = f"{end}: {type(last.error).__name__}"
            if type(last.error) in (InferenceError, EngineClosed):  # trouble of ours
                self.report.wrong.append(f"{told.what}: {last.error}")
        elif isinstance(last, Finished):
            end = f"{end}: {last.reason}"
            self.report.cached_tokens += last.usage.cached_tokens
        self.report.ends[end] += 1
        if sum(isinstance(each, Last) for each in told.events) != 1 or told.wrong:
            self.report.wrong.append(f"{told.what}: {told.wrong or told.events!r}")

    def _end(self) -> None:
        for client in self._clients:
            client.join()
        deadline = time.monotonic() + _END_SECONDS
        while self._open and time.monotonic() < deadline:
            if self._random.random() < 0.2:
                self._cancel()
            self._settle()
            time.sleep(_POLL_SECONDS)
        self.report.unended = [each.what for each in self._open.values()]
        for model in MODELS:
            self._submit("unload", UnloadRequest(model=model))
        while self._open and time.monotonic() < deadline + _END_SECONDS:
            self._settle()
            time.sleep(_POLL_SECONDS)
        while self._residency.running() and time.monotonic() < deadline + _END_SECONDS:
            time.sleep(_POLL_SECONDS)
        self.report.left_running = len(self._residency.running())
        self.report.end_bytes = used_bytes()


def leave_early(port: int, asked: bytes, stay_seconds: float) -> None:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(asked)
        connection.settimeout(max(0.01, stay_seconds))
        connection.recv(4096)
        time.sleep(stay_seconds)


def used_bytes() -> int:
    """Of this process alone: its children come and go."""
    return psutil.Process().memory_info().rss


@contextmanager
def opened(home: Path) -> Generator[Services]:
    """The product with little memory: models and prompts have to make room for each other."""
    store = Store(home, builtin=builtin.FOLDER)
    store.sweep()
    (gguf,) = (builtin.FOLDER / "gguf").glob("pocket.gguf")
    for path, name in zip([gguf, builtin.FOLDER / "mlx"], MODELS, strict=True):
        store.import_path(path, name)
    prompts = PromptFiles(home)
    runners = {
        Kind.LLAMA: Runner(partial(open_llama, prompts=prompts)),
        Kind.MLX: Runner(partial(open_mlx, prompts=prompts), end_thread),
    }
    ledger = Ledger(free_bytes=lambda: _MEMORY_BYTES, total_bytes=lambda: _MEMORY_BYTES)
    residency = Residency(store.find, runners, ledger=ledger)
    settings = SettingsFile(home)
    with Services(
        store, residency, Records(home), settings, prompts, Keys(home), Hub(store)
    ) as services:
        yield services


def soak(seconds: float, seed: int) -> Report:
    threads = set(threading.enumerate())
    with tempfile.TemporaryDirectory() as folder:
        with opened(Path(folder)) as services:
            port = free_port()
            server = api_server(services, "127.0.0.1", [port])
            server.start()
            try:
                report = Soak(services, port, seed).run(seconds)
            finally:
                server.stop()
        report.left_children = len(psutil.Process().children(recursive=True))
        report.left_threads = tuple(each.name for each in set(threading.enumerate()) - threads)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description="Use everything at once, at random.")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    report = soak(asked.seconds, asked.seed)
    for name, value in vars(report).items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
