"""What MLX remembers on the disk: every kind of cache, written, read and gone on from."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from models.engine.installed import has_mlx
from models.engine.mlx_disk import MlxDisk, open_mlx_disk
from models.engine.mlx_library import end_thread, import_library
from models.model import Files, Kind
from models.prompt_entry import HEADER, PromptKind
from models.prompt_files import PromptFiles
from models.prompt_folder import PromptFolder
from tests.fakes import a_model, a_spec

pytestmark = pytest.mark.skipif(
    not has_mlx(), reason="MLX is not installed: pip install -e '.[mlx]'"
)

VOCABULARY = 256
PROMPT = [3 + place * 37 % 250 for place in range(600)]
LATER = [*PROMPT, 7, 8, 9, 10, 11]
ANSWER_TOKENS = 12
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 64,
    "head_dim": 16,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10_000.0,
    "max_position_embeddings": 4096,
}
# One for each kind of cache that mlx_lm has.
KINDS: dict[str, dict[str, Any]] = {
    "llama": {},  # KVCache
    "gemma3_text": {  # RotatingKVCache, KVCache
        "sliding_window": 32,
        "sliding_window_pattern": 3,
        "query_pre_attn_scalar": 16,
    },
    "lfm2": {  # ArraysCache, KVCache
        "norm_eps": 1e-5,
        "conv_bias": False,
        "conv_L_cache": 3,
        "block_dim": 32,
        "block_multiple_of": 16,
        "block_ffn_dim_multiplier": 1.0,
        "block_auto_adjust_ff_dim": True,
        "block_ff_dim": 64,
        "full_attn_idxs": [1],
    },
    "falcon_h1": {  # CacheList
        "mamba_d_ssm": 64,
        "mamba_d_head": 32,
        "mamba_n_heads": 2,
        "mamba_d_state": 16,
    },
}


class Machine:
    """A model and what it has on the disk; every call is made on one thread, as a lane does."""

    def __init__(self, thread: ThreadPoolExecutor, home: Path, kind: str) -> None:
        self._thread = thread
        self.home = home
        self.call(self._make, kind)
        self.restart()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self._thread.submit(function, *arguments).result()

    def restart(self, chunk_tokens: int = 256, digest: str = "0" * 64) -> None:
        if hasattr(self, "disk"):
            self.close()
        model = a_model("tiny", kind=Kind.MLX)
        spec = a_spec(
            replace(model, files=Files(self.home, ""), digest=digest), context_length=4096
        )
        self.files = PromptFiles(self.home, 1 << 30)
        self.disk: MlxDisk = self.call(open_mlx_disk, self.files, self.library, spec, chunk_tokens)

    def close(self) -> None:
        self.call(self.disk.close)
        self.files.close()

    def read(self, tokens: list[int]) -> list[Any]:
        """Return the layers after all tokens but the last, as the batch extracts them."""
        return self.call(self._read, tokens)

    def answer(
        self, tokens: list[int], layers: list[Any] | None = None, held: int = 0
    ) -> list[int]:
        return self.call(self._answer, tokens, layers, held)

    def _make(self, kind: str) -> None:
        self.library = import_library()
        mx = self.library.mx
        mx.random.seed(0)
        module = import_module(f"mlx_lm.models.{kind}")
        arguments = module.ModelArgs.from_dict({"model_type": kind, **SHAPE, **KINDS[kind]})
        self.model = module.Model(arguments)
        mx.eval(self.model.parameters())

    def _batch(self) -> Any:
        return self.library.new_batch(
            self.model, completion_batch_size=4, prefill_batch_size=1, prefill_step_size=256
        )

    def _read(self, tokens: list[int]) -> list[Any]:
        batch = self._batch()
        batch.insert([tokens], [1])
        while True:
            for prompt in batch.next()[0]:
                if prompt.end_of_segment and not prompt.end_of_prompt:
                    layers, read = batch.extract_cache([prompt.uid])[prompt.uid]
                    assert read == tokens[:-1]
                    return layers

    def _answer(self, tokens: list[int], layers: list[Any] | None, held: int) -> list[int]:
        batch = self._batch()
        more = {"caches": [layers], "all_tokens": [tokens[:held]]} if layers else {}
        batch.insert([tokens[held:]], [ANSWER_TOKENS], **more)
        said: list[int] = []
        while len(said) < ANSWER_TOKENS:
            said += [each.token for each in batch.next()[1]]
        return said


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Callable[..., Machine]]:
    machines: list[Machine] = []
    with ThreadPoolExecutor(1, thread_name_prefix="lane-mlx") as thread:

        def make(kind: str = "llama") -> Machine:
            machines.append(Machine(thread, tmp_path, kind))
            return machines[-1]

        yield make
        for each in machines:
            each.close()
        machines.clear()
        thread.submit(end_thread).result()


def remembered(home: Path) -> list[Path]:
    return sorted(PromptFolder(home).path.glob("[a-z]*"))


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_restart_the_text_goes_on_as_if_all_had_been_read(
    kind: str, machine: Callable[..., Machine]
) -> None:
    tiny = machine(kind)
    cold = tiny.answer(LATER)
    tiny.call(tiny.disk.keep, PROMPT[:-1], tiny.read(PROMPT), PromptKind.TURN)
    tiny.restart()

    assert tiny.call(tiny.disk.longest, LATER) == len(PROMPT) - 1
    layers, held = tiny.call(tiny.disk.fetch, LATER)

    assert held == len(PROMPT) - 1
    assert tiny.answer(LATER, layers, held) == cold


def test_a_prompt_that_parts_earlier_gets_what_it_has_in_common(
    machine: Callable[..., Machine],
) -> None:
    tiny = machine()
    other = [*PROMPT[:300], 1, 2, 3]
    tiny.call(tiny.disk.keep, PROMPT[:-1], tiny.read(PROMPT), PromptKind.TURN)
    tiny.restart()

    layers, held = tiny.call(tiny.disk.fetch, other)

    assert held == 300
    assert tiny.answer(other, layers, held) == tiny.answer(other)


def test_a_view_of_a_longer_prompt_is_written_without_the_rest(
    machine: Callable[..., Machine],
) -> None:
    tiny = machine()
    layers = tiny.read(PROMPT)
    for layer in layers:
        layer.trim(len(PROMPT) - 1 - 400)

    tiny.call(tiny.disk.keep, PROMPT[:400], layers, PromptKind.HISTORY)
    tiny.restart()

    (folder,) = remembered(tiny.home)
    kv_bytes = 400 * 3 * 2 * 16 * 4  # layers, keys and values, width, float32
    assert 0 < (folder / "layers.safetensors").stat().st_size - kv_bytes < 4096
    layers, held = tiny.call(tiny.disk.fetch, LATER)
    assert tiny.answer(LATER, layers, held) == tiny.answer(LATER)


def test_keeping_calls_nothing_of_mlx_on_another_thread(machine: Callable[..., Machine]) -> None:
    """Each thread that does would have streams of its own, to be cleared at its end."""
    tiny = machine()
    threads: set[str] = set()
    mx = tiny.library.mx

    class Watched:
        def __getattr__(self, name: str) -> Any:
            threads.add(threading.current_thread().name)
            return getattr(mx, name)

    tiny.disk._library = replace(tiny.library, mx=Watched())  # type: ignore[assignment]
    tiny.call(tiny.disk.keep, PROMPT[:-1], tiny.read(PROMPT), PromptKind.TURN)
    tiny.restart()

    assert remembered(tiny.home)
    assert {name.rpartition("_")[0] for name in threads} == {"lane-mlx"}


# -- Faults --------------------------------------------


def flip_a_bit(folder: Path) -> None:
    path = folder / "layers.safetensors"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(raw)


def cut_a_byte(folder: Path) -> None:
    path = folder / "layers.safetensors"
    os.truncate(path, path.stat().st_size - 1)


def empty_the_header(folder: Path) -> None:
    (folder / HEADER).write_bytes(b"")


@pytest.mark.parametrize("fault", [flip_a_bit, cut_a_byte, empty_the_header])
def test_a_damaged_file_is_gone_and_the_prompt_is_read_again(
    fault: Callable[[Path], None], machine: Callable[..., Machine]
) -> None:
    tiny = machine()
    tiny.call(tiny.disk.keep, PROMPT[:-1], tiny.read(PROMPT), PromptKind.TURN)
    tiny.close()
    fault(*remembered(tiny.home))
    tiny.restart()

    assert tiny.call(tiny.disk.fetch, LATER) is None
    assert remembered(tiny.home) == []


def test_what_another_model_of_the_same_shape_has_written_is_not_loaded(
    machine: Callable[..., Machine],
) -> None:
    tiny = machine()
    tiny.call(tiny.disk.keep, PROMPT[:-1], tiny.read(PROMPT), PromptKind.TURN)
    tiny.restart(digest="1" * 64)
    (theirs,) = remembered(tiny.home)
    ours = tiny.disk._shelf.owner.key
    kind, _, prompt = theirs.name.split("-")
    shutil.copytree(theirs, theirs.with_name(f"{kind}-{ours}-{prompt}"))
    tiny.restart(digest="1" * 64)

    assert tiny.call(tiny.disk.fetch, LATER) is None
    assert remembered(tiny.home) == [theirs]


def test_what_was_read_in_other_chunks_is_of_no_use(machine: Callable[..., Machine]) -> None:
    tiny = machine()
    tiny.call(tiny.disk.keep, PROMPT[:-1], tiny.read(PROMPT), PromptKind.TURN)
    tiny.restart(chunk_tokens=512)

    assert tiny.call(tiny.disk.fetch, LATER) is None
    assert remembered(tiny.home) == []


def test_what_the_library_cannot_load_is_deleted(machine: Callable[..., Machine]) -> None:
    tiny = machine()
    tiny.call(tiny.disk.keep, PROMPT[:-1], tiny.read(PROMPT), PromptKind.TURN)
    tiny.restart()

    def refuse(_path: str) -> list[Any]:
        raise RuntimeError("[load_safetensors] unknown")

    tiny.disk._library = replace(tiny.library, load_layers=refuse)

    assert tiny.call(tiny.disk.fetch, LATER) is None
    assert remembered(tiny.home) == []
