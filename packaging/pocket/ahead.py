"""Batches that other processes make while the network learns from the ones before."""

# pyright: strict

import multiprocessing
import pickle
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import count
from typing import Any, TypeVar

import torch

T = TypeVar("T")
DEPTH = 4  # batches for each process, made or under way

_make: Callable[[int], Any]  # of this process


def ahead(maker: Callable[[], Callable[[int], T]], first: int, processes: int) -> Iterator[T]:
    """Yield for ever what is made for ``first``, ``first + 1``...

    Args:
        maker: called once in each process; returns what makes the batch of a number.
        processes: none: each is made here, when it is asked for.
    """
    if not processes:
        yield from map(maker(), count(first))
    spawn = multiprocessing.get_context("spawn")  # a process with CUDA in it must not be forked
    pool = ProcessPoolExecutor(processes, spawn, _begin, (maker,))
    made: deque[Future[bytes]] = deque()
    try:
        for number in count(first):
            made.append(pool.submit(_made, number))
            if len(made) > DEPTH * processes:
                yield pickle.loads(made.popleft().result())
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(maker: Callable[[], Callable[[int], Any]]) -> None:
    global _make  # noqa: PLW0603 - a process of the pool has this one thing to do
    torch.set_num_threads(1)
    _make = maker()


def _made(number: int) -> bytes:
    # As bytes: torch would hand over each tensor as an open file.
    return pickle.dumps(_make(number))
