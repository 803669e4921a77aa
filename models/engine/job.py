"""One request on its way: where it stands, and which moves are lawful.

    arrived ──► parked ──► waiting ──► preparing ──► inserted ──► decoding ──► ended
        └─────────┴───────────┴────────────┴─────────────┴────────────────────────▲

=========  ==========================================================================
arrived    in the inbox of its lane
parked     waits for memory, or for a model that is in its way to finish
waiting    its model is loading, or has enough prompts in preparation
preparing  rendered and tokenised, on a thread of its own
inserted   with its backend: the prompt is read, or texts are embedded
decoding   the prompt is in the KV cache, and tokens come
ended      its last event has been told
=========  ==========================================================================
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from models.chat import ModelRequest, Origin
from models.engine.embedding import Embedding
from models.engine.generation import Generation
from models.events import Sink
from models.model import Model


class State(StrEnum):
    ARRIVED = "arrived"
    PARKED = "parked"
    WAITING = "waiting"
    PREPARING = "preparing"
    INSERTED = "inserted"
    DECODING = "decoding"
    ENDED = "ended"


MOVES: Mapping[State, frozenset[State]] = {
    State.ARRIVED: frozenset({State.PARKED, State.WAITING, State.ENDED}),
    State.PARKED: frozenset({State.WAITING, State.ENDED}),
    State.WAITING: frozenset({State.PREPARING, State.ENDED}),
    State.PREPARING: frozenset({State.INSERTED, State.ENDED}),
    State.INSERTED: frozenset({State.DECODING, State.ENDED}),
    State.DECODING: frozenset({State.ENDED}),
    State.ENDED: frozenset(),
}


# Prompts in preparation at a time: each is a thread, and most of the work is one core's.
_MOST_PREPARING = 4
# Beside them: whoever waits for pictures of a slow server does not keep others waiting.
_MOST_READING_PICTURES = 16


@dataclass(slots=True, eq=False)
class Job:
    ticket: int
    request: ModelRequest
    sink: Sink
    origin: Origin
    submitted: float  # time.monotonic()
    state: State = State.ARRIVED
    generation: Generation | Embedding | None = None  # once it is inserted

    def move(self, state: State) -> None:
        """Raises AssertionError where that is no lawful move: a bug of ours."""
        assert state in MOVES[self.state], f"request {self.ticket}: {self.state} to {state}"
        self.state = state


@dataclass(slots=True, eq=False)
class Group:
    """Requests with one prompt, that differ in seed and sink alone. Mostly it is one.

    The prompt is prepared once for all of them; each is cancelled alone.
    """

    model: Model
    jobs: list[Job] = field(default_factory=list[Job])
    reading_pictures: bool = False  # before its prompt is made; they may come from the web

    @property
    def request(self) -> ModelRequest:
        return self.jobs[0].request

    def move(self, state: State) -> None:
        for job in self.jobs:
            if job.state is not state:
                job.move(state)

    def take_out(self, ticket: int) -> Job | None:
        """Remove and return the job with this ticket, if it is one of these."""
        for job in self.jobs:
            if job.ticket == ticket:
                self.jobs.remove(job)
                return job
        return None


def are_enough(preparing: Collection[Group]) -> bool:
    """Whether these are as many as may be in preparation."""
    reading = sum(each.reading_pictures for each in preparing)
    return reading >= _MOST_READING_PICTURES or len(preparing) - reading >= _MOST_PREPARING
