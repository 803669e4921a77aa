"""Pictures through a real server, on every wire: seen, counted, or refused in one sentence."""

import base64
import io
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
from PIL import Image as Pillow

from benchmarks.hostile_pictures import damaged, hostile_addresses, whole_pictures
from benchmarks.image_fuzz import SITE, WIRES, Canaries, Found, redirecting_site, send
from models.engine.house import Runner
from models.engine.prompt import Prompter
from models.images import MOST_PICTURES
from models.model import Kind, Model
from models.pictures import Pictures
from models.residency import Residency
from models.web_addresses import Allowed
from tests.fakes import (
    TEMPLATE,
    ByteTokenizer,
    FakeSight,
    ScriptedBackend,
    a_model,
    find_among,
)
from tests.server.conftest import FakeStore, Serving

CONTEXT_LENGTH = 1 << 16
HELLO = {"role": "user", "content": "Hello"}
WIDTH = 40  # of a picture, and its tokens


def eyes(*, sees: bool = True) -> Model:
    model = a_model("eyes", context_length=CONTEXT_LENGTH)
    return replace(model, details=replace(model.details, vision=sees, tools=True))


def prompter() -> Prompter:
    return Prompter(TEMPLATE, ByteTokenizer(), CONTEXT_LENGTH, sight=FakeSight(by_template=False))


class Counting:
    """Counts for a model that is not loaded."""

    def prompter(self, model: Model) -> Prompter:
        return prompter()

    def spelling(self, model: Model) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        pass


@pytest.fixture
def serving() -> Iterator[Callable[[Model], Serving]]:
    started: list[Serving] = []

    def serve(model: Model) -> Serving:
        backend = ScriptedBackend("red", context_length=CONTEXT_LENGTH)
        backend.prompter = prompter()
        residency = Residency(
            find_among(model),
            {Kind.LLAMA: Runner(lambda _spec, _wake: backend)},
            make_counter=Counting,
            pictures=Pictures(Allowed.of([SITE])),
        )
        started.append(Serving(residency, FakeStore([model])))
        return started[-1]

    yield serve
    for each in started:
        each.stop()
        each.residency.close()


def picture() -> str:
    file = io.BytesIO()
    Pillow.new("RGB", (WIDTH, 10), "red").save(file, "WEBP")
    return base64.b64encode(file.getvalue()).decode()


def ask(server: Serving, wire: int, image: str) -> Any:
    path, body = WIRES[wire](image)
    answer = server.ask("POST", path, {"model": "eyes", **body})
    return answer.status, answer.json


def counted(said: Any) -> int:
    usage = said.get("usage") or said
    names = ("prompt_tokens", "input_tokens", "prompt_eval_count")
    (count,) = [usage[name] for name in names if name in usage]
    return count


@pytest.mark.parametrize("wire", range(len(WIRES)))
def test_a_picture_is_seen_and_counted_on_every_wire(wire: int, serving):
    server = serving(eyes())
    status, said = ask(server, wire, picture())
    assert status == 200, said

    _, body = WIRES[wire](picture())
    path, without = WIRES[wire](picture())

    # The same without the picture, wherever it is.
    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: bare(each) for key, each in value.items() if key != "images"}
        if isinstance(value, list):
            kept = [each for each in value if not _is_picture(each)]
            return [bare(each) for each in kept]
        return value

    assert body == without
    answer = server.ask("POST", path, {"model": "eyes", **bare(without)})
    assert answer.status == 200
    assert counted(said) - counted(answer.json) == WIDTH


def _is_picture(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in ("image", "image_url", "input_image")


def test_a_count_of_tokens_counts_pictures(serving):
    server = serving(eyes())
    path, body = WIRES[2](picture())
    with_it = server.ask("POST", f"{path}/count_tokens", {"model": "eyes", **body})
    body["messages"][-1]["content"][0]["content"].pop(0)
    without = server.ask("POST", f"{path}/count_tokens", {"model": "eyes", **body})

    assert (with_it.status, without.status) == (200, 200)
    assert with_it.json["input_tokens"] - without.json["input_tokens"] == WIDTH


@pytest.mark.parametrize("wire", range(len(WIRES)))
def test_a_model_that_does_not_see_is_told_apart_on_every_wire(wire: int, serving):
    status, said = ask(serving(eyes(sees=False)), wire, picture())

    assert status == 400
    assert "does not support vision" in str(said["error"])


@pytest.mark.parametrize("wire", range(len(WIRES)))
def test_what_is_no_picture_is_a_400_with_a_sentence(wire: int, serving):
    svg = base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode()
    status, said = ask(serving(eyes()), wire, svg)

    assert status == 400
    assert "an SVG drawing, which is not read here" in str(said["error"])


def test_300_pictures_are_too_many(serving):
    asked = {"role": "user", "content": "What?", "images": [picture()] * 300}
    answer = serving(eyes()).ask("POST", "/api/chat", {"model": "eyes", "messages": [asked]})

    assert answer.status == 400
    assert f"300 pictures, and {MOST_PICTURES} are the most" in answer.json["error"]


def test_pictures_that_do_not_come_keep_nobody_waiting_but_who_wants_them(serving):
    server = serving(eyes())
    assert server.ask("POST", "/api/chat", {"model": "eyes", "messages": [HELLO]}).status == 200

    with socket.create_server((SITE, 0)) as silent, ThreadPoolExecutor(8) as threads:
        address = f"http://{SITE}:{silent.getsockname()[1]}/"
        waiting = [threads.submit(ask, server, n % 5, f"{address}{n}") for n in range(5)]
        path, body = WIRES[2](f"{address}count")
        asked = {"model": "eyes", **body}
        waiting += [
            threads.submit(lambda: (server.ask("POST", f"{path}/count_tokens", asked).status,))
            for _ in range(2)
        ]
        callers = [silent.accept()[0] for _ in waiting]  # all of them wait for an answer
        answer = server.ask("POST", "/api/chat", {"model": "eyes", "messages": [HELLO]})
        assert answer.status == 200
        count = {"model": "eyes", "messages": [HELLO], "max_tokens": 1}
        assert server.ask("POST", "/v1/messages/count_tokens", count).status == 200
        assert not any(each.done() for each in waiting)
        for each in callers:
            each.close()
        assert {each.result()[0] for each in waiting} == {400}


def test_of_several_pictures_it_is_told_which_cannot_be_read(serving):
    images = [picture(), base64.b64encode(b"none").decode()]
    asked = {"role": "user", "content": "What?", "images": images}
    answer = serving(eyes()).ask("POST", "/api/chat", {"model": "eyes", "messages": [asked]})

    assert answer.status == 400
    assert answer.json["error"].startswith("Picture 2 of 2: This is no picture")


def test_damaged_pictures_and_hostile_addresses_harm_nobody(serving):
    server = serving(eyes())
    files = [base64.b64encode(each).decode() for each in islice(damaged(whole_pictures(), 7), 60)]

    with Canaries.listening() as canaries, redirecting_site() as site:
        addresses = hostile_addresses(canaries.ports, site)[::4]
        send(server.port, "eyes", files, seen := Found())
        send(server.port, "eyes", addresses, fetched := Found())
        assert canaries.callers() == 0
        # They would have been seen.
        with socket.create_connection(("127.0.0.1", canaries.ports[0])):
            assert canaries.callers() == 1

    assert not seen.wrong and not fetched.wrong
    assert set(seen.statuses) == {200, 400}
    assert set(fetched.statuses) == {400}
