"""How a GGUF model may be loaded: with a smaller KV cache."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from models.chat import SamplingParams
from models.engine.backend import Decoded, Prefilled, SequenceFailed, Work
from models.engine.llama import LlamaBackend, open_llama
from models.model import Files, KvType
from tests.fakes import a_model, a_spec

POCKET_FILE = next((Path(__file__).parents[3] / "resources/pocket").rglob("pocket.gguf"))
CONTEXT = 16_384
PROMPT = tuple(range(300, 360))


@contextmanager
def loaded(**changes: Any) -> Iterator[LlamaBackend]:
    model = replace(a_model("pocket"), files=Files(POCKET_FILE.parent, POCKET_FILE.name))
    spec = replace(a_spec(model, context_length=CONTEXT), prompt_cache_bytes=4 << 20, **changes)
    woken = threading.Event()
    backend = open_llama(spec, woken.set)
    try:
        while not backend.load():
            assert woken.wait(20)
            woken.clear()
        yield backend
    finally:
        backend.close()


def said(backend: LlamaBackend, ticket: int = 1) -> tuple[bytes, int]:
    """Return what it says, and how much of the prompt it had."""
    greedy = SamplingParams(temperature=0.0, ignore_eos=True)
    backend.insert({ticket: Work(tokens=PROMPT, max_tokens=12, sampling=greedy)})
    text, cached = b"", 0
    while True:
        for output in backend.step():
            assert not isinstance(output, SequenceFailed)
            if isinstance(output, Prefilled):
                cached = output.cached_tokens
            if isinstance(output, Decoded):
                text += output.piece
                if output.finish:
                    return text, cached
        time.sleep(0.005)


def test_a_smaller_kv_type_takes_less_memory():
    resident: list[int] = []
    for kv_type in KvType:
        with loaded(kv_type=kv_type) as backend:
            assert said(backend)[0]
            resident.append(psutil.Process(backend.pid).memory_info().rss)

    assert resident == sorted(resident, reverse=True)
    assert resident[0] - resident[-1] > 8 << 20
