"""Counters: what a backend keeps and has kept back, for ``ps``."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What a backend keeps at this moment, and what has come of that since it was loaded."""

    prompt_cache_bytes: int = 0  # in memory, of prompts whose sequence has ended
    prompt_cache_hits: int = 0  # sequences that found a part of their prompt there, or on the disk
    prompt_cache_misses: int = 0  # those that found nothing
    waiting_sequences: int = 0  # inserted, and kept back until there is a place or memory
    drafted_tokens: int = 0  # that were guessed, and then read by the model in one pass
    accepted_tokens: int = 0  # of these, those that it would have written
    drafts_lose: bool = False  # of late it has been slower with them than it would be without
