"""Times what a drafted token costs a GGUF model on this computer: once, when it is loaded."""

import http.client
import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing

from models.engine.llama_client import JSON, LlamaClient
from models.engine.llama_process import LlamaProcess
from models.engine.llama_request import LlamaRequests

log = logging.getLogger(__name__)

# A small model takes 0.5 s. One that has not come to its end after so many is not waited for.
_MOST_SECONDS = 3.0
_ROUNDS = 2  # the fastest counts: whatever else the computer does only adds to it
_READ = 28  # a look-up goes by the latest 24, and they have to stand there before
_PLAIN = 2  # one pass behind the first, for which nothing would be drafted
_LOOKED_UP = 17  # likewise one pass, over the longest draft: all of it is right
_GUESSED = 5  # four passes at most, over six drafted tokens
CELLS = _READ + _LOOKED_UP  # that it leaves in a slot at most


class DraftTrial(threading.Thread):
    """It asks the child from its making on; ``done`` is called last, on this thread.

    ``cost`` is that of a drafted token, guessing included, where a pass over one token costs 1;
    None where that could not be found out. ``guessed``: a model drafts.
    """

    cost: float | None = None
    is_over = False

    def __init__(
        self,
        process: LlamaProcess,
        requests: LlamaRequests,
        done: Callable[[], None],
        *,
        guessed: bool,
    ) -> None:
        super().__init__(name=f"llama-trial-{process.pid}", daemon=True)
        self._process = process
        self._requests = requests
        self._done = done
        self._drafting = _GUESSED if guessed else _LOOKED_UP
        self.start()

    def run(self) -> None:
        try:
            self.cost = self._timed()
        except (OSError, http.client.HTTPException):
            pass  # it is too slow, or gone
        except Exception:
            log.exception("What drafts cost could not be timed")
        self.is_over = True
        self._done()

    def _timed(self) -> float | None:
        deadline = time.monotonic() + _MOST_SECONDS
        self._ask(_PLAIN, deadline)  # its weights may come from the disk
        rounds = range(_ROUNDS)
        pass_ms = min(self._ask(_PLAIN, deadline)["predicted_ms"] for _ in rounds)
        costs = (_cost(self._ask(self._drafting, deadline), pass_ms) for _ in rounds)
        return min((each for each in costs if each is not None), default=None)

    def _ask(self, count: int, deadline: float) -> JSON:
        """Return how long the child says it took to write so many tokens. Raises OSError."""
        left = max(0.01, deadline - time.monotonic())
        with closing(LlamaClient(self._process, timeout_seconds=left)) as client:
            client.connect()
            body = self._requests.always | self._requests.monotone(_READ, count)
            return json.load(client.post("/completion", body))["timings"]


def _cost(timings: JSON, pass_ms: float) -> float | None:
    drafted: int = timings.get("draft_n", 0)
    if not drafted:
        return None
    passes = timings["predicted_n"] - 1 - timings["draft_n_accepted"]
    return max(0.0, timings["predicted_ms"] / pass_ms - passes) / drafted
