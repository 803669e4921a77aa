"""The command, run as a person runs it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import resources
from app import cli, words
from app.commands import doctor, library, remote, terminal, text
from app.commands.run import Conversation, Question
from app.settings import Settings
from models.chat import SamplingParams
from models.model import Adapter, Kind, KvType, Profile
from models.store import Store
from tests.adapters import write_gguf
from tests.conftest import free_port
from tests.fakes import ScriptedBackend, scripted_residency
from tests.gguf_bytes import TINY, gguf_bytes
from tests.hub_server import FakeHub, running
from tests.socks_proxy import socks_proxy
from tests.tiny_ggufs import write

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


def nobody() -> list[str]:
    """Says where no server is: one that the developer runs is none of our business."""
    return ["--port", str(free_port())]


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

    assert cli.main(["rm", "other", "mine:a", *nobody()]) == 0
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


def test_what_a_model_is_for_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "model.gguf"
    shown: list[str] = []
    for more in ({}, {"tokenizer.chat_template": "{{ messages }}"}, {"tiny.pooling_type": 1}):
        path.write_bytes(gguf_bytes(TINY | more))
        cli.main(["import", str(path), "--name", "mine"])
        capsys.readouterr()
        assert cli.main(["show", "mine"]) == 0
        shown += [line for line in capsys.readouterr().out.splitlines() if "template" in line]

    assert [line.removeprefix("chat template").strip() for line in shown] == [
        "no: it only continues text",
        "yes",
        "no: it is for embeddings, and writes no text",
    ]


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

    assert cli.main(["rm", "one", "nothing", "pocket", "two", *nobody()]) == 1

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


@pytest.mark.skipif(find_spec("mlx_lm") is None, reason="MLX is not installed here")
def test_a_library_that_has_advice_gives_none_on_the_terminal(tmp_path: Path):
    folder = shutil.copytree(POCKET / "mlx", tmp_path / "mlx")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"bos_token_id": 50_256}))
    cli.main(["import", str(folder), "--name", "mine"])

    done = ingle("run", "mine", "What is the capital of France?")

    assert (done.returncode, done.stderr) == (0, "")
    assert "Paris" in done.stdout


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


@posix
def test_a_closed_stdin_is_no_stdin():
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, "run", "pocket", "What is the capital?"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()


@posix
def test_closed_streams_are_no_error():
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *COMMAND, "list"],
        cwd=REPOSITORY,
        timeout=SECONDS,
        check=False,
    )

    assert done.returncode == 0


@pytest.mark.parametrize("piped", ["", " \n"])
def test_without_a_question_nothing_is_asked(
    piped: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(piped.encode())))

    assert cli.main(["run", "pocket"]) == 1

    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith("ingle: There is nothing to ask")
    assert len(errors.splitlines()) == 1


def test_what_is_piped_in_may_be_in_an_old_encoding():
    done = subprocess.run(
        [*COMMAND, "run", "pocket"],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"},
        input="Où est le café ?".encode("latin-1"),
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_text_is_read_in_the_encoding_it_is_in(encoding: str):
    assert terminal.decode("Où est le café ?".encode(encoding)) == "Où est le café ?"


def test_an_argument_may_be_in_an_old_encoding_too():
    assert terminal.argument(os.fsdecode("café".encode("latin-1"))) == "café"


# -- Names that are not UTF-8 --------------------------

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such names")
ODD = os.fsdecode(b"caf\xe9")


@linux
def test_a_file_whose_name_is_not_utf8_is_told_what_to_do(model_file: Path, tmp_path: Path):
    odd = model_file.rename(tmp_path / f"{ODD}.gguf")

    done = ingle("import", str(odd), "--name", "mine")
    assert done.returncode == 1
    assert "is not UTF-8" in done.stderr
    assert "--copy" in done.stderr
    assert len(done.stderr.splitlines()) == 1

    assert ingle("import", str(odd), "--name", "mine", "--copy").returncode == 0


@linux
def test_a_home_whose_name_is_not_utf8_is_told_before_anything_is_done(tmp_path: Path):
    done = ingle("list", INGLENOOK_HOME=str(tmp_path / ODD))

    assert (done.returncode, done.stdout) == (1, "")
    assert "set INGLENOOK_HOME to another folder" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_home_that_cannot_be_written_costs_one_line(inglenook_home: Path):
    (inglenook_home / "models/files").mkdir(parents=True)
    (inglenook_home / "models/.lock").mkdir()  # where a file would be written, by root too

    done = ingle("list")

    assert done.returncode == 0
    assert "pocket" in done.stdout
    assert len(done.stderr.splitlines()) <= 1
    assert "Traceback" not in done.stderr


def test_the_log_has_a_traceback_for_a_bug_and_a_sentence_for_the_disk():
    code = (
        "import logging; from app.commands import terminal; terminal.set_up(debug=False)\n"
        "for error in (OSError(28, 'No space left', '/disk'), KeyError('x')):\n"
        "    try: raise error\n"
        "    except Exception: logging.exception('It failed')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )

    first, *rest = done.stderr.splitlines()
    assert first == "ERROR: It failed: /disk: No space left."
    assert rest[0] == "ERROR: It failed"
    assert rest[-1] == "KeyError: 'x'"


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
    size = words.size((POCKET / "gguf/pocket.gguf").stat().st_size)
    assert f"org/tiny:F16 is here: {size}." in done.stdout
    assert Store(inglenook_home, builtin=None).find("org/tiny:F16").kind is Kind.LLAMA


def test_a_link_from_the_hubs_page_is_pulled(
    hub: FakeHub, inglenook_home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HF_ENDPOINT", hub.url)

    assert cli.main(["pull", "https://huggingface.co/org/tiny"]) == 0
    assert str(Store(inglenook_home, builtin=None).find("org/tiny").name) == "org/tiny:latest"


@pytest.mark.parametrize("scheme", ["socks", "socks5", "socks5h"])
def test_a_model_comes_through_a_socks_proxy(hub: FakeHub, scheme: str):
    with socks_proxy() as proxy:
        address = f"{scheme}://127.0.0.1:{proxy.port}"
        done = ingle("pull", "org/tiny:F16", HF_ENDPOINT=hub.url, ALL_PROXY=address, NO_PROXY="")

    assert (done.returncode, done.stderr) == (0, "")
    assert proxy.asked_for == {("127.0.0.1", urlsplit(hub.url).port)}


def test_a_proxy_that_cannot_be_used_is_one_sentence(hub: FakeHub):
    secret = "socks4://me:secret@127.0.0.1:1080"
    done = ingle("pull", "org/tiny:F16", HF_ENDPOINT=hub.url, ALL_PROXY=secret, NO_PROXY="")

    assert done.returncode == 1
    assert done.stderr.startswith("ingle: The proxy that ALL_PROXY names cannot be used")
    assert len(done.stderr.splitlines()) == 1
    assert "secret" not in done.stderr


def test_a_pull_that_cannot_be_is_one_sentence(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("HF_ENDPOINT", hub.url)

    assert cli.main(["pull", "org/nothing"]) == 1
    assert capsys.readouterr().err.startswith("ingle: The hub has no model org/nothing")


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


def skip_without(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, 0), family=family).close()
    except OSError:
        pytest.skip(f"This computer has no {host}")


class Stub(ThreadingHTTPServer):
    """Says the same to everybody, and remembers what it was asked."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(("127.0.0.1", 0), StubHandler)
        self.answer = answer
        self.asked: list[str] = []
        self.port = self.server_port


class StubHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Stub)
        self.server.asked.append(self.path)
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.answer)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def stub_server(answer: bytes) -> Iterator[Stub]:
    with Stub(answer) as stub:
        thread = threading.Thread(target=stub.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield stub
        finally:
            stub.shutdown()
            thread.join()


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
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_model_that_is_removed_is_unloaded_too(
    host: str, inglenook_home: Path, capsys: pytest.CaptureFixture[str]
):
    skip_without(host)
    port = free_port()
    Settings(host=host, ports=(free_port(), port)).save(inglenook_home)
    cli.main(["import", str(POCKET / "gguf/pocket.gguf"), "--name", "mine"])
    with started("serve", "--port", str(port)) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Inglenook answers on")
        remote.fetch(
            f"http://{words.address(host, port)}/api/generate", {"model": "mine", "keep_alive": -1}
        )
        capsys.readouterr()
        cli.main(["ps", "--port", str(port)])
        assert "mine:latest" in capsys.readouterr().out

        assert cli.main(["rm", "mine"]) == 0

        assert cli.main(["ps", "--port", str(port)]) == 0
        assert "mine:latest" not in capsys.readouterr().out


@posix
def test_what_ships_stays_in_memory_when_it_cannot_be_removed(capsys: pytest.CaptureFixture[str]):
    with stub_server(b'{"models": []}') as stub:
        assert cli.main(["rm", "pocket", "--port", str(stub.port)]) == 1

    assert stub.asked == []
    assert "ships with Inglenook" in capsys.readouterr().err


def test_what_a_server_has_in_memory_is_shown_with_what_it_does(
    capsys: pytest.CaptureFixture[str],
):
    busy = {
        "name": "a:latest",
        "size": 2_000_000_000,
        "context_length": 8192,
        "expires_at": "2300-01-01T00:00:00.000000000Z",
        "loading": False,
        "in_flight": 5,
        "queued": 2,
        "tokens_per_second": 35.4,
        "prompt_tokens": 1000,
        "cached_tokens": 870,
        "prompt_cache": {"size": 120_000_000, "hits": 1, "misses": 1},
    }
    loading = busy | {"name": "b:latest", "loading": True, "loaded_share": 0.453}
    ollamas = {key: busy[key] for key in ("size", "context_length", "expires_at")} | {"name": "c"}
    models = [busy, loading, ollamas]
    with stub_server(json.dumps({"models": models}).encode()) as stub:
        assert cli.main(["ps", "--port", str(stub.port)]) == 0

    rows = [re.split(r"  +", line) for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["NAME", "SIZE", "CONTEXT", "RUNNING", "SPEED", "CACHED", "UNTIL"]
    assert rows[1][3:6] == ["5, 2 waiting", "35.4 tokens/s", "87% in 120 MB"]
    assert rows[2][3] == "loading 45%"
    assert rows[3][:3] == ["c", "2.0 GB", "8,192"]


def test_what_came_of_drafts_is_shown_where_a_model_has_some(capsys: pytest.CaptureFixture[str]):
    model = {"name": "a", "size": 2_000_000_000, "expires_at": "2300-01-01T00:00:00.0000Z"}
    told = [
        {"by": "ngram-mod", "given_up": False, "drafted": 2000, "accepted": 1200},
        {"by": "small", "given_up": True, "drafted": 0, "accepted": 0},
        {"by": "small", "given_up": False, "drafted": 0, "accepted": 0},
        {"by": "", "given_up": False, "drafted": 0, "accepted": 0},
    ]
    models = [model | {"drafts": each} for each in told]
    with stub_server(json.dumps({"models": models}).encode()) as stub:
        assert cli.main(["ps", "--port", str(stub.port)]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("UNTIL     DRAFTS")
    shown = ["60% of 2,000 right", "given up", "none yet", "for ever"]
    assert [line.endswith(end) for line, end in zip(lines[1:], shown, strict=True)] == [True] * 4


def test_a_server_that_says_it_is_ill_is_ours_all_the_same():
    class Ill(StubHandler):
        def do_GET(self) -> None:
            self.send_response(503)
            self.send_header("X-Inglenook-Version", "1.0")
            self.end_headers()
            self.wfile.write(b'{"status": "failed"}')

    with stub_server(b"") as stub:
        stub.RequestHandlerClass = Ill
        assert remote.answers(f"http://127.0.0.1:{stub.port}")
    with stub_server(b"") as stub:
        assert not remote.answers(f"http://127.0.0.1:{stub.port}")


def test_another_program_on_our_port_is_not_asked_to_unload(
    model_file: Path, capsys: pytest.CaptureFixture[str]
):
    cli.main(["import", str(model_file), "--name", "mine"])
    with stub_server(b"Ollama is running") as stub:
        assert cli.main(["rm", "mine", "--port", str(stub.port)]) == 0

    assert stub.asked == ["/health"]
    assert capsys.readouterr().err == ""


def test_what_is_stopped_need_not_be_on_this_disk():
    with stub_server(b'{"done": true}') as stub:
        assert cli.main(["stop", "gone", "--host", "localhost", "--port", str(stub.port)]) == 0

    assert stub.asked == ["/api/generate"]


@posix
def test_a_server_is_found_at_an_address_of_ipv6(capsys: pytest.CaptureFixture[str]):
    skip_without("::1")
    port = free_port()
    with started("serve", "--host", "::1", "--port", str(port)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"Inglenook answers on http://[::1]:{port}\n"

        for host in ("::1", "[::1]"):
            assert cli.main(["ps", "--host", host, "--port", str(port)]) == 0
            assert cli.main(["stop", "pocket", "--host", host, "--port", str(port)]) == 0
            assert "Stopped pocket." in capsys.readouterr().out


def test_what_cannot_be_an_address_is_told(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["ps", "--host", "my box"]) == 1

    assert capsys.readouterr().err == (
        "ingle: http://my box:11434 cannot be an address: give a name or a number.\n"
    )


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


def test_the_doctor_starts_what_runs_our_processes(monkeypatch: pytest.MonkeyPatch):
    command = (sys.executable, "-c", "raise SystemExit('no such engine')")
    monkeypatch.setattr(doctor, "worker_command", lambda: command)

    (finding,) = doctor._llama()

    assert finding.mark is doctor.Mark.FAIL
    assert "no such engine" in finding.sentence


@posix
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may write anywhere")
def test_the_doctor_fails_where_nothing_can_be_written(inglenook_home: Path):
    inglenook_home.mkdir(mode=0o500)

    done = ingle("doctor")

    assert done.returncode == 1
    assert "fail  models" in done.stdout


# -- Numbers -------------------------------------------


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


# -- How a model is used here --------------------------


@pytest.fixture
def mine(model_file: Path, capsys: pytest.CaptureFixture[str]) -> Store:
    assert cli.main(["import", str(model_file), "--name", "mine"]) == 0
    capsys.readouterr()
    return library.open_store()


def test_what_is_set_for_a_model_is_kept_and_shown_and_can_be_taken_back(
    mine: Store, capsys: pytest.CaptureFixture[str]
):
    said = ["context_length=256", "kv_type=q8_0", "keep_alive=10m", "temperature=0.5", "top_k=7"]
    assert cli.main(["set", "mine", *said]) == 0
    written = "context_length=256 kv_type=q8_0 keep_alive=600 temperature=0.5 top_k=7"
    assert capsys.readouterr().out == (
        f"mine:latest: {written}.\nWhere the model is loaded, its next request loads it anew.\n"
    )
    assert mine.find("mine").profile == Profile(
        context_length=256,
        kv_type=KvType.Q8_0,
        keep_alive_seconds=600,
        sampling={"temperature": 0.5, "top_k": 7},
    )
    assert cli.main(["show", "mine"]) == 0
    assert written in capsys.readouterr().out

    assert cli.main(["set", "mine", "context_length=", "kv_type=", "top_k="]) == 0
    assert cli.main(["set", "mine", "keep_alive=", "temperature="]) == 0
    assert capsys.readouterr().out.endswith("mine:latest: as the model itself has it.\n")
    assert mine.find("mine").profile == Profile()


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("temperature", "'temperature' is not KEY=VALUE with one of: context_length, kv_type,"),
        ("mood=7", "'mood=7' is not KEY=VALUE with one of: context_length, kv_type,"),
        ("context_length=-1", "context_length: This is a number of tokens, such as 8192, or"),
        ("context_length=513", "context_length: 'mine:latest' was trained to read 512 tokens"),
        ("kv_type=q5_1", "kv_type: This is one of: f16, q8_0, q4_0."),
        ("keep_alive=soon", "keep_alive: This is a time in seconds, such as 300, or 5m, or"),
        ("temperature=hot", "temperature: This is a number from 0."),
        ("top_p=1.5", "top_p: This is a number from 0 to 1."),
        ("repeat_last_n=1.5", "repeat_last_n: This is a whole number from -1 to 1,048,576."),
        ("seed=x", "seed: This is a whole number."),
    ],
)
def test_what_cannot_be_set_is_said_in_one_sentence_and_changes_nothing(
    mine: Store, said: str, sentence: str, capsys: pytest.CaptureFixture[str]
):
    assert cli.main(["set", "mine", "top_k=7", said]) == 1

    errors = capsys.readouterr().err
    assert errors.startswith(f"ingle: {sentence}")
    assert len(errors.splitlines()) == 1
    assert mine.find("mine").profile == Profile()


def test_adapters_are_set_with_their_scales_and_taken_off(
    mine: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    first = write_gguf(tmp_path / "first.gguf")
    second = write_gguf(tmp_path / "the second.gguf")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["set", "mine", f"adapters=first.gguf,{second}@0.5"]) == 0
    assert mine.find("mine").profile.adapters == (Adapter(first), Adapter(second, 0.5))
    assert "its next request loads it anew" in capsys.readouterr().out

    assert cli.main(["show", "mine"]) == 0
    assert f"'adapters={first},{second}@0.5'" in capsys.readouterr().out
    assert cli.main(["set", "mine", "adapters="]) == 0
    assert mine.find("mine").profile == Profile()


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("gone.gguf", "The adapter gone.gguf of model 'mine:latest' is missing: "),
        ("text.gguf", "The adapter text.gguf is not a GGUF file."),
        ("text.gguf@1.2.3", "This is PATH, or PATH@SCALE with a number, and further ones"),
        ("adapter.gguf@1e999", "This is PATH, or PATH@SCALE with a number, and further ones"),
    ],
)
def test_what_is_no_adapter_is_not_set(
    mine: Store,
    said: str,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    write_gguf(tmp_path / "adapter.gguf")
    (tmp_path / "text.gguf").write_text("This is no adapter.")
    monkeypatch.chdir(tmp_path)

    assert cli.main(["set", "mine", f"adapters={said}"]) == 1

    errors = capsys.readouterr().err
    assert errors.startswith(f"ingle: adapters: {sentence}")
    assert len(errors.splitlines()) == 1
    assert mine.find("mine").profile == Profile()


def test_drafts_are_set_by_the_name_of_a_kind_or_of_a_model_of_the_same_vocabulary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    [pocket] = [str(each.name) for each in library.open_store().list() if each.kind is Kind.LLAMA]
    assert cli.main(["cp", pocket, "mine"]) == cli.main(["cp", pocket, "small"]) == 0
    mine = library.open_store()
    assert cli.main(["set", "mine", "drafts=ngram-mod"]) == 0
    assert mine.find("mine").profile == Profile(drafts="ngram-mod")
    out = capsys.readouterr().out
    assert "mine:latest: drafts=ngram-mod.\n" in out
    assert "its next request loads it anew" in out

    assert cli.main(["set", "mine", "drafts=Small"]) == 0
    assert mine.find("mine").profile == Profile(drafts="small:latest")
    tiny = write(tmp_path / "tiny.gguf", "llama")
    assert cli.main(["import", str(tiny), "--name", "tiny"]) == 0
    for said, sentence in (
        ("tiny", "'tiny:latest' cannot draft for 'mine:latest', for it has another vocabulary:"),
        ("gone", "The draft model 'gone' of 'mine:latest' is not installed: download it, or set"),
        ("ngram-map-k", "The draft model 'ngram-map-k' of 'mine:latest' is not installed:"),
    ):
        capsys.readouterr()
        assert cli.main(["set", "mine", f"drafts={said}"]) == 1
        errors = capsys.readouterr().err
        assert errors.startswith(f"ingle: drafts: {sentence}")
        assert len(errors.splitlines()) == 1

    assert cli.main(["set", "mine", "drafts="]) == 0
    assert mine.find("mine").profile == Profile()


def test_an_mlx_model_has_no_drafts_set(capsys: pytest.CaptureFixture[str]):
    names = [str(each.name) for each in library.open_store().list() if each.kind is Kind.MLX]
    assert cli.main(["cp", names[0], "mine"]) == 0
    capsys.readouterr()

    for said in ("ngram-mod", "pocket"):
        assert cli.main(["set", "mine", f"drafts={said}"]) == 1
        assert "drafts: MLX looks drafts up by itself" in capsys.readouterr().err


def test_what_ships_is_set_under_another_name(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["set", "pocket", "top_k=7"]) == 1
    assert "ships with Inglenook and cannot be changed" in capsys.readouterr().err

    assert cli.main(["cp", "pocket", "mine"]) == 0
    assert cli.main(["set", "mine", "top_k=7"]) == 0


def test_an_mlx_model_has_a_kv_cache_of_16_bits(capsys: pytest.CaptureFixture[str]):
    names = [str(each.name) for each in library.open_store().list() if each.kind is Kind.MLX]
    assert cli.main(["cp", names[0], "mine"]) == 0

    assert cli.main(["set", "mine", "kv_type=q8_0"]) == 1
    assert "MLX keeps its KV cache in 16 bits" in capsys.readouterr().err
    assert cli.main(["set", "mine", "kv_type=f16"]) == 0
