"""Whose turn it is to have its prompt read, and who may not even begin."""

from dataclasses import dataclass, field

from models.engine.mlx_prefill import Prefill
from models.engine.mlx_sequence import Sequence as Row

# A prompt with more chunks to read than these lets shorter ones go first, but not for ever:
# after so many chunks of others it has its turn.
_SHORT_CHUNKS = 4
_MOST_PASSED = 8


@dataclass(slots=True, eq=False)
class Job:
    """Sequences of one prompt, which is read once for all of them."""

    rows: list[Row]
    prefill: Prefill
    length: int  # tokens that each may be expected to come to
    likely_left: int  # tokens to be read
    resumed: bool = False  # what is told of a beginning has been told
    looked_up: bool = False  # whether the prefix cache has been asked
    held: bool = False  # until something has come from the disk
    passed: int = field(default=0, init=False)  # chunks of others that came first

    @property
    def urgent(self) -> bool:
        return any(row.urgent for row in self.rows)

    @property
    def left(self) -> int:
        return self.prefill.left if self.looked_up else self.likely_left

    def split(self, count: int) -> "Job":
        """Leave so many rows here, and return the others with a reading of their own."""
        others, self.rows = self.rows[count:], self.rows[:count]
        return Job(others, self.prefill.anew(), self.length, self.likely_left, self.resumed)


class Queue:
    """``waiting`` have no place yet; the prompts of ``reading`` are read, chunk by chunk."""

    def __init__(self, chunk: int) -> None:
        self.waiting: list[Job] = []
        self.reading: list[Job] = []
        self._short = _SHORT_CHUNKS * chunk

    def __bool__(self) -> bool:
        return bool(self.waiting or self._readable)

    def add(self, job: Job) -> None:
        """At the end of its kind: who is watched goes before who is not."""
        place = len(self.waiting)
        if job.urgent:
            place = sum(each.urgent for each in self.waiting)
        self.waiting.insert(place, job)

    def put_back(self, job: Job) -> None:
        """First in line: it has been waiting, or running, already."""
        self.waiting.insert(0, job)

    def pick(self) -> Job | None:
        """Return whose next chunk is to be read."""
        for job in self._readable:
            if job.passed >= _MOST_PASSED:
                return job
        return min(
            self._readable, key=lambda job: (not job.urgent, job.left > self._short), default=None
        )

    @property
    def _readable(self) -> list[Job]:
        return [job for job in self.reading if not job.held]

    def had_turn(self, job: Job) -> None:
        """Be told that a chunk of it was read."""
        for each in self.reading[: self.reading.index(job)]:
            each.passed += 1
        job.passed = 0

    def remove_row(self, ticket: int) -> Job | None:
        """Take a row out; return its job, which may have none left."""
        for jobs in (self.waiting, self.reading):
            for job in jobs:
                if any(row.ticket == ticket for row in job.rows):
                    job.rows = [row for row in job.rows if row.ticket != ticket]
                    if not job.rows:
                        jobs.remove(job)
                    return job
        return None
