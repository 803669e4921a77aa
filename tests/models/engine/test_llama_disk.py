"""What llama.cpp remembers on the disk, with the pocket model in a real child."""

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from models.chat import SamplingParams
from models.engine.backend import Decoded, Prefilled, SequenceFailed, Work
from models.engine.llama import open_llama
from models.engine.llama_client import LlamaClient
from models.engine.llama_disk import LlamaDisk, tokens_in
from models.engine.llama_process import LlamaProcess
from models.model import Files, KvType
from models.prompt_entry import HEADER, Note, PromptKind, Tokens
from models.prompt_files import PromptFiles
from models.prompt_folder import PromptFolder
from tests.fakes import a_model, a_spec

POCKET_FILE = next((Path(__file__).parents[3] / "resources/pocket").rglob("pocket.gguf"))
PROMPT = [10 + place * 37 % 1500 for place in range(600)]
LATER = [*PROMPT, 55, 66, 77]
ANSWER_TOKENS = 8


class Child:
    """A child that runs, and what its model has on the disk. ``restart`` begins both anew."""

    def __init__(self, home: Path, shared_tokens: int | None = None) -> None:
        self.home = home
        self.shared_tokens = shared_tokens  # None: each slot has a KV cache of its own
        self.start()

    def start(
        self,
        digest: str = "0" * 64,
        kv_type: KvType = KvType.F16,
        most_bytes: int | None = 1 << 30,
    ) -> None:
        model = a_model("pocket", context_length=2048, kv_bytes_per_token=1024)
        files = Files(POCKET_FILE.parent, POCKET_FILE.name)
        spec = a_spec(replace(model, files=files, digest=digest), context_length=2048)
        spec = replace(spec, kv_type=kv_type)
        self.files = PromptFiles(self.home, most_bytes)
        self.disk = LlamaDisk(self.files, spec)
        ready = threading.Event()
        self.process = LlamaProcess(
            {
                "model": str(POCKET_FILE),
                "context_length": 2048,
                "max_sequences": 2,
                "prompt_cache_bytes": 0,
                "shared_tokens": self.shared_tokens,
                "slot_folder": str(self.disk.folder),
            },
            model_name="pocket",
            on_change=ready.set,
        )
        assert ready.wait(30)
        assert self.process.ready()

    def close(self) -> None:
        self.disk.close()
        self.process.close()
        self.files.close()

    def restart(self, **changes: Any) -> None:
        self.close()
        self.start(**changes)

    def answer(self, tokens: list[int], slot: int = -1) -> tuple[list[int], int]:
        """Return what the model says, and how many tokens of the prompt were there already."""
        body = {
            "prompt": tokens,
            "n_predict": ANSWER_TOKENS,
            "temperature": 0,
            "id_slot": slot,
            "return_tokens": True,
            "cache_prompt": True,
        }
        with closing(LlamaClient(self.process, timeout_seconds=30)) as client:
            answer = json.load(client.post("/completion", body))
        return answer["tokens"], answer["timings"]["cache_n"]

    def remember(self, tokens: list[int] = PROMPT) -> None:
        self.answer(tokens, slot=1)
        self.disk.save(self.process, 1, tokens)
        self.restart()

    def restore(self, tokens: list[int]) -> bool:
        return self.disk.restore(self.process, tokens)

    @property
    def alive(self) -> bool:
        try:
            return psutil.Process(self.process.pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    @property
    def remembered(self) -> list[Path]:
        return sorted(PromptFolder(self.home).path.glob("[a-z]*"))


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    child = Child(tmp_path)
    yield child
    child.close()
    assert list(PromptFolder(tmp_path).path.glob(".*")) == []


def test_after_a_restart_the_text_goes_on_as_if_all_had_been_read(child: Child) -> None:
    child.answer(PROMPT)
    warm = child.answer(LATER)
    child.remember()

    assert child.disk.longest(LATER)[0] == len(PROMPT)
    assert child.restore(LATER)

    assert child.answer(LATER) == warm
    assert warm[1] == len(PROMPT)


def test_a_prompt_that_parts_earlier_gets_what_it_has_in_common(child: Child) -> None:
    other = [*PROMPT[:400], 5, 6]
    cold, _ = child.answer(other)
    child.remember()

    assert child.restore(other)
    assert child.answer(other) == (cold, 400)


def test_what_is_written_is_what_the_slot_holds_and_for_nobody_else_to_read(child: Child) -> None:
    child.remember()

    (folder,) = child.remembered
    held = tokens_in(folder / "slot.bin")
    assert len(PROMPT) <= len(held) < len(PROMPT) + ANSWER_TOKENS
    assert held.common(type(held).of(PROMPT)) == len(PROMPT)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_slot_that_has_work_is_not_saved(child: Child) -> None:
    child.answer(PROMPT, slot=1)
    child.disk.save(child.process, 1, PROMPT, idle=lambda: False)
    child.restart()

    assert child.remembered == []


def flip_a_bit(folder: Path) -> None:
    path = folder / "slot.bin"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(raw)


def cut_a_byte(folder: Path) -> None:
    path = folder / "slot.bin"
    os.truncate(path, path.stat().st_size - 1)


def empty_the_header(folder: Path) -> None:
    (folder / HEADER).write_bytes(b"")


@pytest.mark.parametrize("fault", [flip_a_bit, cut_a_byte, empty_the_header])
def test_a_damaged_file_is_gone_and_the_prompt_is_read_again(
    fault: Callable[[Path], None], child: Child
) -> None:
    cold, _ = child.answer(LATER)
    child.remember()
    child.close()
    fault(*child.remembered)
    child.start()

    assert not child.restore(LATER)
    assert child.answer(LATER) == (cold, 0)
    assert child.remembered == []
    assert child.alive


def test_what_another_model_of_the_same_shape_has_written_is_not_restored(child: Child) -> None:
    cold, _ = child.answer(LATER)
    child.remember()
    child.restart(digest="1" * 64)
    (theirs,) = child.remembered
    ours = child.disk._shelf.owner.key
    kind, _, prompt = theirs.name.split("-")
    shutil.copytree(theirs, theirs.with_name(f"{kind}-{ours}-{prompt}"))
    child.restart(digest="1" * 64)

    assert not child.restore(LATER)
    assert child.answer(LATER) == (cold, 0)
    assert child.remembered == [theirs]


def test_what_is_of_another_type_of_kv_cache_is_deleted(child: Child) -> None:
    child.remember()
    child.restart(kv_type=KvType.Q8_0)

    assert not child.restore(LATER)
    assert child.remembered == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full: Linux's")
def test_a_child_that_finds_the_disk_full_goes_on(child: Child) -> None:
    cold, _ = child.answer(PROMPT, slot=1)
    child.disk.folder.mkdir(parents=True)
    (child.disk.folder / "saved.bin").symlink_to("/dev/full")

    child.disk.save(child.process, 1, PROMPT)
    child.disk.close()

    assert child.alive
    assert child.answer(PROMPT) == (cold, len(PROMPT) - 1)
    assert child.remembered == []


def replace_by(child: Child, payload: bytes) -> None:
    """Have something whole on the disk that llama.cpp did not write."""
    shutil.rmtree(child.remembered[0])
    child.restart()
    note = Note(kind=PromptKind.TURN, tokens=Tokens.of(PROMPT), cuttable=True, file="slot.bin")
    child.disk._shelf.put(note, len(payload), lambda path: path.write_bytes(payload))
    child.restart()
    assert child.disk.longest(LATER)[0] == len(PROMPT)


def test_what_llama_cpp_refuses_is_deleted(child: Child) -> None:
    cold, _ = child.answer(LATER)
    child.remember()
    replace_by(child, b"something else" * 1000)

    assert not child.restore(LATER)
    assert child.answer(LATER) == (cold, 0)
    assert child.remembered == []
    assert child.alive


def test_what_ends_the_child_does_not_end_the_next_one(child: Child) -> None:
    cold, _ = child.answer(LATER)
    child.remember()
    replace_by(child, (child.remembered[0] / "slot.bin").read_bytes()[:100_000])

    assert not child.restore(LATER)
    assert not child.alive
    child.restart()

    assert not child.restore(LATER)
    assert child.answer(LATER) == (cold, 0)


def test_a_child_that_has_died_has_nothing_saved_nor_restored(child: Child) -> None:
    child.remember()
    child.answer(LATER)
    psutil.Process(child.process.pid).kill()
    child.process.end_and_explain()

    assert not child.restore(LATER)
    child.disk.save(child.process, 0, [*LATER, *LATER])
    child.restart()

    assert len(child.remembered) == 1
    assert child.restore(LATER)


def test_no_room_on_the_disk_means_no_file(child: Child) -> None:
    child.restart(most_bytes=10_000)
    child.answer(PROMPT, slot=1)
    child.disk.save(child.process, 1, PROMPT)
    child.restart()

    assert child.remembered == []


# -- With a loaded model -------------------------------


class Program:
    """A program that has one model loaded."""

    def __init__(self, home: Path, shared_tokens: int | None) -> None:
        self.files = PromptFiles(home, 1 << 30)
        model = a_model("pocket", context_length=2048, kv_bytes_per_token=1024)
        files = Files(POCKET_FILE.parent, POCKET_FILE.name)
        spec = a_spec(replace(model, files=files), context_length=2048, max_sequences=3)
        spec = replace(spec, shared_tokens=shared_tokens)
        self.woken = threading.Event()
        self.backend = open_llama(spec, self.woken.set, prompts=self.files)
        while not self.backend.load():
            assert self.woken.wait(30)

    def answers(self, *prompts: list[int]) -> list[tuple[list[int], int]]:
        """Ask all at once. Return what the model says, and how many tokens were there already."""
        sampling = SamplingParams(temperature=0.0)
        for ticket, prompt in enumerate(prompts):
            work = Work(tokens=tuple(prompt), max_tokens=ANSWER_TOKENS, sampling=sampling)
            self.backend.insert({ticket: work})
        said: list[list[int]] = [[] for _ in prompts]
        cached = [-1] * len(prompts)
        left = set(range(len(prompts)))
        while left:
            assert self.woken.wait(30)
            self.woken.clear()
            for output in self.backend.step():
                assert not isinstance(output, SequenceFailed), output.error
                if isinstance(output, Prefilled):
                    cached[output.ticket] = output.cached_tokens
                elif isinstance(output, Decoded):
                    said[output.ticket] += output.ids or ()
                    if output.finish:
                        left.discard(output.ticket)
        while self.backend._streams:  # which come to an end a moment later
            assert self.woken.wait(30)
            self.woken.clear()
            self.backend.step()
        return list(zip(said, cached, strict=True))

    def close(self) -> None:
        self.backend.close()
        self.files.close()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    programs: list[Program] = []

    def start(shared_tokens: int | None = None) -> Program:
        programs.append(Program(tmp_path, shared_tokens))
        return programs[-1]

    yield start
    for each in programs:
        each.close()


OTHER = [20 + place * 31 % 1400 for place in range(700)]


def test_a_model_finds_what_it_had_read_before_it_was_unloaded(
    program: Callable[..., Program],
) -> None:
    first = program()
    ((_, cached),) = first.answers(LATER)
    warm = first.answers(LATER)
    first.close()

    assert cached == 0
    assert program().answers(LATER) == warm
    assert warm[0][1] == len(LATER) - 1


def test_several_that_come_at_once_each_find_their_own(program: Callable[..., Program]) -> None:
    first = program()
    ((one, _), (other, _)) = first.answers(PROMPT, OTHER)
    first.close()

    assert program().answers(PROMPT, OTHER) == [
        (one, len(PROMPT) - 1),
        (other, len(OTHER) - 1),
    ]


def test_what_the_child_has_itself_is_not_restored_again(
    program: Callable[..., Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = program()
    first.answers(PROMPT)
    first.close()
    second = program()
    restored: list[int] = []
    restore = LlamaDisk.restore

    def noted(disk: LlamaDisk, process: LlamaProcess, tokens: list[int]) -> bool:
        restored.append(len(tokens))
        return restore(disk, process, tokens)

    monkeypatch.setattr(LlamaDisk, "restore", noted)
    answers = [second.answers(tokens)[0] for tokens in (PROMPT, LATER, [*LATER, 99])]

    assert restored == [len(PROMPT)]
    assert [cached for _, cached in answers] == [599, 600, 603]


def test_where_slots_share_a_cache_what_others_have_left_makes_room(
    program: Callable[..., Program],
) -> None:
    first = program(shared_tokens=2048)
    ((cold, _),) = first.answers(PROMPT)
    first.close()
    second = program(shared_tokens=2048)
    second.answers([*OTHER, *OTHER, *OTHER[:200]])

    assert second.answers(PROMPT) == [(cold, len(PROMPT) - 1)]


def test_a_long_prompt_is_saved_once_it_is_quiet_and_survives_a_crash(
    program: Callable[..., Program], tmp_path: Path
) -> None:
    long = [*PROMPT, *OTHER]
    first = program()
    ((cold, _),) = first.answers(long)
    deadline = time.monotonic() + 10
    while not list(PromptFolder(tmp_path).path.glob("[a-z]*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    psutil.Process(first.backend.pid).kill()

    assert program().answers(long) == [(cold, len(long) - 1)]
