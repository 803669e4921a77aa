"""What MLX remembers on the disk: every kind of cache, written, read and gone on from."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.chat import SamplingParams
from models.engine.backend import Decoded, Prefilled, Work
from models.engine.installed import has_mlx
from models.engine.mlx import open_mlx
from models.engine.mlx_disk import MlxDisk, open_mlx_disk
from models.engine.mlx_library import end_thread, import_library
from models.engine.mlx_prefill import grid_for
from models.engine.prefix_cache import Hit
from models.model import Files, Kind, KvType
from models.prompt_entry import HEADER, Entry, PromptKind, Stopped
from models.prompt_files import PromptFiles
from models.prompt_folder import PromptFolder
from tests.fakes import a_model, a_spec
from tests.models.engine.mlx_models import KINDS, make_model

pytestmark = pytest.mark.skipif(
    not has_mlx(), reason="MLX is not installed: pip install -e '.[mlx]'"
)

POCKET_FOLDER = Path(__file__).parents[3] / "resources/pocket/mlx"
PROMPT = [3 + place * 37 % 250 for place in range(330)]
LATER = [*PROMPT, 7, 8, 9, 10, 11]
ANSWER_TOKENS = 12
GRID = grid_for(on_cpu=True, weights_bytes=0).chunk


class Machine:
    """A model and what it has on the disk; every call is made on one thread, as a lane does."""

    def __init__(self, thread: ThreadPoolExecutor, home: Path, kind: str) -> None:
        self._thread = thread
        self.home = home
        self.call(self._make, kind)
        self.restart()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self._thread.submit(function, *arguments).result()

    def restart(
        self,
        chunk_tokens: int = 256,
        digest: str = "0" * 64,
        kv_type: KvType = KvType.F16,
    ) -> None:
        if hasattr(self, "disk"):
            self.close()
        model = a_model("tiny", kind=Kind.MLX)
        spec = a_spec(
            replace(model, files=Files(self.home, ""), digest=digest), context_length=4096
        )
        spec = replace(spec, kv_type=kv_type)
        self.files = PromptFiles(self.home, 1 << 30)
        self.disk: MlxDisk = self.call(
            open_mlx_disk, self.files, self.library, spec, chunk_tokens, lambda: None
        )

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

    def fetch(self, tokens: list[int]) -> Hit | None:
        """Whatever comes of it: first a damaged file, say, and then another."""
        while fetch := self.call(self.disk.fetch, tokens):
            assert fetch._checked.wait(10)
            while not self.call(fetch.go_on):
                pass
            if fetch.found:
                return fetch.found
        return None

    def found(self, tokens: list[int]) -> tuple[list[Any], int]:
        hit = self.fetch(tokens)
        assert hit
        return hit.layers, hit.length

    def _make(self, kind: str) -> None:
        self.library = import_library()
        self.model = make_model(kind)

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
    tiny.call(tiny.disk.keep, PROMPT[:-1], tiny.read(PROMPT), PromptKind.TURN, 0)
    tiny.restart()

    assert tiny.call(tiny.disk.longest, LATER) == len(PROMPT) - 1
    layers, held = tiny.found(LATER)

    assert held == len(PROMPT) - 1
    assert tiny.answer(LATER, layers, held) == cold


def test_a_prompt_that_parts_earlier_gets_what_it_has_in_common(
    machine: Callable[..., Machine],
) -> None:
    tiny = machine()
    other = [*PROMPT[:300], 1, 2, 3]
    tiny.call(tiny.disk.keep, PROMPT[:-1], tiny.read(PROMPT), PromptKind.TURN, 0)
    tiny.restart()

    layers, held = tiny.found(other)

    assert held == 300
    assert tiny.answer(other, layers, held) == tiny.answer(other)


def test_a_view_of_a_longer_prompt_is_written_without_the_rest(
    machine: Callable[..., Machine],
) -> None:
    tiny = machine()
    layers = tiny.read(PROMPT)
    for layer in layers:
        layer.trim(len(PROMPT) - 1 - 280)

    tiny.call(tiny.disk.keep, PROMPT[:280], layers, PromptKind.HISTORY, 0)
    tiny.restart()

    (folder,) = remembered(tiny.home)
    kv_bytes = 280 * 2 * 2 * 2 * 16 * 4  # layers, keys and values, heads, width, float32
    assert 0 < (folder / "layers.safetensors").stat().st_size - kv_bytes < 4096
    layers, held = tiny.found(LATER)
    assert tiny.answer(LATER, layers, held) == tiny.answer(LATER)


def test_keeping_and_checking_call_nothing_of_mlx_on_another_thread(
    machine: Callable[..., Machine],
) -> None:
    """Each thread that does would have streams of its own, to be cleared at its end."""
    tiny = machine()
    threads: set[str] = set()
    mx = tiny.library.mx

    class Watched:
        def __getattr__(self, name: str) -> Any:
            threads.add(threading.current_thread().name)
            return getattr(mx, name)

    tiny.library = replace(tiny.library, mx=Watched())  # type: ignore[arg-type]
    tiny.restart()
    tiny.call(tiny.disk.keep, PROMPT[:-1], tiny.read(PROMPT), PromptKind.TURN, 0)
    tiny.restart()

    tiny.found(LATER)
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
    tiny.call(tiny.disk.keep, PROMPT[:-1], tiny.read(PROMPT), PromptKind.TURN, 0)
    tiny.close()
    fault(*remembered(tiny.home))
    tiny.restart()

    assert tiny.fetch(LATER) is None
    assert remembered(tiny.home) == []


def test_what_another_model_of_the_same_shape_has_written_is_not_loaded(
    machine: Callable[..., Machine],
) -> None:
    tiny = machine()
    tiny.call(tiny.disk.keep, PROMPT[:-1], tiny.read(PROMPT), PromptKind.TURN, 0)
    tiny.restart(digest="1" * 64)
    (theirs,) = remembered(tiny.home)
    ours = tiny.disk._shelf.owner.key
    kind, _, prompt = theirs.name.split("-")
    # Whole at once: half a folder would be deleted by who looks what is there.
    copied = shutil.copytree(theirs, tiny.home / "copied")
    copied.rename(theirs.with_name(f"{kind}-{ours}-{prompt}"))
    tiny.restart(digest="1" * 64)

    assert tiny.fetch(LATER) is None
    assert remembered(tiny.home) == [theirs]


@pytest.mark.parametrize("changed", [{"chunk_tokens": 512}, {"kv_type": KvType.Q8_0}])
def test_what_was_made_in_another_way_is_of_no_use(
    changed: dict[str, Any], machine: Callable[..., Machine]
) -> None:
    tiny = machine()
    tiny.call(tiny.disk.keep, PROMPT[:-1], tiny.read(PROMPT), PromptKind.TURN, 0)
    tiny.restart(**changed)

    assert tiny.fetch(LATER) is None
    assert remembered(tiny.home) == []


def test_what_the_library_cannot_load_is_deleted(machine: Callable[..., Machine]) -> None:
    tiny = machine()
    tiny.call(tiny.disk.keep, PROMPT[:-1], tiny.read(PROMPT), PromptKind.TURN, 0)
    tiny.restart()

    def refuse(_path: str) -> list[Any]:
        raise RuntimeError("[load_safetensors] unknown")

    tiny.disk._library = replace(tiny.library, load_layers=refuse)

    assert tiny.fetch(LATER) is None
    assert remembered(tiny.home) == []


# -- With a loaded model -------------------------------


class Program:
    """A program that has one model loaded."""

    def __init__(self, thread: ThreadPoolExecutor, home: Path) -> None:
        self._thread = thread
        self.files = PromptFiles(home, 1 << 30)
        self.said: dict[int, list[int]] = {}  # by ticket
        self.cached: dict[int, int] = {}
        model = a_model("pocket", kind=Kind.MLX)
        spec = a_spec(replace(model, files=Files(POCKET_FOLDER, "")), context_length=2048)
        spec = replace(spec, prompt_cache_bytes=1 << 28)
        self._woken = threading.Event()
        self.backend = self.call(lambda: open_mlx(spec, self._woken.set, prompts=self.files))
        while not self.call(self.backend.load):
            self._wait()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self._thread.submit(function, *arguments).result()

    def _wait(self) -> None:
        if not self.backend.has_work():
            assert self._woken.wait(10)
        self._woken.clear()

    def begin(
        self,
        ticket: int,
        tokens: list[int],
        seed: int | None = None,
        max_tokens: int = ANSWER_TOKENS,
    ) -> None:
        temperature = 0.0 if seed is None else 1.0
        sampling = SamplingParams(temperature=temperature, seed=seed, ignore_eos=True)
        work = Work(tokens=tuple(tokens), max_tokens=max_tokens, sampling=sampling)
        self.call(self.backend.insert, {ticket: work})
        self.said[ticket] = []

    def step(self) -> None:
        self._wait()
        for output in self.call(self.backend.step):
            if isinstance(output, Decoded):
                self.said[output.ticket] += output.ids or ()
            elif isinstance(output, Prefilled):
                self.cached[output.ticket] = output.cached_tokens

    def answer(self, tokens: list[int], seed: int | None = None) -> tuple[list[int], int]:
        """Return what the model says, and how many tokens of the prompt were there already."""
        self.begin(1, tokens, seed)
        while len(self.said[1]) < ANSWER_TOKENS:
            self.step()
        return self.said[1], self.cached[1]

    def close(self) -> None:
        self.call(self.backend.close)
        self.files.close()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[[], Program]]:
    programs: list[Program] = []
    with ThreadPoolExecutor(1, thread_name_prefix="lane-mlx") as thread:

        def start() -> Program:
            programs.append(Program(thread, tmp_path))
            return programs[-1]

        yield start
        for each in programs:
            each.close()
        thread.submit(end_thread).result()


def test_a_model_finds_what_it_had_read_before_it_was_unloaded(
    program: Callable[[], Program],
) -> None:
    first = program()
    cold, cached = first.answer(LATER)
    first.close()

    assert cached == 0
    assert program().answer(LATER) == (cold, len(LATER) - 1)


def test_a_long_prompt_is_written_before_anybody_asks_for_the_end(
    program: Callable[[], Program], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.engine.prefix_cache.LONG_TOKENS", 600)
    first = program()
    first.answer(LATER)
    assert remembered(tmp_path) == []

    first.answer([*PROMPT, *PROMPT])

    deadline = time.monotonic() + 10
    while not remembered(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(remembered(tmp_path)) == 1


def test_with_a_seed_the_text_after_a_restart_is_the_same(program: Callable[[], Program]) -> None:
    first = program()
    cold, cached = first.answer(LATER, seed=7)
    first.close()

    assert cached == 0
    assert program().answer(LATER, seed=7) == (cold, (len(LATER) - 1) // GRID * GRID)


def test_with_a_seed_nothing_is_fetched_that_an_answer_wrote(
    program: Callable[[], Program],
) -> None:
    point = (len(PROMPT) // GRID + 2) * GRID
    prompt = [*PROMPT, *PROMPT[: point - 4 - len(PROMPT)]]  # and the answer goes over that point
    first = program()
    said, _ = first.answer(prompt)
    first.answer([*prompt, *said, 5, 6])
    first.close()
    longer = [*prompt, *said, *PROMPT[:200]]

    second = program()
    assert second.answer(longer, seed=7)[1] == point - GRID
    assert second.answer([*prompt, *said, 7])[1] == len(prompt) + ANSWER_TOKENS


def test_others_go_on_while_an_entry_is_read_and_checked(
    program: Callable[[], Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = program()
    cold, _ = first.answer(LATER)
    first.close()
    second = program()
    may_check = threading.Event()
    is_whole = Entry.is_whole

    def late(entry: Entry, stopped: Callable[[], bool]) -> bool:
        return may_check.wait(10) and is_whole(entry, stopped)

    monkeypatch.setattr(Entry, "is_whole", late)
    second.begin(2, PROMPT[1:50], max_tokens=60)  # of which the disk knows nothing
    second.begin(1, LATER)
    second.begin(3, LATER[:-1])
    while len(second.said[2]) < 40:
        second.step()
    assert second.said[1] == second.said[3] == []
    second.begin(4, LATER)
    second.backend.remove(1)  # whose turn it was: the others have it all the same

    may_check.set()
    while len(second.said[4]) < ANSWER_TOKENS:
        second.step()

    assert second.said[4] == cold
    assert (second.cached[3], second.cached[4]) == (len(LATER) - 2, len(LATER) - 1)


def test_nothing_is_to_be_done_while_an_entry_is_checked_for_who_is_alone(
    program: Callable[[], Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = program()
    first.answer(LATER)
    first.close()
    second = program()
    may_check = threading.Event()
    monkeypatch.setattr(Entry, "is_whole", lambda *_: not may_check.wait(10))  # and damaged

    second.begin(1, LATER)
    for _ in range(3):
        if second.backend.has_work():
            second.call(second.backend.step)
    assert not second.backend.has_work()

    may_check.set()
    while len(second.said[1]) < ANSWER_TOKENS:
        second.step()
    assert second.cached[1] == 0


def test_a_model_is_closed_while_an_entry_is_checked(
    program: Callable[[], Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = program()
    first.answer(LATER)
    first.close()
    second = program()
    asked = threading.Event()
    stopped_at = threading.Event()

    def until_stopped(_: Entry, stopped: Callable[[], bool]) -> bool:
        asked.set()
        while not stopped():
            time.sleep(0.001)
        stopped_at.set()
        raise Stopped

    monkeypatch.setattr(Entry, "is_whole", until_stopped)
    second.begin(1, LATER)
    while not asked.is_set():
        second.call(second.backend.step)
    second.close()

    assert stopped_at.wait(10)
