"""Several generations in one answer, through a real server: chat completions and completions."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from models.errors import ModelCrashed
from tests.fakes import ScriptedBackend
from tests.server.conftest import babbler

CHAT = {"model": "scripted", "messages": [{"role": "user", "content": "hi"}]}
TEXT = {"model": "scripted", "prompt": ["a", "b"]}
USAGE = {"stream": True, "stream_options": {"include_usage": True}}


def test_a_chat_with_several_choices(serve):
    backend = ScriptedBackend("Hel", "lo")

    said = serve(backend).ask("POST", "/v1/chat/completions", CHAT | {"n": 3}).json

    assert [each["index"] for each in said["choices"]] == [0, 1, 2]
    assert [each["message"]["content"] for each in said["choices"]] == ["Hello"] * 3
    assert said["usage"]["prompt_tokens"] == len(backend.prompts[0])
    assert said["usage"]["completion_tokens"] == 6


def test_the_chunks_of_several_choices_say_whose_they_are(serve):
    events = serve().ask("POST", "/v1/chat/completions", CHAT | USAGE | {"n": 3}).events

    *chunks, last = events
    texts = ["", "", ""]
    for chunk in chunks:
        [choice] = chunk["choices"]
        texts[choice["index"]] += choice["delta"].get("content", "")
    ends = [each["choices"][0]["index"] for each in chunks if each["choices"][0]["finish_reason"]]
    assert texts == ["Hello"] * 3
    assert sorted(ends) == [0, 1, 2]
    assert last["usage"]["completion_tokens"] == 6
    assert [each for each in events if "timings" in each] == [last]


def test_several_prompts_are_answered_in_their_order(serve):
    said = serve().ask("POST", "/v1/completions", TEXT | {"echo": True, "n": 2}).json

    assert [each["text"] for each in said["choices"]] == ["aHello", "aHello", "bHello", "bHello"]
    assert [each["index"] for each in said["choices"]] == [0, 1, 2, 3]


@pytest.mark.parametrize("stream", [True, False])
def test_one_that_fails_ends_them_all(serve, eventually, stream: bool):
    backend = babbler()
    serving = serve(backend)
    body = json.dumps(CHAT | {"n": 2, "stream": stream})
    with closing(serving.connect()) as connection:
        connection.request("POST", "/v1/chat/completions", body)
        eventually(lambda: len(backend.running) == 2)
        begun = connection.getresponse() if stream else None
        if begun:
            assert begun.read(1)  # the head is sent, so what goes wrong now comes in the stream

        backend.fail_step = ModelCrashed("It died.")

        response = begun or connection.getresponse()
        said = response.read().decode()
    assert response.status == (200 if stream else 500)
    assert said.count("It died.") == 1
    assert said.endswith("data: [DONE]\n\n") is stream


def test_who_leaves_frees_all_choices(serve, eventually):
    backend = babbler()
    serving = serve(backend)
    body = json.dumps(CHAT | {"n": 4, "stream": True}).encode()
    with socket.create_connection(("127.0.0.1", serving.port)) as client:
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
        )
        client.sendall(head.encode() + b"\r\n\r\n" + body)
        assert client.recv(1000)
        eventually(lambda: len(backend.running) == 4)

    eventually(lambda: not backend.running)


def test_sixty_four_streams_at_once(serve):
    serving = serve(ScriptedBackend(*[f"word {number} " for number in range(40)]))

    def ask(_: int) -> str:
        events = serving.ask("POST", "/v1/chat/completions", CHAT | {"stream": True}).events
        return "".join(each["choices"][0]["delta"].get("content", "") for each in events)

    with ThreadPoolExecutor(64) as pool:
        texts = list(pool.map(ask, range(64)))

    assert texts == ["".join(f"word {number} " for number in range(40))] * 64
