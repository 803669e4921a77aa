"""The lock that threads and processes respect."""

import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from models import atomic

REPOSITORY = Path(__file__).resolve().parent.parent.parent
HOLD = (
    "import sys; from pathlib import Path; from models import atomic\n"
    "with atomic.lock(Path(sys.argv[1])):\n"
    "    print('held', flush=True); sys.stdin.read()\n"
)


def test_threads_take_turns(tmp_path: Path):
    path, inside, most = tmp_path / "new/folder/.lock", list[int](), list[int]()

    def work(number: int) -> None:
        for _ in range(20):
            with atomic.lock(path):
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(most) == 80
    assert set(most) == {1}


def test_who_does_not_wait_is_told_that_it_is_held(tmp_path: Path):
    path, said = tmp_path / ".lock", list[str]()

    def ask() -> None:
        try:
            with atomic.lock(path, wait=False):
                said.append("free")
        except BlockingIOError:
            said.append("held")

    with atomic.lock(path):
        other = threading.Thread(target=ask)
        other.start()
        other.join()
    ask()

    assert said == ["held", "free"]


def test_another_thread_may_give_it_back(tmp_path: Path):
    held = ExitStack()
    held.enter_context(atomic.lock(tmp_path / ".lock"))

    thread = threading.Thread(target=held.close)
    thread.start()
    thread.join()

    with atomic.lock(tmp_path / ".lock", wait=False):
        pass


def test_a_lock_ends_with_the_process_that_held_it(tmp_path: Path):
    path = tmp_path / ".lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, path],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError), atomic.lock(path, wait=False):
            pass

        holder.kill()
        with atomic.lock(path):  # waits until the system has given it back
            pass


def test_a_fault_inside_gives_the_lock_back(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), atomic.lock(tmp_path / ".lock"):
        _ = 1 / 0

    with atomic.lock(tmp_path / ".lock", wait=False):
        pass
