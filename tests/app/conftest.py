"""A window on scripted models, with everything real around it but the network."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication

from app.api_switch import ApiSwitch
from app.chat.chats import Chats
from app.chat.rows import ReplyRow
from app.chat.session import State
from app.chat.window import MainWindow
from app.manager.downloads import Downloads
from app.manager.library import Library
from app.services import Services, api_server
from app.settings import SettingsFile
from app.theme import Appearance
from models import downloads
from models.engine.backend import Output
from models.hub import Hub
from models.hub_errors import PullCancelled, PullFailed
from models.hub_progress import PullProgress
from models.hub_search import HubModel
from models.model import Kind, Model
from models.prompt_files import PromptFiles
from models.records.records import Records
from models.records.values import Turn
from models.store import Store
from server.keys import Keys
from tests.conftest import REPOSITORY
from tests.fakes import ScriptedBackend, scripted_residency

POCKET = REPOSITORY / "resources/pocket"


class Babbler(ScriptedBackend):
    """Goes on for ever, at the pace of a real model."""

    def __init__(self, *pieces: str) -> None:
        super().__init__(*pieces, "...", context_length=1_000_000)

    def step(self) -> list[Output]:
        time.sleep(0.002)
        return super().step()


class FakeHub:
    """A hub of three models, whose downloads stand still until they are let go on."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked: list[str] = []
        self.go_on = threading.Event()
        self.failures_left = 0
        self.unreachable = False

    def search(self, query: str, limit: int = 30) -> list[HubModel]:
        if self.unreachable:
            raise PullFailed("The hub cannot be reached: check the connection, and try again.")
        found = [
            HubModel("mlx-community/Qwen3-4B-4bit", Kind.MLX, 1_234_567, 321, 2_400_000_000),
            HubModel("unsloth/Qwen3-4B-GGUF", Kind.LLAMA, 99_123, 0, None),
            HubModel("org/tiny", Kind.LLAMA, 12, 1, None),
        ]
        return [each for each in found if query.lower() in each.repo.lower()][:limit]

    def pull(
        self,
        name: str,
        on_progress: Callable[[PullProgress], None],
        cancelled: threading.Event,
    ) -> Model:
        self.asked.append(name)
        on_progress(PullProgress("pulling manifest"))
        on_progress(PullProgress("pulling", "tiny.gguf", 250_000, 1_000_000))
        while not self.go_on.is_set():
            if cancelled.is_set():
                raise PullCancelled
            time.sleep(0.01)
        if self.failures_left:
            self.failures_left -= 1
            self.go_on.clear()
            raise PullFailed("The connection was lost.")
        model = self._store.import_path(POCKET / "gguf/pocket.gguf", name)
        on_progress(PullProgress("success", "tiny.gguf", 1_000_000, 1_000_000))
        return model


class Desk:
    """All that a window needs, and the window."""

    def __init__(self, application: QApplication, home: Path, backend: ScriptedBackend) -> None:
        self.home = home
        self.backend = backend
        self.settings = SettingsFile(home)
        self.settings.change(ports=(0,), theme="light")
        self.store = Store(home, POCKET)
        self.residency = scripted_residency(backend, *self.store.list())
        self.records = Records(home)
        self.prompts = PromptFiles(home)
        self.keys = Keys(home)
        self.services = Services(
            self.store,
            self.residency,
            self.records,
            self.settings,
            self.prompts,
            self.keys,
            Hub(self.store),
        )
        self.chats = Chats(self.residency, self.records, "pocket:latest")
        self.library = Library(self.store, self.residency)
        self.hub = FakeHub(self.store)
        self.coming = downloads.Downloads(self.hub, home / downloads.FILE)
        self.downloads = Downloads(self.hub, self.coming)
        self.switch = ApiSwitch(self.settings, partial(api_server, self.services))
        self.appearance = Appearance(application, "light")
        self.window = MainWindow(
            home=home,
            settings=self.settings,
            appearance=self.appearance,
            chats=self.chats,
            library=self.library,
            downloads=self.downloads,
            switch=self.switch,
        )
        self.window.resize(1000, 700)

    def open_chat(self, qtbot, chat: str) -> None:
        self.chats.open(chat)
        qtbot.waitUntil(lambda: self.chats.current.state is State.IDLE)

    def open_past(self, qtbot, *turns: Turn) -> None:
        """Open a chat of days past, in which this was said."""
        self.records.add("old", "Old chat")
        for parent, turn in zip([None, *(each.id for each in turns)], turns, strict=False):
            self.records.put("old", parent, turn)
        self.open_chat(qtbot, "old")

    def say(self, text: str) -> None:
        self.window.chat.composer.input.setPlainText(text)
        self.window.chat.composer.button.click()

    def reply_rows(self) -> list[ReplyRow]:
        rows = self.window.chat.transcript.rows
        return [row for _, row in sorted(rows.items()) if isinstance(row, ReplyRow)]

    def close(self) -> None:
        self.window.hide()
        self.chats.close()
        self.downloads.close()
        self.coming.close()
        self.switch.close()
        self.services.close()
        for each in (self.window, self.chats, self.library, self.downloads, self.switch):
            each.deleteLater()
        self.appearance.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


@pytest.fixture
def desk_of(
    qapp: QApplication, qtbot, inglenook_home: Path
) -> Iterator[Callable[[ScriptedBackend], Desk]]:
    desks: list[Desk] = []

    def make(backend: ScriptedBackend) -> Desk:
        desks.append(Desk(qapp, inglenook_home, backend))
        desks[-1].window.show()
        desks[-1].window.activateWindow()
        qtbot.waitUntil(lambda: desks[-1].library.known)
        return desks[-1]

    yield make
    for desk in desks:
        desk.close()
