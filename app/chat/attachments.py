"""The pictures that go with the message that is being written: a view-model."""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import count
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from app import background
from app.chat import pictures
from app.chat.pictures import Taken
from app.chat.thumbnail import SMALL
from models.chat import Image
from models.images import MOST_PICTURES


class Attachments(QObject):
    """A picture is read before it is one of them: what no model could be shown is told at once."""

    changed = Signal()
    refused = Signal(str)  # a sentence: why one is not taken

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._numbers = count()
        self._taken: dict[int, Taken] = {}  # by when each was added
        self._reading = 0

    @property
    def taken(self) -> tuple[Taken, ...]:
        return tuple(taken for _, taken in sorted(self._taken.items()))

    @property
    def reading(self) -> bool:
        """Whether one is on its way."""
        return self._reading > 0

    def add_files(self, paths: Iterable[Path]) -> None:
        for path in paths:
            self._add(lambda path=path: pictures.taken_from(path, SMALL))

    def add_image(self, image: QImage) -> None:
        self._add(lambda: pictures.taken(image, SMALL))

    def remove(self, place: int) -> None:
        del self._taken[sorted(self._taken)[place]]
        self.changed.emit()

    def release(self) -> tuple[Image, ...]:
        """Return them, to be sent; there are none any more."""
        images = tuple(each.image for each in self.taken)
        if images:
            self._taken.clear()
            self.changed.emit()
        return images

    def _add(self, read: Callable[[], Taken]) -> None:
        if len(self._taken) + self._reading >= MOST_PICTURES:
            self.refused.emit(f"{MOST_PICTURES} pictures are the most for one message.")
            return
        self._reading += 1
        self.changed.emit()
        background.run(read, partial(self._on_read, next(self._numbers)), self, self._on_refused)

    def _on_read(self, number: int, taken: Taken) -> None:
        self._reading -= 1
        self._taken[number] = taken
        self.changed.emit()

    def _on_refused(self, sentence: str) -> None:
        self._reading -= 1
        self.changed.emit()
        self.refused.emit(sentence)
