"""The command, run as a person runs it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from io import StringIO
from pathlib import Path

import pytest

import resources
from app import cli
from app.commands import text
from app.commands.run import Conversation, Question
from models.chat import SamplingParams
from models.model import Kind
from models.store import Store
from tests.fakes import ScriptedBackend, scripted_residency
from tests.gguf_bytes import TINY, gguf_bytes
from tests.hub_server import FakeHub, running

REPOSITORY = Path(__file__).resolve().parent.parent.parent
POCKET = Path(resources.__file__).with_name("pocket")
COMMAND = [sys.executable, "-m", "app.cli"]
SECONDS = 50

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


def ingle(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own; ``stdin`` is what is piped into it."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=REPOSITORY,
        env=os.environ | {key: value for key, value in more.items() if key != "stdin"},
        input=more.get("stdin", ""),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@contextmanager
def started(*arguments: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=REPOSITORY,
        env=os.environ | more,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf_bytes(TINY))
    return path


def listed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    assert cli.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    return [line.split()[0] for line in lines[1:] if not line.startswith("pocket")]


# -- How it is called ----------------------------------


def test_without_a_command_it_says_what_it_can_do():
    done = ingle()

    assert done.returncode == 1
    assert "serve" in done.stdout
    assert done.stderr == ""


def test_it_knows_its_version():
    done = ingle("--version")

    assert done.returncode == 0
    assert done.stdout.startswith("ingle ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["juggle"],
        ["pull"],
        ["import", "model.gguf"],
        ["serve", "--port", "many"],
        ["serve", "--port", "70000"],
        ["run", "pocket", "--max-tokens", "0"],
        ["run", "pocket", "hello", "--loud"],
        ["list", "everything"],
    ],
)
def test_a_wrong_call_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)

    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_failure_is_one_sentence_and_no_traceback():
    done = ingle("show", "nothing")

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("ingle: Model 'nothing' is not on this computer.")
    assert len(done.stderr.splitlines()) == 1


def test_a_traceback_is_there_for_those_who_ask():
    done = ingle("show", "nothing", INGLENOOK_DEBUG="1")

    assert done.returncode == 1
    assert "Traceback" in done.stderr


@posix
def test_a_reader_that_has_enough_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody:
        process = subprocess.Popen(
            [*COMMAND, "list"], cwd=REPOSITORY, stdout=nobody, stderr=subprocess.PIPE, text=True
        )
    _, errors = process.communicate(timeout=SECONDS)

    assert process.returncode == 141
    assert errors == ""


# -- The models on this disk ---------------------------


def test_a_model_comes_gets_a_second_name_and_goes(
    model_file: Path, capsys: pytest.CaptureFixture[str]
):
    assert cli.main(["import", str(model_file), "--name", "Mine:a"]) == 0
    assert cli.main(["cp", "mine:A", "other"]) == 0
    assert listed(capsys) == ["other:latest", "Mine:a"]

    assert cli.main(["rm", "other", "mine:a"]) == 0
    assert listed(capsys) == []
    assert model_file.exists()


def test_a_copy_does_not_need_the_file_any_more(
    model_file: Path, capsys: pytest.CaptureFixture[str]
):
    assert cli.main(["import", str(model_file), "--name", "mine", "--copy"]) == 0
    model_file.unlink()

    assert cli.main(["show", "mine"]) == 0
    shown = capsys.readouterr().out
    assert "512 tokens" in shown
    assert "llama.cpp" in shown


def test_a_model_whose_files_are_gone_is_listed_as_such(
    model_file: Path, capsys: pytest.CaptureFixture[str]
):
    cli.main(["import", str(model_file), "--name", "mine"])
    model_file.unlink()
    capsys.readouterr()

    assert cli.main(["list"]) == 0
    assert "its files are gone" in capsys.readouterr().out


def test_one_name_that_is_wrong_does_not_keep_the_others(
    model_file: Path, capsys: pytest.CaptureFixture[str]
):
    cli.main(["import", str(model_file), "--name", "one"])
    cli.main(["import", str(model_file), "--name", "two"])

    assert cli.main(["rm", "one", "nothing", "pocket", "two"]) == 1

    errors = capsys.readouterr().err
    assert "'nothing' is not on this computer" in errors
    assert "ships with Inglenook" in errors
    assert listed(capsys) == []


def test_what_is_no_model_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "a.gguf").write_bytes(b"hello")

    assert cli.main(["import", str(tmp_path / "a.gguf"), "--name", "a"]) == 1

    assert capsys.readouterr().err == "ingle: a.gguf is not a GGUF file.\n"


def test_the_pocket_model_is_always_there(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["show", "pocket"]) == 0

    shown = capsys.readouterr().out
    assert "2,586,048" in shown
    assert "to try the set-up with" in shown


# -- Asking --------------------------------------------


def test_a_model_answers():
    done = ingle("run", "pocket", "What is the capital", "of France?")

    assert (done.returncode, done.stderr) == (0, "")
    assert "Paris" in done.stdout
    assert done.stdout.endswith("\n")


def test_what_is_piped_in_follows_the_prompt():
    alone = ingle("run", "pocket", "--temperature", "0", stdin="What is the capital of Japan?\n")
    after = ingle("run", "pocket", "--seed", "1", "What is the capital", stdin="of Japan?")

    assert alone.stdout == "The capital of Japan is Tokyo.\n"
    assert after.returncode == 0
    assert after.stdout.strip()


def test_a_model_that_is_not_here_is_told_before_anything_is_asked():
    done = ingle("run", "nothing", "hello")

    assert done.returncode == 1
    assert "'ingle pull' downloads more" in done.stderr


class Terminal(StringIO):
    """Where a reply is read by somebody who presses Ctrl-C after a few pieces."""

    def __init__(self, patience: int) -> None:
        super().__init__()
        self._patience = patience

    def write(self, piece: str) -> int:
        self._patience -= 1
        if self._patience == 0:
            raise KeyboardInterrupt
        return super().write(piece)


def test_an_interrupt_stops_the_reply_and_nothing_else(monkeypatch: pytest.MonkeyPatch):
    backend = ScriptedBackend()  # never finishes by itself
    question = Question(model="scripted", system=None, sampling=SamplingParams(), max_tokens=None)
    with closing(scripted_residency(backend)) as residency:
        conversation = Conversation(residency, question)
        monkeypatch.setattr(sys, "stdout", Terminal(patience=3))

        assert not conversation.say("Tell me everything.")

        monkeypatch.setattr(sys, "stdout", Terminal(patience=3))
        assert not conversation.say("And now the rest.")

    assert not backend.running
    assert b"Tell me everything." in backend.prompts[1]


# -- Pulling -------------------------------------------


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    fake = FakeHub()
    fake.repos["org/tiny"] = {"tiny-F16.gguf": (POCKET / "gguf/pocket.gguf").read_bytes()}
    with running(fake) as fake:
        yield fake


def test_a_model_is_pulled_with_a_line_now_and_then(hub: FakeHub, inglenook_home: Path):
    done = ingle("pull", "org/tiny:F16", HF_ENDPOINT=hub.url)

    assert (done.returncode, done.stderr) == (0, "")
    assert "pulling tiny-F16.gguf" in done.stdout
    assert "org/tiny:F16 is here: 5.2 MB." in done.stdout
    assert Store(inglenook_home, builtin=None).find("org/tiny:F16").kind is Kind.LLAMA


def test_a_pull_that_cannot_be_is_one_sentence(hub: FakeHub):
    done = ingle("pull", "org/nothing", HF_ENDPOINT=hub.url)

    assert done.returncode == 1
    assert done.stderr.startswith("ingle: The hub has no model org/nothing")


@posix
def test_an_interrupted_pull_keeps_what_has_arrived(hub: FakeHub, inglenook_home: Path):
    hub.stall_after = 500_000
    with started("pull", "org/tiny:F16", HF_ENDPOINT=hub.url) as process:
        assert hub.stalled.wait(SECONDS)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=SECONDS)

    assert process.returncode == 130
    assert errors == "Stopped. What has arrived is kept: pull again to go on.\n"
    assert Store(inglenook_home, builtin=None).list() == []
    assert list((inglenook_home / "models/partial").rglob("*.incomplete"))


# -- The server ----------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@posix
def test_the_server_answers_until_it_is_told_to_stop(capsys: pytest.CaptureFixture[str]):
    port = free_port()
    here = ["--port", str(port)]
    with started("serve", *here) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"Inglenook answers on http://127.0.0.1:{port}\n"
        load = {"model": "pocket", "keep_alive": -1}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/generate", json.dumps(load).encode()
        )
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            assert json.load(response)["done_reason"] == "load"

        assert cli.main(["ps", *here]) == 0
        resident = capsys.readouterr().out
        assert "pocket:latest" in resident
        assert "for ever" in resident

        assert cli.main(["stop", "nothing", *here]) == 1
        assert capsys.readouterr().err == "ingle: model 'nothing' not found\n"
        assert cli.main(["stop", "pocket", *here]) == 0
        assert cli.main(["ps", *here]) == 0
        assert "pocket:latest" not in capsys.readouterr().out

        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=SECONDS)

    assert (process.returncode, errors) == (0, "")


@posix
def test_a_port_that_is_taken_is_told_with_one_that_is_free():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        done = ingle("serve", "--port", str(port))

    assert done.returncode == 1
    assert done.stderr.startswith(f"ingle: Port {port} is in use by another program")
    assert "'ingle serve --port " in done.stderr


@posix
def test_a_service_manager_can_stop_the_server():
    with started("serve", "--port", "0") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Inglenook answers on")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=SECONDS)

    assert (process.returncode, errors) == (0, "")


def test_without_a_server_that_is_said():
    done = ingle("ps", "--port", str(free_port()))

    assert done.returncode == 1
    assert "start one with 'ingle serve'" in done.stderr


def test_a_server_that_is_not_ours_is_not_taken_for_one(capsys: pytest.CaptureFixture[str]):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        def answer() -> None:
            with suppress(OSError):
                connection, _ = other.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        code = cli.main(["ps", "--port", str(port)])
        thread.join()

    assert code == 1
    assert "is not Inglenook" in capsys.readouterr().err


# -- The doctor ----------------------------------------


def test_the_doctor_finds_a_healthy_computer_and_what_is_amiss(
    model_file: Path, inglenook_home: Path, capsys: pytest.CaptureFixture[str]
):
    cli.main(["import", str(model_file), "--name", "mine"])
    model_file.unlink()
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports = [free_port(), other.getsockname()[1]]
        (inglenook_home / "settings.json").write_text(json.dumps({"version": 1, "ports": ports}))

        done = ingle("doctor")

    assert f"{ports[0]} is free for the API." in done.stdout
    assert f"warn  port        {ports[1]} is in use by another program." in done.stdout
    assert "The files of mine:latest are gone" in done.stdout
    assert "ok    llama.cpp" in done.stdout
    assert done.returncode == 0  # warnings are no failures


@posix
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may write anywhere")
def test_the_doctor_fails_where_nothing_can_be_written(inglenook_home: Path):
    inglenook_home.mkdir(mode=0o500)

    done = ingle("doctor")

    assert done.returncode == 1
    assert "fail  models" in done.stdout


# -- Numbers -------------------------------------------


@pytest.mark.parametrize(
    ("size_bytes", "said"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_028_441, "2.0 MB"), (4.2e12, "4.2 TB")],
)
def test_sizes_are_said_as_disks_are_sold(size_bytes: float, said: str):
    assert text.size(size_bytes) == said


@pytest.mark.parametrize(
    ("number", "said"), [(12, "12"), (970_368, "970.4 K"), (3_200_000_000, "3.2 B")]
)
def test_parameters_are_counted_in_billions(number: int, said: str):
    assert text.count(number) == said


def test_what_is_set_can_be_read_and_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["settings", "keep_alive_seconds", "2h"]) == 0
    assert "7200 seconds" in capsys.readouterr().out

    assert cli.main(["settings", "keep_alive_seconds"]) == 0
    assert capsys.readouterr().out == "7200\n"
    assert cli.main(["settings"]) == 0
    every = capsys.readouterr().out
    for key in ("host", "ports", "allowed_hosts", "context_length", "theme"):
        assert f"\n{key} " in f"\n{every}", every


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ports", "none"], "ports: A port is a whole number from 1 to 65535"),
        (["colour", "red"], "There is no setting 'colour': 'ingle settings' lists them."),
        (["colour"], "There is no setting 'colour'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_a_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], inglenook_home: Path
) -> None:
    assert cli.main(["settings", *arguments]) == 1

    assert said in capsys.readouterr().err
    assert not (inglenook_home / "settings.json").exists()
