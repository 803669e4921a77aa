"""Prompts that outlive the program: a shelf for each loaded model, and a thread that writes.

Nothing here fails a request. A folder that is full, not ours or not to be written switches the
writing off, with one line in the log; what is damaged is deleted, and was never there.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.prompt_entry import Entry, Note, Owner, PromptKind, Stopped, Tokens, spared
from models.prompt_folder import PromptFolder

log = logging.getLogger(__name__)

LEAST_TOKENS = 256  # fewer are read faster than they are found
LONG_TOKENS = 1000  # a prompt from here on is written at once: reading it again would be felt
CLOSE_SECONDS = 2.0  # that a model's or the program's end waits for what is being written
# Of what waits to be written, and so cannot be freed.
_MOST_QUEUED_BYTES = 1 << 30
# What a file may leave unread of a prompt, for which no further one is written.
_LEFT_SHARE = 0.1
# For the list of the files that were there at the start: longer than any takes.
_SCAN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Job:
    shelf: "Shelf"
    size_bytes: int
    run: Callable[[], object]


class PromptFiles:
    """The prompts on this disk. Any thread.

    ``most_bytes`` is what a person allows; None: see ``prompt_folder``. 0 switches it off.
    """

    def __init__(self, home: Path, most_bytes: int | None = None) -> None:
        self.folder = PromptFolder(home)
        self.most_bytes = most_bytes
        self._changed = threading.Condition()  # protects what follows
        self._jobs: deque[_Job] = deque()
        self._running: _Job | None = None
        self._thread: threading.Thread | None = None
        self._off = self._closed = False

    def shelf(self, owner: Owner, most_tokens: int) -> "Shelf":
        """Return an owner's prompts of up to ``most_tokens``; their list is read meanwhile."""
        shelf = Shelf(self, owner, most_tokens)
        if not self.submit(_Job(shelf, 0, shelf.scan)):
            shelf.scanned.set()
        return shelf

    def close(self) -> None:
        """Wait a moment for what is being written, and drop the rest."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread:
            thread.join(CLOSE_SECONDS)

    @property
    def closed(self) -> bool:
        return self._closed

    def submit(self, job: _Job) -> bool:
        """Have a job done by the writing thread; return False where it has too much to do."""
        with self._changed:
            queued = sum(each.size_bytes for each in self._jobs)
            if self._closed or self._off or self.most_bytes == 0:
                return False
            if self._jobs and queued + job.size_bytes > _MOST_QUEUED_BYTES:
                return False
            self._jobs.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="prompt-files", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return True

    def finish(self, shelf: "Shelf", seconds: float) -> None:
        """Wait until the jobs of a shelf are done, and drop those that then are not."""
        with self._changed:
            self._changed.wait_for(lambda: not self._has(shelf), seconds)
            shelf.ended = True
            self._jobs = deque(each for each in self._jobs if each.shelf is not shelf)

    def _has(self, shelf: "Shelf") -> bool:
        jobs = (*self._jobs, self._running)
        return any(each and each.shelf is shelf for each in jobs)

    # -- The writing thread -------------------------------

    def _work(self) -> None:
        try:
            self.folder.prepare()
        except OSError as error:
            self._turn_off(error)
        while job := self._next():
            try:
                job.run()
            except Stopped:
                pass
            except OSError as error:
                self._turn_off(error)
            except Exception:
                log.exception("A prompt of %s could not be kept", job.shelf.owner.name)
            job.shelf.scanned.set()
            with self._changed:
                self._running = None
                del job  # with the arrays it holds
                self._changed.notify_all()

    def _next(self) -> _Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            if self._closed:
                self._jobs.clear()
                return None
            self._running = self._jobs.popleft()
            return self._running

    def _turn_off(self, error: OSError) -> None:
        with self._changed:
            if not self._off:
                log.warning("Prompts are not kept in %s any more: %s", self.folder.path, error)
            self._off = True
            for each in self._jobs:
                each.shelf.scanned.set()
            self._jobs.clear()


class Shelf:
    """The prompts of one loaded model. Any thread, but for ``scan``."""

    def __init__(self, files: PromptFiles, owner: Owner, most_tokens: int) -> None:
        self.owner = owner
        self.scanned = threading.Event()
        self.ended = False
        self._files = files
        self._most_tokens = most_tokens
        self._lock = threading.Lock()  # protects the list
        self._entries: list[Entry] = []

    def longest(self, tokens: Sequence[int], grid: int | None = None) -> tuple[Entry, int] | None:
        """Return the entry that spares most of a prompt, and how many tokens that are.

        The last token is never among them: a model is fed one at least.

        Args:
            grid: only a multiple of so many, and only as a cold run would have it.
        """
        self.scanned.wait(_SCAN_SECONDS)
        wanted = Tokens.of(tokens)
        best, length = None, 0
        for entry in self._all():
            common = self._spared(entry, wanted, len(wanted) - 1, grid)
            if common > length:
                best, length = entry, common
        return (best, length) if best else None

    def whole(self, entry: Entry, stopped: Callable[[], bool] = lambda: False) -> Path | None:
        """Return the payload of an entry that is as it was written; what is not is deleted.

        Raises:
            Stopped
        """
        if entry.is_whole(stopped):
            self._files.folder.touch(entry.folder)
            return entry.payload
        log.info("A remembered prompt of %s was damaged, and is deleted", self.owner.name)
        self.drop(entry)
        return None

    def drop(self, entry: Entry) -> None:
        """Delete an entry."""
        self.pass_over(entry)
        self._files.folder.remove(entry.folder)

    def pass_over(self, entry: Entry) -> None:
        """Leave an entry where it is, for whoever loads the model next."""
        with self._lock:
            self._entries = [each for each in self._entries if each is not entry]

    def wants(self, tokens: Sequence[int], exact: int = 0) -> bool:
        """Whether a prompt is worth a file, as far as is known. ``exact``: as in its ``Note``."""
        return not self.ended and self._wants(Tokens.of(tokens), exact)

    def put(self, note: Note, size_bytes: int, write: Callable[[Path], object]) -> bool:
        """Have a payload written, of about that size; return whether it will be tried.

        ``write`` is called on the writing thread with the name of a file to make. It raises
        OSError, or Stopped as soon as ``stopped`` says so.
        """
        if self.ended:
            return False
        return self._files.submit(_Job(self, size_bytes, lambda: self.add(note, size_bytes, write)))

    def later(self, size_bytes: int, run: Callable[[], object]) -> bool:
        """Have something done on the writing thread, in its turn."""
        return not self.ended and self._files.submit(_Job(self, size_bytes, run))

    def stopped(self) -> bool:
        return self.ended or self._files.closed

    def close(self) -> None:
        """Wait a moment for what is to be written, and drop the rest."""
        self._files.finish(self, CLOSE_SECONDS)

    # -- The writing thread -------------------------------

    def scan(self) -> None:
        found = self._files.folder.entries(self.owner)
        with self._lock:
            self._entries += found
        self.scanned.set()

    def has_room(self, size_bytes: int) -> bool:
        """Delete until that much may be written; return whether it may. Raises OSError."""
        return self._files.folder.make_room(size_bytes, self._files.most_bytes)

    def add(self, note: Note, size_bytes: int, write: Callable[[Path], object]) -> None:
        """What ``put`` has done later. Raises OSError, Stopped."""
        if self.stopped() or not self._wants(note.tokens, note.exact):
            return
        if not self.has_room(size_bytes):
            return
        folder = self._files.folder
        added = folder.add(self.owner, note, write, self.stopped)
        if added is None:
            return
        with self._lock:
            old = [each for each in self._entries if _replaces(added, each)]
            self._entries = [each for each in self._entries if each not in old] + [added]
        for each in old:
            folder.remove(each.folder)

    # -- Inside -------------------------------------------

    def _wants(self, tokens: Tokens, exact: int) -> bool:
        if len(tokens) < LEAST_TOKENS or self._files.most_bytes == 0:
            return False
        for entry in self._all():
            left = max(
                len(tokens) - self._spared(entry, tokens, len(tokens), None),
                exact - self._spared(entry, tokens, exact, 1),
            )
            # It may have made room for others.
            if left <= len(tokens) * _LEFT_SHARE and entry.folder.exists():
                return False
        return True

    def _spared(self, entry: Entry, wanted: Tokens, most: int, grid: int | None) -> int:
        own = entry.note.tokens
        if len(own) > self._most_tokens:
            return 0
        common = min(own.common(wanted), most)
        return spared(common, len(own), entry.note.exact, grid, cuttable=entry.note.cuttable)

    def _all(self) -> list[Entry]:
        if self._files.most_bytes == 0:
            return []
        with self._lock:
            return list(self._entries)


def _replaces(new: Entry, old: Entry) -> bool:
    """Whether hardly anybody needs ``old`` any more: the other begins with it."""
    begins = old.note.tokens.common(new.note.tokens) == len(old.note.tokens)
    if not begins or old.note.exact > new.note.exact:
        return False
    same_kind = old.note.kind is new.note.kind
    if old.note.kind is PromptKind.SYSTEM:
        return same_kind and len(old.note.tokens) == len(new.note.tokens)
    return new.note.cuttable or same_kind
