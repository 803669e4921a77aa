"""Remembered prompts on a real disk: what is found again, what is refused, what makes room."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models.prompt_entry import (
    HEADER,
    Entry,
    Note,
    Owner,
    PromptKind,
    Stopped,
    Tokens,
    digest_of,
)
from models.prompt_files import CLOSE_SECONDS, PromptFiles, Shelf
from models.prompt_folder import PromptFolder

REPOSITORY = Path(__file__).resolve().parents[2]
GB = 10**9
A = Owner(engine="some", model="a" * 64, name="a", form={"cache": "f16"})
PROMPT = list(range(1000, 2000))
PAYLOAD = bytes(range(256)) * 16
LARGE = PAYLOAD * 12

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., PromptFiles]]:
    """Opens the same home, as a program does that is started again."""
    all_of_them: list[PromptFiles] = []

    def open_home(most_bytes: int | None = 1 << 20) -> PromptFiles:
        all_of_them.append(PromptFiles(tmp_path, most_bytes))
        return all_of_them[-1]

    yield open_home
    for each in all_of_them:
        each.close()


def note(
    tokens: list[int],
    kind: PromptKind = PromptKind.TURN,
    *,
    cuttable: bool = True,
    exact: int = 0,
) -> Note:
    return Note(
        kind=kind, tokens=Tokens.of(tokens), cuttable=cuttable, file="payload.bin", exact=exact
    )


def keep(
    shelf: Shelf,
    tokens: list[int],
    kind: PromptKind = PromptKind.TURN,
    *,
    cuttable: bool = True,
    payload: bytes = PAYLOAD,
    exact: int = 0,
) -> None:
    """Keep a prompt, and wait until it is written."""
    done = threading.Event()
    asked = note(tokens, kind, cuttable=cuttable, exact=exact)
    shelf.put(asked, len(payload), lambda path: path.write_bytes(payload))
    if shelf.later(0, done.set):
        assert done.wait(10)


def found(shelf: Shelf, tokens: list[int]) -> tuple[Entry, int]:
    answer = shelf.longest(tokens)
    assert answer
    return answer


def remembered(home: Path) -> list[str]:
    folder = PromptFolder(home).path
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def test_a_prompt_is_found_by_the_next_program(opened: Callable[..., PromptFiles]) -> None:
    first = opened()
    keep(first.shelf(A, 4096), PROMPT)
    first.close()

    shelf = opened().shelf(A, 4096)
    entry, length = found(shelf, [*PROMPT, 5, 6])

    assert length == 1000
    assert entry.note.tokens.packed == Tokens.of(PROMPT).packed
    payload = shelf.whole(entry)
    assert payload
    assert payload.read_bytes() == PAYLOAD


def test_one_token_of_a_prompt_is_always_left_to_read(opened: Callable[..., PromptFiles]) -> None:
    shelf = opened().shelf(A, 4096)
    keep(shelf, PROMPT)

    assert found(shelf, PROMPT)[1] == 999
    assert found(shelf, [*PROMPT[:700], 1])[1] == 700
    assert shelf.longest([1, 2, 3]) is None


def test_what_cannot_be_cut_serves_only_prompts_that_begin_with_all_of_it(
    opened: Callable[..., PromptFiles],
) -> None:
    shelf = opened().shelf(A, 4096)
    keep(shelf, PROMPT, cuttable=False)

    assert shelf.longest(PROMPT) is None
    assert shelf.longest([*PROMPT[:700], 1]) is None
    assert found(shelf, [*PROMPT, 1])[1] == 1000


def test_on_a_grid_only_what_is_exact_is_found(opened: Callable[..., PromptFiles]) -> None:
    first = opened()
    keep(first.shelf(A, 4096), PROMPT, exact=700)
    first.close()

    shelf = opened().shelf(A, 4096)
    on_grid = shelf.longest(PROMPT, 64)
    assert on_grid
    assert on_grid[1] == 640
    assert found(shelf, PROMPT)[1] == 999
    assert shelf.longest(PROMPT[:60], 64) is None


def test_an_entry_of_before_does_not_say_how_exact_it_is_and_serves_the_others(
    opened: Callable[..., PromptFiles], tmp_path: Path
) -> None:
    first = opened()
    keep(first.shelf(A, 4096), PROMPT, exact=700)
    first.close()
    (header,) = PromptFolder(tmp_path).path.glob(f"*/{HEADER}")
    record = json.loads(header.read_bytes().partition(b"\n")[2])
    del record["exact"]
    head = json.dumps(record).encode()
    digest = digest_of(head, header.with_name("payload.bin"), lambda: False)
    header.write_bytes(digest.encode() + b"\n" + head)

    shelf = opened().shelf(A, 4096)
    assert shelf.longest(PROMPT, 64) is None
    entry, length = found(shelf, PROMPT)
    assert (length, entry.is_whole()) == (999, True)


def test_what_is_exact_takes_the_place_of_the_same_prompt_that_is_not(
    opened: Callable[..., PromptFiles], tmp_path: Path
) -> None:
    shelf = opened().shelf(A, 4096)
    for kind in (PromptKind.TURN, PromptKind.SYSTEM):
        keep(shelf, [kind is PromptKind.TURN, *PROMPT], kind)
        keep(shelf, [kind is PromptKind.TURN, *PROMPT], kind, exact=896)
        keep(shelf, [kind is PromptKind.TURN, *PROMPT], kind, exact=512)

    assert len(remembered(tmp_path)) == 2
    for first in (True, False):
        assert found(shelf, [first, *PROMPT])[0].note.exact == 896


def test_a_prompt_longer_than_the_context_is_passed_over(
    opened: Callable[..., PromptFiles],
) -> None:
    keep(opened().shelf(A, 4096), PROMPT)

    assert opened().shelf(A, 512).longest(PROMPT) is None


@posix
def test_nobody_else_may_read_it(opened: Callable[..., PromptFiles], tmp_path: Path) -> None:
    keep(opened().shelf(A, 4096), PROMPT)

    folder = PromptFolder(tmp_path).path
    assert {path.stat().st_mode & 0o777 for path in [folder, *folder.iterdir()]} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in folder.glob("*/*")} == {0o600}


# -- Damage --------------------------------------------


def flip(path: Path, place: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)


def one_bit_of_the_payload(entry: Entry) -> None:
    flip(entry.payload, 2000)


def one_bit_of_a_token(entry: Entry) -> None:
    # "6AMAAOkDAADqAwAA…": the fourth token becomes another one, and the header stays readable.
    place = (entry.folder / HEADER).read_bytes().index(b"6AMAAOkDAADqAwAA") + 16
    flip(entry.folder / HEADER, place)


def one_byte_cut(entry: Entry) -> None:
    os.truncate(entry.payload, entry.size_bytes - 1)


def one_byte_more(entry: Entry) -> None:
    with entry.payload.open("ab") as file:
        file.write(b"\0")


def no_payload(entry: Entry) -> None:
    entry.payload.unlink()


@pytest.mark.parametrize(
    "damage",
    [one_bit_of_the_payload, one_bit_of_a_token, one_byte_cut, one_byte_more, no_payload],
)
def test_what_is_damaged_is_deleted_and_was_never_there(
    damage: Callable[[Entry], None], opened: Callable[..., PromptFiles], tmp_path: Path
) -> None:
    first = opened().shelf(A, 4096)
    keep(first, PROMPT)
    damage(found(first, PROMPT)[0])

    shelf = opened().shelf(A, 4096)
    entry, _ = found(shelf, PROMPT)

    assert shelf.whole(entry) is None
    assert shelf.longest(PROMPT) is None
    assert remembered(tmp_path) == []


@pytest.mark.parametrize("raw", [b"", b"not a header", b"0" * 64 + b"\n[]", b"[" * 100_000])
def test_a_header_that_is_none_is_deleted(
    raw: bytes, opened: Callable[..., PromptFiles], tmp_path: Path
) -> None:
    first = opened().shelf(A, 4096)
    keep(first, PROMPT)
    (found(first, PROMPT)[0].folder / HEADER).write_bytes(raw)

    assert opened().shelf(A, 4096).longest(PROMPT) is None
    assert remembered(tmp_path) == []


def test_another_form_of_the_cache_makes_it_useless(
    opened: Callable[..., PromptFiles], tmp_path: Path
) -> None:
    keep(opened().shelf(A, 4096), PROMPT)
    other = Owner(engine="some", model="a" * 64, name="a", form={"cache": "q8_0"})

    assert opened().shelf(other, 4096).longest(PROMPT) is None
    assert remembered(tmp_path) == []


def test_a_file_of_another_model_is_not_taken_for_ones_own(
    opened: Callable[..., PromptFiles], tmp_path: Path
) -> None:
    shelf = opened().shelf(A, 4096)
    keep(shelf, PROMPT)
    entry, _ = found(shelf, PROMPT)
    other = Owner(engine="some", model="b" * 64, name="b", form={"cache": "f16"})
    shutil.copytree(entry.folder, Path(str(entry.folder).replace(A.key, other.key)))

    assert opened().shelf(other, 4096).longest(PROMPT) is None
    assert remembered(tmp_path) == [entry.folder.name]


def test_one_that_another_program_has_deleted_is_missed(opened: Callable[..., PromptFiles]) -> None:
    shelf = opened().shelf(A, 4096)
    keep(shelf, PROMPT)
    entry, _ = found(shelf, PROMPT)
    shutil.rmtree(entry.folder)

    assert shelf.whole(entry) is None
    assert shelf.longest(PROMPT) is None


# -- What is worth a file ------------------------------


def test_a_short_prompt_is_not_worth_a_file(
    opened: Callable[..., PromptFiles], tmp_path: Path
) -> None:
    shelf = opened().shelf(A, 4096)

    assert not shelf.wants(PROMPT[:100])
    keep(shelf, PROMPT[:100])

    assert remembered(tmp_path) == []


def test_a_prompt_that_has_grown_takes_the_place_of_its_beginning(
    opened: Callable[..., PromptFiles], tmp_path: Path
) -> None:
    shelf = opened().shelf(A, 4096)
    keep(shelf, PROMPT[:600])
    keep(shelf, PROMPT)

    assert not shelf.wants([*PROMPT, 1, 2, 3])  # too little is new
    assert shelf.wants([*PROMPT, *PROMPT])
    assert len(remembered(tmp_path)) == 1
    assert found(shelf, [*PROMPT, 1])[1] == 1000


def test_a_system_prompt_stays_beside_what_has_begun_with_it(
    opened: Callable[..., PromptFiles], tmp_path: Path
) -> None:
    shelf = opened().shelf(A, 4096)
    keep(shelf, PROMPT[:600], PromptKind.SYSTEM)
    keep(shelf, PROMPT)

    assert len(remembered(tmp_path)) == 2


# -- Room ----------------------------------------------


def test_the_least_recently_used_makes_room_and_system_prompts_last(
    opened: Callable[..., PromptFiles],
) -> None:
    shelf = opened(most_bytes=250_000).shelf(A, 4096)  # four of them
    prompts = [[number, *PROMPT] for number in range(5)]
    for number, tokens in enumerate(prompts[:4]):
        keep(shelf, tokens, PromptKind.SYSTEM if number == 0 else PromptKind.TURN, payload=LARGE)
        os.utime(found(shelf, tokens)[0].folder, (number, number))
    assert shelf.whole(found(shelf, prompts[1])[0])  # it is of use now

    keep(shelf, prompts[4], payload=LARGE)

    again = opened().shelf(A, 4096)
    assert [number for number in range(5) if again.longest(prompts[number])] == [0, 1, 3, 4]


def test_what_is_larger_than_all_the_room_is_not_written(
    opened: Callable[..., PromptFiles], tmp_path: Path
) -> None:
    shelf = opened(most_bytes=40_000).shelf(A, 4096)
    keep(shelf, PROMPT)
    keep(shelf, [1, *PROMPT], payload=LARGE)

    assert len(remembered(tmp_path)) == 1
    assert shelf.whole(found(shelf, PROMPT)[0])


def test_what_has_made_room_may_come_again(opened: Callable[..., PromptFiles]) -> None:
    shelf = opened(most_bytes=70_000).shelf(A, 4096)
    keep(shelf, PROMPT, payload=LARGE)
    assert not shelf.wants(PROMPT)

    keep(shelf, [1, *PROMPT], payload=LARGE)

    assert shelf.wants(PROMPT)


Disk = namedtuple("Disk", "total used free")


@pytest.mark.parametrize(
    ("total", "free", "wanted", "most"),
    [
        (1000 * GB, 500 * GB, None, 20 * GB),
        (1000 * GB, 100 * GB, None, 10 * GB),
        (1000 * GB, 12 * GB, None, 1.2 * GB),
        (1000 * GB, 10.5 * GB, None, 0.5 * GB),
        (1000 * GB, 5 * GB, None, 0),
        (16 * GB, 6 * GB, None, 0.6 * GB),
        (16 * GB, 4.25 * GB, None, 0.25 * GB),
        (1000 * GB, 500 * GB, 100 * GB, 100 * GB),
        (1000 * GB, 50 * GB, 100 * GB, 40 * GB),
        (1000 * GB, 500 * GB, 0, 0),
    ],
)
def test_how_much_may_lie_on_a_disk(
    total: float,
    free: float,
    wanted: int | None,
    most: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = Disk(int(total), int(total - free), int(free))
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: disk)

    assert PromptFolder(tmp_path).most_bytes(wanted) == int(most)


def test_it_can_be_switched_off(opened: Callable[..., PromptFiles], tmp_path: Path) -> None:
    files = opened()
    shelf = files.shelf(A, 4096)
    keep(shelf, PROMPT)

    files.most_bytes = 0

    assert shelf.longest(PROMPT) is None
    assert not shelf.wants([1, *PROMPT])
    assert not opened(most_bytes=0).shelf(A, 4096).longest(PROMPT)


def test_too_much_is_not_queued(opened: Callable[..., PromptFiles]) -> None:
    shelf = opened().shelf(A, 4096)
    held = threading.Event()
    shelf.later(0, lambda: held.wait(10))

    answers = [shelf.put(note(PROMPT), 400 << 20, lambda path: None) for _ in range(4)]
    held.set()

    assert answers == [True, True, False, False]


# -- Trouble -------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full: Linux's")
def test_a_full_disk_switches_the_writing_off_and_leaves_nothing(
    opened: Callable[..., PromptFiles], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = opened().shelf(A, 4096)
    keep(shelf, PROMPT)
    done = threading.Event()

    def fill(path: Path) -> None:
        path.write_bytes(b"some")
        try:
            with open("/dev/full", "wb") as full:
                full.write(PAYLOAD)
        finally:
            done.set()

    with caplog.at_level(logging.WARNING):
        shelf.put(note([1, *PROMPT]), 5000, fill)
        assert done.wait(10)
        shelf.close()
        keep(shelf, [2, *PROMPT])

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "No space left on device" in caplog.text
    assert len(remembered(tmp_path)) == 1
    assert shelf.whole(found(shelf, PROMPT)[0])  # what there is, is still read


def test_a_place_that_is_not_ours_switches_it_off(
    opened: Callable[..., PromptFiles], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("somebody's", encoding="utf-8")
    shelf = opened().shelf(A, 4096)

    assert shelf.longest(PROMPT) is None
    keep(shelf, PROMPT)
    assert shelf.longest(PROMPT) is None
    assert (tmp_path / "cache").read_text(encoding="utf-8") == "somebody's"
    assert len(caplog.records) == 1


def test_files_that_are_not_ours_are_left_alone(
    opened: Callable[..., PromptFiles], tmp_path: Path
) -> None:
    folder = PromptFolder(tmp_path).path
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("somebody's", encoding="utf-8")
    (folder / f"turn-{A.key}-{'0' * 24}").write_text("no folder", encoding="utf-8")
    shelf = opened(most_bytes=0).shelf(A, 4096)

    assert shelf.longest(PROMPT) is None
    assert (folder / "notes.txt").exists()


def test_the_end_waits_a_moment_and_leaves_nothing_half_written(
    opened: Callable[..., PromptFiles], tmp_path: Path
) -> None:
    files = opened()
    shelf = files.shelf(A, 4096)
    begun = threading.Event()

    def write_for_ever(path: Path) -> None:
        with path.open("wb") as file:
            while not shelf.stopped():
                file.write(PAYLOAD)
                begun.set()
                time.sleep(0.01)
        raise Stopped

    shelf.put(note(PROMPT), 5000, write_for_ever)
    assert begun.wait(10)
    started = time.monotonic()
    shelf.close()
    waited = time.monotonic() - started
    while remembered(tmp_path) and time.monotonic() < started + 10:
        time.sleep(0.01)

    assert CLOSE_SECONDS <= waited < 2 * CLOSE_SECONDS
    assert remembered(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_what_a_killed_program_was_writing_is_swept_by_the_next(
    opened: Callable[..., PromptFiles], tmp_path: Path
) -> None:
    code = f"""
        import time
        from pathlib import Path
        from tests.models.test_prompt_files import A, PROMPT, note
        from models.prompt_files import PromptFiles

        def write(path):
            path.write_bytes(b"half")
            print("writing", flush=True)
            time.sleep(60)

        PromptFiles(Path({str(tmp_path)!r}), 1 << 20).shelf(A, 4096).put(note(PROMPT), 9, write)
        time.sleep(60)
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=REPOSITORY, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout
        assert child.stdout.readline() == b"writing\n"
        opened().shelf(A, 4096).longest(PROMPT)
        assert len(remembered(tmp_path)) == 1  # a living one's is left alone
        child.send_signal(signal.SIGKILL)

    assert len(remembered(tmp_path)) == 1
    assert opened().shelf(A, 4096).longest(PROMPT) is None
    assert remembered(tmp_path) == []
