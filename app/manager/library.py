"""The models on this computer, and what can be done with them: the models page's view-model."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app import background, words
from models import abilities
from models.abilities import Ability
from models.chat import Origin, UnloadRequest
from models.engine.backend import key_of
from models.events import Event
from models.model import Kind, Model
from models.names import ModelName
from models.residency import Residency
from models.resident import Resident
from models.store import Store

_LOOK_EVERY_MS = 1000
_NAME_LENGTH = 80  # characters; as in models.names


ENGINES = {Kind.MLX: "MLX", Kind.LLAMA: "llama.cpp"}


@dataclass(frozen=True, slots=True)
class Installed:
    """One row of the page."""

    model: Model
    resident: Resident | None  # where it is in memory, or on its way there
    missing: bool  # its files are not where they were: a disk that is not connected

    @property
    def name(self) -> str:
        return short_name(self.model.name)


@dataclass(frozen=True, slots=True)
class _Found:
    model: Model
    missing: bool


class Library(QObject):
    """What lies on the disk is looked at on other threads; ``changed`` tells of it."""

    changed = Signal()  # the models, or which of them are loaded
    failed = Signal(str)  # a sentence for the user
    busy_changed = Signal(str)  # what is being done now, or empty

    def __init__(self, store: Store, residency: Residency, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self._residency = residency
        self._found: list[_Found] = []
        self._rows: list[Installed] = []
        self._known = False
        self._looking = False
        self._stale = False  # the store may have changed since the look that is underway
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_EVERY_MS)
        self._timer.timeout.connect(self._on_timer)
        self.refresh()

    @property
    def known(self) -> bool:
        """Whether the disk has been looked at: before that, no rows say nothing."""
        return self._known

    @property
    def rows(self) -> list[Installed]:
        return self._rows

    @property
    def chat_models(self) -> list[Model]:
        """Return those that can be chosen for a chat."""
        return [row.model for row in self._rows if not row.missing and row.model.chats]

    @property
    def seeing(self) -> Model | None:
        """Return a model that sees pictures: one that is loaded, or else the smallest."""
        found = [
            row
            for row in self._rows
            if not row.missing and row.model.chats and Ability.VISION in abilities.of(row.model)
        ]
        found.sort(key=lambda row: (row.resident is None, row.model.size_bytes))
        return found[0].model if found else None

    @Slot()
    def refresh(self) -> None:
        """Read the store anew. ``changed`` tells of what is other than it was."""
        if self._looking:
            self._stale = True
            return
        self._looking = True
        background.run(self._look, self._on_looked, self, self._on_unreadable)

    def watch(self, on: bool) -> None:
        """While somebody looks at the page, keep up with what others load and unload."""
        if on:
            self.refresh()
            self._timer.start()
        else:
            self._timer.stop()

    def unload(self, name: ModelName) -> None:
        background.run(lambda: self._unload(name), lambda _none: self._show(), self)

    def remove(self, name: ModelName) -> None:
        """Delete a model, whose files may be large."""

        def work() -> None:
            self._unload(name)
            self._store.remove(str(name))

        self._do(work, f"Removing {short_name(name)}")

    def import_path(self, path: Path) -> None:
        """Add a GGUF file or an MLX folder where it lies, under a name made of its own."""
        taken = {found.model.name for found in self._found}
        name = free_name(path, taken)
        self._do(lambda: self._store.import_path(path, name), f"Adding {path.name}")

    def _do(self, work: Callable[[], object], says: str) -> None:
        self.busy_changed.emit(says)
        background.run(work, self._on_done, self, self._on_failed)

    def _on_done(self, _result: object) -> None:
        self.busy_changed.emit("")
        self.refresh()

    def _on_failed(self, sentence: str) -> None:
        self.busy_changed.emit("")
        self.failed.emit(sentence)
        self.refresh()

    @Slot()
    def _on_timer(self) -> None:
        self._show()
        self.refresh()

    def _on_looked(self, found: list[_Found]) -> None:
        first, self._known = not self._known, True
        self._looking, self._found = False, found
        if not self._show() and first:
            self.changed.emit()  # that there is nothing is news too
        if self._stale:
            self._stale = False
            self.refresh()

    def _on_unreadable(self, sentence: str) -> None:
        self.failed.emit(sentence)
        self._on_looked(self._found)

    def _show(self) -> bool:
        """Make the rows of what is known; return whether they are others than before."""
        # What is loaded under one name serves all names of the same files.
        residents = {key_of(each.model): each for each in self._residency.residents()}
        rows = [
            Installed(each.model, residents.get(key_of(each.model)), each.missing)
            for each in self._found
        ]
        if rows == self._rows:
            return False
        self._rows = rows
        self.changed.emit()
        return True

    # -- Other threads --------------------------------------------------------

    def _unload(self, name: ModelName) -> None:
        self._residency.submit(UnloadRequest(model=str(name)), _ignore, origin=Origin("window"))

    def _look(self) -> list[_Found]:
        return [_Found(model, not model.path.exists()) for model in self._store.list()]


def short_name(name: ModelName) -> str:
    """Return a name as people say it: without the tag where that says nothing."""
    return str(name).removesuffix(":latest")


def hint_of(model: Model) -> str:
    """Say in a word or two how large a model is and what runs it."""
    return f"{words.size(model.size_bytes)}  ·  {ENGINES[model.kind]}"


def free_name(path: Path, taken: set[ModelName]) -> str:
    """Make a model's name of a file's, one that no other model has."""
    stem = path.stem if path.suffix == ".gguf" else path.name
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.")[: _NAME_LENGTH - 4] or "model"
    name, count = stem, 1
    while ModelName.parse(name) in taken:
        count += 1
        name = f"{stem}-{count}"
    return name


def _ignore(event: Event) -> None:
    """The next look will tell."""
