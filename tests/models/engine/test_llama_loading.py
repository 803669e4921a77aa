"""How a GGUF model may be loaded: with a smaller KV cache, and with adapters."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from models.chat import SamplingParams
from models.engine.backend import Adapter, Decoded, Prefilled, SequenceFailed, Work
from models.engine.llama import LlamaBackend, open_llama
from models.errors import LoadFailed
from models.model import Files, KvType
from tests.fakes import a_model, a_spec

gguf = pytest.importorskip("gguf")

POCKET_FILE = next((Path(__file__).parents[3] / "resources/pocket").rglob("*.gguf"))
WIDTH = 192  # of pocket
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
    greedy = SamplingParams(temperature=0.0)
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


def write_adapter(path: Path, width: int = WIDTH) -> Path:
    draws = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    for end in ("a", "b"):
        shape = (4, width) if end == "a" else (width, 4)
        weights = draws.standard_normal(shape, dtype=np.float32)
        writer.add_tensor(f"blk.0.attn_q.weight.lora_{end}", weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_smaller_kv_type_takes_less_memory():
    resident: list[int] = []
    for kv_type in KvType:
        with loaded(kv_type=kv_type) as backend:
            assert said(backend)[0]
            resident.append(psutil.Process(backend.pid).memory_info().rss)

    assert resident == sorted(resident, reverse=True)
    assert resident[0] - resident[-1] > 8 << 20


def test_an_adapter_changes_what_is_said_and_its_prompts_are_found_again(tmp_path: Path):
    path = write_adapter(tmp_path / "adapter.gguf")
    with loaded() as backend:
        plain, _ = said(backend)
    with loaded(adapters=(Adapter(path, 0.0),)) as backend:
        switched_off, _ = said(backend)
    with loaded(adapters=(Adapter(path),)) as backend:
        changed, _ = said(backend)
        again, cached = said(backend, 2)

    assert switched_off == plain
    assert changed != plain
    assert again == changed
    assert cached == len(PROMPT) - 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("narrow.gguf", "its adapter was made for another model"),
        ("text.gguf", "its adapter text.gguf is missing, or is none"),
        ("gone.gguf", "its adapter gone.gguf is missing, or is none"),
    ],
)
def test_an_adapter_that_does_not_fit_is_told_in_words(name: str, words: str, tmp_path: Path):
    write_adapter(tmp_path / "narrow.gguf", width=100)
    (tmp_path / "text.gguf").write_text("This is no adapter.")

    with (
        pytest.raises(LoadFailed, match=words),
        loaded(adapters=(Adapter(tmp_path / name),)),
    ):
        pass
