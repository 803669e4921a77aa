"""What a prompt begins with is looked up, and what was read is kept.

In memory it is found at once. While the disk brings something the prompt is held, and others go
on; one entry comes at a time, since the next prompt may begin with the same.
"""

import logging
from collections.abc import Sequence

from models.engine.mlx_layers import Layer
from models.engine.mlx_queue import Job
from models.engine.prefix_cache import Fetch, Hit, Kind, PrefixCache

log = logging.getLogger(__name__)


class Recall:
    """Only the lane's thread calls it."""

    def __init__(self, prefixes: PrefixCache) -> None:
        self._prefixes = prefixes
        self._fetch: Fetch | None = None
        self._job: Job | None = None  # whose that is

    @property
    def has_work(self) -> bool:
        return self._fetch is not None and self._fetch.ready

    def look_up(self, job: Job) -> None:
        """Have a prompt begin with what is known, now or (``held``) in a later step."""
        prefill = job.prefill
        if prefill.echo:  # its own tokens are to be computed, all of them
            self._begin(job, None)
            return
        if self._prefixes.tier_has_more(prefill.keys, prefill.grid):
            if self._fetch is None:
                self._fetch = self._prefixes.fetch_from_tier(prefill.keys, prefill.grid)
                self._job = job
            job.held = self._fetch is not None
        if not job.held:
            self._begin(job, self._prefixes.fetch(prefill.keys, prefill.grid))

    def step(self, reading: Sequence[Job]) -> None:
        """Bring some more from the disk; with the last of it nobody is ``held`` any more."""
        if not self._fetch or not self._fetch.ready or not self._fetch.go_on():
            return
        found, job = self._fetch.found, self._job
        self._fetch = self._job = None
        for each in reading:
            each.held = False
        if not found or not job:
            return
        try:
            hit = self._prefixes.take(job.prefill.keys, found)
        except Exception:
            log.exception("What was on the disk could not be used")
            self._prefixes.clear()
            hit = None
        if job in reading:
            self._begin(job, hit)

    def keep(self, tokens: Sequence[int], layers: list[Layer], kind: Kind, exact: int) -> None:
        try:
            self._prefixes.add(tokens, layers, kind=kind, exact=exact)
        except Exception:  # to keep it was a favour
            log.exception("What was read could not be kept")
            self._prefixes.clear()

    def close(self) -> None:
        if self._fetch:
            self._fetch.cancel()
        self._prefixes.close()

    def _begin(self, job: Job, hit: Hit | None) -> None:
        job.prefill.begin(hit)
        job.looked_up = True
