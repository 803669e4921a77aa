"""Every request that the five documents print, against the real server: word for word but for
the host, by the programs they were written for."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from app.services import api_server, open_everything
from server.contract import Honour
from server.routes import FAMILIES
from tests import documents
from tests.conftest import REPOSITORY, TESTDATA
from tests.document_boxes import BOXES, FILLS_IN, VISION
from tests.documents import BLOG, KTRANSFORMERS, LATE_2024, MAY_2024, QWEN_VL, Program
from tests.hub_server import FakeHub, running
from tests.node import JAVASCRIPT, needs_javascript, run_node

DOCUMENTS = [MAY_2024, BLOG, QWEN_VL, LATE_2024, KTRANSFORMERS]
WITH_PROGRAMS = [MAY_2024, BLOG, QWEN_VL, LATE_2024]
# The documents' models, by their names: the one that ships with the program plays all who write,
# and one with a projector of random weights those who see.
NAMES = ["llama2", "llama3", "llama3.2", "Meta-Llama-3-8B-Instruct"]
SEEING = ["llava", "Qwen-VL-Chat-7B"]
TINYCHAT = TESTDATA / "models/tinychat/tinychat-1m-F16.gguf"
MINILM = TESTDATA / "models/all-MiniLM-L6-v2-Q8_0.gguf"
POCKET = REPOSITORY / "resources/pocket/gguf/pocket.gguf"
ICON = (REPOSITORY / "resources/icons/inglenook-32.png").read_bytes()
PICTURE = f"data:image/png;base64,{base64.b64encode(ICON).decode()}"
CONTEXT_SIZE = 512
HUB_REPO = "documents/tiny-GGUF"
SECONDS = 50

pytestmark = pytest.mark.skipif(
    not (documents.available() and MINILM.is_file()),
    reason=f"No documents at {documents.FOLDER}: set INGLENOOK_TESTDATA to the test data beside",
)


@dataclass(frozen=True)
class Serving:
    home: Path
    url: str
    hub: FakeHub
    web: str  # has every picture, whatever its path

    def here(self, request: str) -> str:
        """Return the request with our hosts for the printed ones, and nothing else changed."""
        request = re.sub(r"http://localhost:\d+", self.url, request)
        return re.sub(r"https://img3\.chinadaily\.com\.cn", self.web, request)

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        environment = {"INGLENOOK_HOME": str(self.home), "HF_ENDPOINT": self.hub.url}
        return subprocess.run(
            ["sh", "-c", command],
            cwd=REPOSITORY,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )

    def curl(self, command: str) -> tuple[int, str]:
        """Run a command as it is printed: return the status and the body."""
        told = 'curl() { command curl -sS -w "\\n%{http_code}" "$@"; }\n'
        run = self.shell(told + self.here(command))
        assert run.returncode == 0, run.stderr
        body, _, status = run.stdout.rpartition("\n")
        return int(status), body


class Web(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.end_headers()
        self.wfile.write(ICON)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> None:
    """The server and the engines outlive a test: the fixture below ends them."""


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, web: str) -> Iterator[Serving]:
    home = tmp_path_factory.mktemp("home")
    hub = FakeHub(repos={HUB_REPO: {"tiny-F16.gguf": POCKET.read_bytes()}})
    with running(hub), open_everything(home) as services:
        services.settings.change(context_length=2048, picture_hosts=("127.0.0.1",))
        for name in NAMES:
            services.store.copy("pocket", name)
        for name in SEEING:
            services.store.import_path(TINYCHAT, name)
        services.store.import_path(MINILM, "all-minilm")
        server = api_server(services, "127.0.0.1", [0])
        server.start()
        yield Serving(home, f"http://localhost:{server.ports[0]}", hub, web)
        server.stop()


def check(answer: Any) -> None:
    """What is true of an answer of OpenAI's API, whatever was asked."""
    match answer["object"]:
        case "chat.completion":
            [choice] = answer["choices"]
            assert choice["message"]["role"] == "assistant"
            assert choice["message"]["content"]
            assert choice["finish_reason"] in ("stop", "length")
            assert answer["usage"]["total_tokens"] > answer["usage"]["prompt_tokens"] > 0
        case "text_completion":
            [choice] = answer["choices"]
            assert choice["text"]
            assert choice["finish_reason"] in ("stop", "length")
        case "list" if answer["data"][0]["object"] == "embedding":
            assert [each["index"] for each in answer["data"]] == [0, 1]
            assert {len(each["embedding"]) for each in answer["data"]} == {384}
        case "list":
            names = [each["id"].removesuffix(":latest") for each in answer["data"]]
            assert {*NAMES, *SEEING} <= set(names)
            assert {each["owned_by"] for each in answer["data"]} <= {"library", "documents"}
        case kind:
            assert kind == "model"
            assert answer["id"] and answer["owned_by"] == "library" and answer["created"]


def check_stream(body: str) -> None:
    *events, end = [line.removeprefix("data: ") for line in body.split("\n\n") if line]
    chunks = [json.loads(event) for event in events]

    assert end == "[DONE]"
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert "".join(each["delta"].get("content") or "" for [each] in choices_of(chunks))
    assert [each["finish_reason"] for [each] in choices_of(chunks)][-1] in ("stop", "length")


def choices_of(chunks: list[Any]) -> list[Any]:
    return [chunk["choices"] for chunk in chunks]


def check_lines(body: str) -> None:
    *lines, last = [json.loads(line) for line in body.splitlines()]

    assert [each["done"] for each in [*lines, last]] == [False] * len(lines) + [True]
    assert "".join(each["response"] for each in lines)


def python(source: str) -> str:
    """Run a program; return what it prints."""
    with redirect_stdout(StringIO()) as printed:
        exec(source, {"__name__": "__main__"})
    return printed.getvalue()


def javascript(source: str) -> tuple[int, str, str]:
    return run_node(source, folder=JAVASCRIPT, timeout=SECONDS)


def sighted(program: Program) -> dict[str, str]:
    return {name: each for name, each in program.requests.items() if documents.is_vision(each)}


def sightless(program: Program) -> dict[str, str]:
    return {name: each for name, each in program.requests.items() if not documents.is_vision(each)}


def modelfile(folder: Path, document: str) -> Path:
    """The printed one, with what it leaves open filled in."""
    text = documents.fenced(document, "modelfile")
    text = text.replace("<some model>", "llama3.2").replace("<context size>", str(CONTEXT_SIZE))
    path = folder / "Modelfile"
    path.write_text(text, encoding="utf-8")
    return path


def is_whole(source: str, answers: str, count: int) -> None:
    assert count, source
    assert len(answers.splitlines()) == count
    for answer in answers.splitlines():
        check(json.loads(answer))


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@needs_curl
class TestCommands:
    """In the order in which a reader comes to them: what one makes, the next one uses."""

    @pytest.mark.parametrize("document", WITH_PROGRAMS)
    def test_what_ollama_does_ingle_does(self, serving: Serving, document: str):
        for command in documents.ollama_commands(document):
            ours = command.replace("ollama", f"{sys.executable} -m app.cli", 1)
            if " pull " in ours:  # the name of a model on the hub has its owner in it
                ours = re.sub(r"pull \S+", f"pull {HUB_REPO}", ours)
            if " create " in ours:
                ours += f" -f {modelfile(serving.home, document)}"

            done = serving.shell(ours)

            assert (done.returncode, done.stderr) == (0, ""), command

    @pytest.mark.parametrize("document", DOCUMENTS)
    def test_curl(self, serving: Serving, document: str):
        asked = [each for each in documents.curls(document) if not documents.is_vision(each)]

        assert asked
        for command in asked:
            has_body = "-d" in command.split()
            # With a body and GET: a misprint.
            status, body = serving.curl(
                command.replace("-X GET", "-X POST" if has_body else "-X GET")
            )
            assert status == 200, (command, body)
            if '"stream": true' not in command:
                check(json.loads(body))
            elif "/api/" in command:
                check_lines(body)
            else:
                check_stream(body)

    def test_a_model_made_by_a_modelfile_has_its_context_size(self, serving: Serving):
        asked = {"model": "mymodel", "messages": [{"role": "user", "content": "dog " * 600}]}

        answer = httpx.post(f"{serving.url}/v1/chat/completions", json=asked, timeout=SECONDS)

        assert answer.status_code == 400
        assert str(CONTEXT_SIZE) in answer.json()["error"]["message"]


@pytest.mark.parametrize("document", WITH_PROGRAMS)
class TestPrograms:
    def test_python(self, serving: Serving, document: str):
        program = documents.python_program(document)
        asked = sightless(program)
        told = "\n".join(f"print({name}.model_dump_json())" for name in asked)
        source = serving.here("\n".join([program.prelude, *asked.values(), told]))

        is_whole(source, python(source), len(asked))

    @needs_javascript
    def test_javascript(self, serving: Serving, document: str):
        program = documents.javascript_program(document)
        asked = sightless(program)
        told = "\n".join(f"console.log(JSON.stringify({name}))" for name in asked)
        source = serving.here("\n".join([program.prelude, *asked.values(), told]))

        code, output, complaints = javascript(source)

        assert (code, complaints) == (0, "")
        is_whole(source, output, len(asked))


@needs_javascript
def test_the_edit_of_the_vercel_example(serving: Serving):
    program = documents.next_js_route()
    [request] = program.requests.values()
    around = [
        "import OpenAI from 'openai'",
        "const messages = [{ role: 'user', content: 'What is 2 plus 2?' }]",
        program.prelude,
        request,
        "for await (const chunk of response) console.log(JSON.stringify(chunk))",
    ]

    code, output, complaints = javascript(serving.here("\n".join(around)))

    assert (code, complaints) == (0, "")
    chunks = [json.loads(line) for line in output.splitlines()]
    assert "".join(each["delta"].get("content") or "" for [each] in choices_of(chunks))


def seen(document: str, request: str) -> str:
    """The request with a small picture where the print has lost one."""
    return documents.with_picture(request, PICTURE) if document == LATE_2024 else request


class TestPictures:
    @needs_curl
    @pytest.mark.parametrize("document", [LATE_2024, QWEN_VL])
    def test_curl_with_a_picture(self, serving: Serving, document: str):
        [request] = filter(documents.is_vision, documents.curls(document))

        status, body = serving.curl(seen(document, request))

        assert status == HTTPStatus.OK, body
        check(json.loads(body))

    @pytest.mark.parametrize("document", [LATE_2024, QWEN_VL])
    def test_python_with_a_picture(self, serving: Serving, document: str):
        program = documents.python_program(document)
        [(name, request)] = sighted(program).items()
        told = f"print({name}.model_dump_json())"
        source = "\n".join([program.prelude, seen(document, request), told])

        is_whole(source, python(serving.here(source)), 1)

    @needs_javascript
    @pytest.mark.parametrize("document", [LATE_2024, QWEN_VL])
    def test_javascript_with_a_picture(self, serving: Serving, document: str):
        program = documents.javascript_program(document)
        [(name, request)] = sighted(program).items()
        told = f"console.log(JSON.stringify({name}))"
        source = "\n".join([program.prelude, seen(document, request), told])

        code, output, complaints = javascript(serving.here(source))

        assert (code, complaints) == (0, "")
        is_whole(source, output, 1)

    def test_a_picture_whose_address_was_not_allowed_is_told(self, serving: Serving):
        inner = serving.web.replace("127.0.0.1", "127.0.0.2")
        parts = [{"type": "image_url", "image_url": f"{inner}/a.png"}]
        asked = {"model": "llava", "messages": [{"role": "user", "content": parts}]}

        answer = httpx.post(f"{serving.url}/v1/chat/completions", json=asked, timeout=SECONDS)

        assert answer.status_code == HTTPStatus.BAD_REQUEST

    @needs_curl
    def test_curl_as_printed_without_its_picture_is_told_the_field(self, serving: Serving):
        [request] = filter(documents.lost_its_picture, documents.curls(LATE_2024))

        status, body = serving.curl(request)

        assert status == 400
        assert json.loads(body)["error"]["param"] == "messages[0].content[1].image_url.url"

    def test_python_as_printed_without_its_picture_is_told_the_field(self, serving: Serving):
        program = documents.python_program(LATE_2024)
        [request] = filter(documents.lost_its_picture, program.requests.values())

        with pytest.raises(openai.BadRequestError) as refused:
            python(serving.here(f"{program.prelude}\n{request}"))

        assert refused.value.param == "messages[0].content[1].image_url"

    @needs_javascript
    def test_javascript_as_printed_without_its_picture_is_told_the_field(self, serving: Serving):
        program = documents.javascript_program(LATE_2024)
        [request] = filter(documents.lost_its_picture, program.requests.values())

        code, _, complaints = javascript(serving.here(f"{program.prelude}\n{request}"))

        assert code == 1
        assert "status: 400" in complaints
        assert "param: 'messages[0].content[1].image_url'" in complaints


JSON = {"Content-Type": "application/json"}
# Metadata: taken, and told as having no effect on the answer.
HINTS = {"user"}


def boxes() -> list[tuple[str, str]]:
    """Every box of every document, once."""
    if not documents.available():
        return []
    found = {box: None for document in DOCUMENTS for box in documents.boxes(document)}
    return [each for each in found if each[1] not in FILLS_IN]


@pytest.mark.parametrize(("route", "name"), boxes())
def test_every_box_is_ticked_here(serving: Serving, route: str, name: str):
    box = BOXES[route][name]
    model = "all-minilm" if route.endswith("embeddings") else "llama3.2"
    if name in VISION:
        model = "llava"

    body = json.dumps({"model": model, **box.body})
    body = body.replace("ENCODED", PICTURE).replace("ADDRESS", f"{serving.web}/a.png")
    answer = httpx.post(f"{serving.url}{route}", content=body, headers=JSON, timeout=SECONDS)

    assert answer.status_code == 200, answer.text
    assert set(answer.headers.get("X-Inglenook-Ignored", "").split(",")) <= {"", *HINTS}
    if box.body.get("stream"):
        events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
        assert box.holds([json.loads(event) for event in events[:-1]])
    else:
        assert box.holds(answer.json()), answer.text


def test_no_field_that_has_a_box_is_ignored_but_for_hints():
    honours = {
        (route.path, row.name): row.honour
        for family in FAMILIES
        for route in family.routes
        for row in route.rows
    }
    fields = {each for document in DOCUMENTS for each in documents.fields(document)}
    ticked = {(route, name) for route, name, tick in fields if tick}
    others = {(route, name) for route, name, tick in fields if not tick} - ticked

    assert len(ticked) > 20
    assert {each for each in ticked if honours.get(each) is not Honour.SUPPORTED} == set()
    assert {name for _, name in others} >= HINTS
    assert {n for r, n in others if honours.get((r, n)) is not Honour.SUPPORTED} == HINTS


def test_a_suffix_is_refused_for_a_model_that_was_not_trained_to_fill_in(serving: Serving):
    [box] = FILLS_IN.values()

    answer = httpx.post(f"{serving.url}/v1/completions", json={"model": "llama3.2", **box.body})

    assert answer.status_code == 400
    assert "llama3.2" in answer.json()["error"]["message"]
