"""When a llama.cpp child is given a prompt from the disk, and when one of its slots is saved.

The child chooses the slot of a request by itself: that which has most of the prompt. So what
is restored is found by the request that follows, if nobody takes the slot before. Which slot is
taken is known only once a request has been answered something; until then nothing is restored,
and while something is, no other request is sent.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from models.engine.llama_disk import LlamaDisk
from models.engine.llama_process import LlamaProcess
from models.engine.llama_slots import Turn
from models.engine.prepared import has_places
from models.prompt_entry import Tokens
from models.prompt_files import LEAST_TOKENS, LONG_TOKENS

log = logging.getLogger(__name__)

# A child that writes a slot answers nobody meanwhile: the next request of an agent is not to
# wait for that.
_QUIET_SECONDS = 2.0
# Prompts that the child may have, in its slots and in its own memory of prompts.
_REMEMBERED = 64


class Recall:
    """Only the lane's thread calls it."""

    def __init__(self, disk: LlamaDisk, process: LlamaProcess) -> None:
        self._disk = disk
        self._process = process
        self._read: deque[Tokens] = deque(maxlen=_REMEMBERED)  # by the child, since its start
        self._running: dict[Turn, Sequence[int]] = {}  # and their prompts
        self._unheard: set[Turn] = set()  # of those, which may not have a slot yet
        self._restoring: Turn | None = None
        self._held: dict[int, Sequence[int]] = {}  # by slot: what ended there, the newest last
        self._timer: threading.Timer | None = None

    @property
    def may_begin(self) -> bool:
        """Whether another turn may be sent to the child now."""
        return self._restoring is None

    def cells(self, tokens: Sequence[int]) -> int:
        """Return how many cells of the KV cache the entry takes that may be restored for it."""
        length, cells = self._disk.longest(tokens)
        wanted = Tokens.of(tokens)
        has = max((each.common(wanted) for each in self._read), default=0)
        return cells if length > has + LEAST_TOKENS else 0

    def begin(self, turn: Turn, tokens: Sequence[int]) -> Callable[[], object] | None:
        """A turn is sent. Return what is to be done before, on another thread."""
        if self._timer:
            self._timer.cancel()
        wanted = not self._unheard and bool(self.cells(tokens))
        self._running[turn] = tokens
        self._unheard.add(turn)
        self._read.append(Tokens.of(tokens))
        if not wanted:
            return None
        self._restoring = turn
        return partial(self._restore, tokens)

    def begin_other(self, turn: Turn) -> None:
        """Texts to embed are sent: they take some slot, and what it had is not there any more."""
        if self._timer:
            self._timer.cancel()
        self._running[turn] = ()
        self._unheard.add(turn)
        self._held.clear()

    def heard(self, turn: Turn) -> None:
        """The child has answered something: the turn has its slot."""
        self._unheard.discard(turn)
        if turn is self._restoring:
            self._restoring = None

    def end(self, turn: Turn, slot: int | None) -> None:
        """A turn has left the child. No ``slot``: it was cancelled, or failed."""
        self.heard(turn)
        tokens = self._running.pop(turn)
        if slot is not None:
            self._held.pop(slot, None)
            if not has_places(tokens):  # in a slot's file there are no pictures
                self._held[slot] = tokens
        if not self._running:
            self._timer = threading.Timer(_QUIET_SECONDS, self._save, (self._of(LONG_TOKENS),))
            self._timer.name = "llama-quiet"
            self._timer.daemon = True
            self._timer.start()

    def close(self) -> None:
        """Save what is not saved, as far as that takes no more than a moment."""
        if self._timer:
            self._timer.cancel()
        self._running.clear()
        if not self._process.dead:
            self._save(self._of(LEAST_TOKENS))
        self._disk.close()

    def _of(self, least_tokens: int) -> list[tuple[int, Sequence[int]]]:
        held = reversed(self._held.items())
        return [(slot, tokens) for slot, tokens in held if len(tokens) >= least_tokens]

    def _restore(self, tokens: Sequence[int]) -> None:  # on a stream's thread
        try:
            self._disk.restore(self._process, tokens)
        except Exception:  # then it is read
            log.exception("A remembered prompt could not be restored")

    def _save(self, held: list[tuple[int, Sequence[int]]]) -> None:  # on the timer's thread too
        for slot, tokens in held:
            self._disk.save(self._process, slot, tokens, lambda: not self._running)
