"""The rows of the models page: a model that is here, one on its way, one that could be."""

from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer, Signal, SignalInstance, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout

from app import words
from app.elided import ElidedLabel
from app.manager.downloads import Download
from app.manager.library import ENGINES, Installed
from models.download_states import Cancelled, Cancelling, Failed, Queued, Running
from models.hub_search import HubModel

_SURE_MS = 4000  # in which a second click removes
_BAR_STEPS = 1000
_MILLION = 1_000_000
_LEAST_NAME, _LEAST_STATE = 80, 92  # pixels


class ModelRow(QFrame):
    """A model on this computer."""

    chat_asked = Signal()
    unload_asked = Signal()
    remove_asked = Signal()

    def __init__(self, installed: Installed) -> None:
        super().__init__()
        self.setObjectName("card")
        self._name = _name()
        self._facts = _label("small")
        self._state = ElidedLabel("tag", Qt.TextElideMode.ElideRight, _LEAST_STATE)
        self._chat = _button("Chat", self.chat_asked)
        self._unload = _button("Unload", self.unload_asked)
        self._remove = _RemoveButton()
        self._remove.confirmed.connect(self.remove_asked)
        self._facts.setWordWrap(True)
        head = QHBoxLayout()
        head.setSpacing(10)
        head.addWidget(self._name)
        head.addWidget(self._state)
        head.addStretch()
        column = QVBoxLayout()
        column.setSpacing(3)
        column.addLayout(head)
        column.addWidget(self._facts)
        line = QHBoxLayout(self)
        line.setContentsMargins(14, 10, 10, 10)
        line.setSpacing(8)
        line.addLayout(column, 1)
        for widget in (self._chat, self._unload, self._remove):
            line.addWidget(widget)
        self.show_model(installed)

    def show_model(self, installed: Installed) -> None:
        model, resident = installed.model, installed.resident
        name = installed.name
        self.setAccessibleName(name)
        self._name.say(name)
        self._facts.setText(_facts(installed))
        self._facts.setToolTip(str(model.path))
        self._state.say(state := _state_words(installed))
        self._state.setVisible(bool(state))
        self._state.setProperty("kind", "good" if resident and not resident.loading else "")
        self._state.style().polish(self._state)
        self._chat.setVisible(model.chats and not installed.missing)
        self._unload.setVisible(resident is not None)
        self._remove.setVisible(not model.builtin)
        for button, does in (
            (self._chat, "Chat with"),
            (self._unload, "Unload"),
            (self._remove, "Remove"),
        ):
            button.setAccessibleName(f"{does} {name}")


class DownloadRow(QFrame):
    """A model on its way: how far it is, and what can be done about it."""

    def __init__(self, download: Download) -> None:
        super().__init__()
        self.setObjectName("card")
        self._download = download
        self._name = _name()
        self._name.say(download.name)
        self._words = _label("small")
        self._words.setWordWrap(True)
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName(f"Download of {download.name}")
        self._cancel = _button("Cancel", download.cancel)
        self._retry = _button("Try again", download.start)
        self._dismiss = _button("Dismiss", download.dismiss, kind="quiet")
        column = QVBoxLayout()
        column.setSpacing(5)
        for widget in (self._name, self._bar, self._words):
            column.addWidget(widget)
        line = QHBoxLayout(self)
        line.setContentsMargins(14, 10, 10, 10)
        line.setSpacing(8)
        line.addLayout(column, 1)
        for button, does in (
            (self._cancel, "Cancel"),
            (self._retry, "Try again"),
            (self._dismiss, "Dismiss"),
        ):
            button.setAccessibleName(f"{does}: {download.name}")
            line.addWidget(button)
        download.changed.connect(self.refresh)
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        state, share = self._download.state, self._download.share
        under_way = isinstance(state, Queued | Running | Cancelling)
        self._words.setText(self._download.words)
        _restyle(self._words, "error" if isinstance(state, Failed) else "small")
        if share is None:  # a bar without an end moves to and fro
            self._bar.setRange(0, 0 if isinstance(state, Running) else _BAR_STEPS)
        else:
            self._bar.setRange(0, _BAR_STEPS)
            self._bar.setValue(round(share * _BAR_STEPS))
        self._cancel.setVisible(under_way)
        self._cancel.setEnabled(isinstance(state, Queued | Running))
        self._retry.setText("Resume" if isinstance(state, Cancelled) else "Try again")
        ended = isinstance(state, Cancelled | Failed)
        self._retry.setVisible(ended)
        self._dismiss.setVisible(ended)


class ResultRow(QFrame):
    """A model on the hub."""

    download_asked = Signal()

    def __init__(self, found: HubModel, *, here: bool, coming: bool) -> None:
        super().__init__()
        self.setObjectName("card")
        name = _name()
        name.say(found.repo)
        facts = _label("small")
        facts.setWordWrap(True)
        facts.setText(_hub_facts(found))
        column = QVBoxLayout()
        column.setSpacing(2)
        column.addWidget(name)
        column.addWidget(facts)
        self.button = _button("Download", self.download_asked)
        self.button.setEnabled(not here and not coming)
        self.button.setText("On this computer" if here else "On its way" if coming else "Download")
        self.button.setAccessibleName(f"Download {found.repo}")
        line = QHBoxLayout(self)
        line.setContentsMargins(14, 10, 10, 10)
        line.addLayout(column, 1)
        line.addWidget(self.button)


class _RemoveButton(QPushButton):
    """Asks once more, where it stands, before anything is deleted."""

    confirmed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._calm)
        self.clicked.connect(self._on_clicked)
        self._calm()

    @Slot()
    def _on_clicked(self) -> None:
        if self._timer.isActive():
            self._calm()
            self.confirmed.emit()
        else:
            self._timer.start(_SURE_MS)
            self._look("Really remove?", "danger")

    @Slot()
    def _calm(self) -> None:
        self._timer.stop()
        self._look("Remove", "")

    def _look(self, label: str, kind: str) -> None:
        self.setText(label)
        self.setProperty("kind", kind)
        self.style().polish(self)


def _name() -> ElidedLabel:
    """A name's end says which quantisation it is, so the middle goes first."""
    return ElidedLabel("name", Qt.TextElideMode.ElideMiddle, _LEAST_NAME)


def _label(name: str) -> QLabel:
    label = QLabel()
    label.setObjectName(name)
    return label


def _restyle(label: QLabel, name: str) -> None:
    if label.objectName() != name:
        label.setObjectName(name)
        label.style().polish(label)


def _button(label: str, act: Callable[[], None] | SignalInstance, kind: str = "") -> QPushButton:
    button = QPushButton(label)
    button.setProperty("kind", kind)
    button.clicked.connect(act)
    return button


def _facts(installed: Installed) -> str:
    if installed.missing:
        return f"Its files are not at {installed.model.path} now."
    model, details = installed.model, installed.model.details
    facts = [words.size(model.size_bytes), ENGINES[model.kind]]
    facts += [details.quantization] if details.quantization else []
    if details.context_length:
        facts.append(f"context {details.context_length:,}")
    if not details.completes:
        facts.append("for embeddings")
    elif not model.chats:
        facts.append("no chat template")
    if model.builtin:
        facts.append("ships with Inglenook, to try the set-up with")
    return "  ·  ".join(facts)


def _state_words(installed: Installed) -> str:
    resident = installed.resident
    if resident is None:
        return ""
    if resident.loading:
        share = resident.loaded_share
        return f"Loading  ·  {share:.0%}" if share else "Loading"
    facts = [
        "Answering" if resident.running else "In memory",
        words.size(resident.size_bytes),
        f"{resident.context_length:,} tokens",
    ]
    if resident.doing.tokens_per_second:
        facts.append(words.speed(resident.doing.tokens_per_second))
    if resident.queued:
        facts.append(f"{resident.queued:,} waiting")
    return "  ·  ".join(facts)


def _hub_facts(found: HubModel) -> str:
    facts = [ENGINES[found.kind]]
    if found.size_bytes:
        facts.append(words.size(found.size_bytes))
    facts.append(f"{_count_words(found.downloads)} downloads")
    if found.likes:
        facts.append(f"{_count_words(found.likes)} likes")
    return "  ·  ".join(facts)


def _count_words(number: int) -> str:
    if number >= _MILLION:
        return f"{number / _MILLION:.1f} M"
    return f"{number:,}"
