"""Counts the tokens of prompts for models that are not loaded.

A child process has the tokenizer: for a GGUF file llama.cpp itself, on a file with the same
vocabulary and next to no model (113 MB for 152,000 tokens), for an MLX folder Hugging Face's
(97 MB). At most two of them are kept, for a minute after the last use.
"""

import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from models import abilities, facts, gguf, json_file
from models.abilities import Ability
from models.engine.llama_sight import guessed_sight
from models.engine.prompt import Prompter
from models.engine.sight import Sight
from models.engine.spelling import CountedSpelling
from models.engine.template import ChatTemplate
from models.engine.tokenizer import Around, SpellingTokenizer, Tokenizer
from models.engine.tokenizer_process import TokenizerProcess
from models.engine.vocabulary_child import VocabularyChild
from models.engine.vocabulary_file import write_vocabulary
from models.errors import EngineClosed, InvalidRequest
from models.model import Kind, Model
from models.spelling import Spelled
from models.worker import PYTHON, Command

_MOST_CHILDREN = 2
_MOST_SPELLINGS = 16
_KEPT_SECONDS = 60.0


class Counter:
    """Lends prompters that count. ``home`` is where its files go. Any thread may call it."""

    def __init__(
        self, home: Path, *, command: Command = PYTHON, kept_seconds: float = _KEPT_SECONDS
    ) -> None:
        self._folder = home / "cache" / "vocabularies"
        self._command = command
        self._kept_seconds = kept_seconds
        # Guards what follows, and wakes who waits for a child to be idle or to be too old.
        self._changed = threading.Condition()
        self._children: OrderedDict[str, _Child] = OrderedDict()  # the latest used last
        self._spellings: OrderedDict[str, CountedSpelling] = OrderedDict()
        self._sweeper: threading.Thread | None = None  # while there are children
        self._closed = False

    def prompter(self, model: Model) -> Prompter:
        """Return what counts for a model. It starts nothing until it is asked.

        Raises:
            LoadFailed: the model's files cannot be read.
        """
        return self.spelling(model).prompter

    def spelling(self, model: Model) -> CountedSpelling:
        """Return what shows a model's tokens, likewise."""
        with self._changed:
            found = self._spellings.get(model.digest)
        if found is None:
            template, bos_token = _template_of(model)
            tokenizer = _Lent(self, model, bos_token)
            prompter = Prompter(
                template,
                tokenizer,
                model.details.context_length,
                sight=_sight_of(model, tokenizer, bos_token),
            )
            found = CountedSpelling(prompter, tokenizer, model.profile)
        with self._changed:
            self._spellings[model.digest] = found
            self._spellings.move_to_end(model.digest)
            while len(self._spellings) > _MOST_SPELLINGS:
                self._spellings.popitem(last=False)
        return replace(found, profile=model.profile)  # of one model there may be several

    def close(self) -> None:
        """End every child; what is being counted fails."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            children = list(self._children.values())
            self._children.clear()
            sweeper = self._sweeper
        for child in children:
            child.close()
        if sweeper:
            sweeper.join()

    @contextmanager
    def child(self, model: Model, bos_token: str) -> Generator[SpellingTokenizer]:
        """Lend the child of a model, started where there is none.

        Raises:
            LoadFailed: it cannot be started.
            EngineClosed
        """
        child = self._taken(model)
        try:
            yield child.tokenizer(lambda: self._start(model, bos_token))
        except InvalidRequest:  # of no fault but the caller's
            raise
        except BaseException:
            child.failed = True  # a new one is the cure, whatever it was
            raise
        finally:
            self._give_back(model.digest, child)

    def _taken(self, model: Model) -> "_Child":
        removed: list[_Child] = []
        with self._changed:
            while True:
                if self._closed:
                    raise EngineClosed("The program is shutting down.")
                child = self._children.get(model.digest)
                if child is None and len(self._children) >= _MOST_CHILDREN:
                    idle = (key for key, each in self._children.items() if not each.users)
                    if (oldest := next(idle, None)) is None:
                        self._changed.wait()
                        continue
                    removed.append(self._children.pop(oldest))
                if child is None:
                    child = self._children.setdefault(model.digest, _Child())
                child.users += 1
                self._children.move_to_end(model.digest)
                self._sweep_later()
                break
        for each in removed:
            each.close()
        return child

    def _give_back(self, digest: str, child: "_Child") -> None:
        with self._changed:
            child.users -= 1
            child.last_used = time.monotonic()
            gone = child.failed and not child.users
            if gone and self._children.get(digest) is child:
                del self._children[digest]
            self._changed.notify_all()
        if gone:
            child.close()

    def _start(self, model: Model, bos_token: str) -> "_Closable":
        if model.kind is Kind.MLX:
            file = model.path / "tokenizer.json"
            return TokenizerProcess(
                file, bos_token=bos_token, model_name=str(model.name), command=self._command
            )
        file = self._folder / f"{model.digest}.gguf"
        if not file.is_file():
            write_vocabulary(model.path, file)
        return VocabularyChild(model, file, self._command)

    # -- What has not been used for a while ----------------

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            self._sweeper = threading.Thread(target=self._sweep, name="counting", daemon=True)
            self._sweeper.start()

    def _sweep(self) -> None:
        while True:
            with self._changed:
                old = [key for key, each in self._children.items() if self._is_old(each)]
                removed = [self._children.pop(key) for key in old]
                last = self._closed or not self._children
                if last:
                    self._sweeper = None
                elif not removed:
                    self._changed.wait(self._kept_seconds / 4)
            for each in removed:
                each.close()
            if last:
                return

    def _is_old(self, child: "_Child") -> bool:
        return not child.users and time.monotonic() - child.last_used >= self._kept_seconds


class _Closable(SpellingTokenizer, Protocol):
    def close(self) -> None: ...


class _Child:
    """A tokenizer in a child process, or the place for one that is being started."""

    def __init__(self) -> None:
        self.users = 0
        self.failed = False
        self.last_used = time.monotonic()
        self._closed = False
        self._starting = threading.Lock()  # others who want it wait for the first
        self._tokenizer: _Closable | None = None

    def tokenizer(self, start: Callable[[], _Closable]) -> SpellingTokenizer:
        with self._starting:
            if self._closed:
                raise EngineClosed("The program is shutting down.")
            if self._tokenizer is None:
                self._tokenizer = start()
            return self._tokenizer

    def close(self) -> None:
        with self._starting:
            self._closed = True
            if self._tokenizer:
                self._tokenizer.close()


class _Lent:
    """A ``SpellingTokenizer`` that takes its child for each call, and gives it back."""

    # What is counted is counted whole: nothing is refused by its bytes.
    longest_token_bytes = sys.maxsize

    def __init__(self, counter: Counter, model: Model, bos_token: str) -> None:
        self._counter = counter
        self._model = model
        self._bos_token = bos_token

    @property
    def cuts_cleanly(self) -> bool:
        with self._counter.child(self._model, self._bos_token) as tokenizer:
            return tokenizer.cuts_cleanly

    @property
    def bos(self) -> int | None:
        with self._counter.child(self._model, self._bos_token) as tokenizer:
            return tokenizer.bos

    @property
    def around(self) -> Around:
        with self._counter.child(self._model, self._bos_token) as tokenizer:
            return tokenizer.around

    def encode(self, text: str) -> list[int]:
        with self._counter.child(self._model, self._bos_token) as tokenizer:
            return tokenizer.encode(text)

    def encode_each(self, texts: Sequence[str]) -> list[list[int]]:
        with self._counter.child(self._model, self._bos_token) as tokenizer:
            return tokenizer.encode_each(texts)

    def spell(self, text: str, *, add_special: bool, parse_special: bool) -> list[Spelled]:
        with self._counter.child(self._model, self._bos_token) as tokenizer:
            return tokenizer.spell(text, add_special=add_special, parse_special=parse_special)

    def text_of(self, ids: Sequence[int]) -> str:
        with self._counter.child(self._model, self._bos_token) as tokenizer:
            return tokenizer.text_of(ids)


def _sight_of(model: Model, tokenizer: Tokenizer, bos_token: str) -> Sight | None:
    """Raises LoadFailed."""
    if Ability.VISION not in abilities.of(model):
        return None
    if model.kind is Kind.MLX:
        from models.engine.mlx_sight import CountingSight  # noqa: PLC0415 (brings numpy)

        return CountingSight(model.path)
    return guessed_sight(model, tokenizer, bos_token)


def _template_of(model: Model) -> tuple[ChatTemplate | None, str]:
    """Return a model's chat template and how its BOS is written."""
    if model.kind is Kind.MLX:
        source = facts.mlx_chat_template(model.path)
        bos_token, eos_token = _special_tokens(model.path)
    else:
        read = gguf.read_template(model.path)
        source, bos_token, eos_token = read.text, read.bos_token, read.eos_token
    if source is None:
        return None, bos_token
    return ChatTemplate(source, bos_token=bos_token, eos_token=eos_token), bos_token


def _special_tokens(folder: Path) -> tuple[str, str]:
    if not (folder / "tokenizer_config.json").is_file():
        return "", ""
    config = json_file.read_object(folder / "tokenizer_config.json")

    def written(key: str) -> str:
        match config.get(key):
            case str(text) | {"content": str(text)}:
                return text
            case _:
                return ""

    return written("bos_token"), written("eos_token")
