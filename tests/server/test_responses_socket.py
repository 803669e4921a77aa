"""OpenAI's Responses over a websocket, spoken by a client that is not ours."""

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)

from models.errors import ModelCrashed
from models.events import Failed, Started, TextDelta
from server.app import create_app
from server.fields import Json
from server.listener import ApiServer
from tests.fakes import RecordedEngines, ScriptedBackend
from tests.server.conftest import HOST, FakeStore, Serving, babbler
from tests.server.openai_schemas import faults, faults_of_event, needs_schemas

CREATE: Json = {"type": "response.create", "model": "scripted", "input": "hi"}
ENDS = {"response.completed", "response.incomplete", "response.failed", "error"}


class Client:
    """A connection: ``refused`` is the status that it got instead, 0 where it got none."""

    def __init__(self, port: int, **headers: str) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=20)
        self._wire = WSConnection(ConnectionType.CLIENT)
        self._texts: list[str] = []
        self._piece = ""
        self.refused = 0
        self.headers: dict[str, str] = {}  # of the answer to the handshake
        self._accepted = False
        asked = Request(
            host=headers.pop("host", f"{HOST}:{port}"),
            target=headers.pop("target", "/v1/responses"),
            extra_headers=[(name.encode(), value.encode()) for name, value in headers.items()],
        )
        self._socket.sendall(self._wire.send(asked))
        while not self._accepted and not self.refused:
            self._read()

    def send(self, message: Json | str) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        self._socket.sendall(self._wire.send(TextMessage(text)))

    def receive(self) -> Json:
        while not self._texts:
            self._read()
        return json.loads(self._texts.pop(0))

    def ask(self, message: Json | str) -> list[Json]:
        """Return the events of one answer. An error that is told as a response too is both."""
        self.send(message)
        return self.answer()

    def answer(self) -> list[Json]:
        told: list[Json] = []
        while not told or told[-1]["type"] not in ENDS:
            told.append(self.receive())
        if told[-1]["type"] == "error" and "sequence_number" in told[-1]:
            told.append(self.receive())
        return told

    def close(self) -> None:
        self._socket.close()

    def _read(self) -> None:
        data = self._socket.recv(1 << 16)
        assert data, "the server has hung up"
        self._wire.receive_data(data)
        for event in self._wire.events():
            match event:
                case AcceptConnection(extra_headers=headers):
                    self._accepted = True
                    self.headers = {name.decode().lower(): each.decode() for name, each in headers}
                case RejectConnection(status_code=status):
                    self.refused = status
                case TextMessage(data=text, message_finished=finished):
                    self._piece += text
                    if finished:
                        self._texts.append(self._piece)
                        self._piece = ""
                case Ping():
                    self._socket.sendall(self._wire.send(event.response()))
                case CloseConnection():
                    raise AssertionError("the server has closed")
                case _:
                    pass


Connect = Callable[..., Client]


@pytest.fixture
def connect() -> Iterator[Connect]:
    clients: list[Client] = []

    def start(port: int, **headers: str) -> Client:
        clients.append(Client(port, **headers))
        return clients[-1]

    yield start
    for each in clients:
        each.close()


def text_of(told: list[Json]) -> str:
    return "".join(each["delta"] for each in told if each["type"].endswith("output_text.delta"))


def id_of(told: list[Json]) -> str:
    return told[-1]["response"]["id"]


Serve = Callable[..., Serving]


@needs_schemas
def test_a_response_is_its_events_one_a_message(serve: Serve, connect: Connect):
    told = connect(serve().port).ask(CREATE)

    assert text_of(told) == "Hello"
    assert told[-1]["type"] == "response.completed"
    for event in told:
        assert faults_of_event(event) == []


def test_responses_are_answered_one_after_the_other(serve: Serve, connect: Connect):
    client = connect(serve().port)
    client.send(CREATE)
    client.send(CREATE)

    first, second = client.answer(), client.answer()

    assert text_of(first) == text_of(second) == "Hello"
    assert id_of(first) != id_of(second)
    assert first[0]["type"] == second[0]["type"] == "response.created"


def test_what_was_said_last_is_gone_on_from_although_it_is_not_stored(
    serve: Serve, connect: Connect
):
    backend = ScriptedBackend("Hel", "lo")
    client = connect(serve(backend).port)
    first = client.ask(CREATE | {"store": False})

    client.ask(CREATE | {"store": False, "input": "So?", "previous_response_id": id_of(first)})

    assert backend.prompts[-1] == b"[user]hi[assistant]Hello[user]So?[assistant]"


@needs_schemas
def test_another_connection_knows_only_what_is_stored(serve: Serve, connect: Connect):
    serving = serve()
    client, another = connect(serving.port), connect(serving.port)
    unstored, stored = client.ask(CREATE | {"store": False}), client.ask(CREATE)

    [error] = another.ask(CREATE | {"previous_response_id": id_of(unstored)})
    found = another.ask(CREATE | {"previous_response_id": id_of(stored)})

    assert error["status"] == 404
    assert error["error"]["code"] == "previous_response_not_found"
    assert faults("open-responses", "WebSocketErrorEvent", error) == []
    assert found[-1]["type"] == "response.completed"
    # And by http it is there too.
    assert serving.ask("GET", f"/v1/responses/{id_of(found)}").status == 200


def test_a_turn_that_fails_leaves_nothing_to_go_on_from(serve: Serve, connect: Connect):
    client = connect(serve().port)
    first = client.ask(CREATE | {"store": False})
    going_on = CREATE | {"store": False, "previous_response_id": id_of(first)}

    [refused] = client.ask(going_on | {"temperature": "hot"})
    [gone] = client.ask(going_on)

    assert refused["error"]["param"] == "temperature"
    assert gone["error"]["code"] == "previous_response_not_found"


def test_a_conversation_that_was_made_short_begins_a_chain(serve: Serve, connect: Connect):
    serving = serve(ScriptedBackend("Hel", "lo", context_length=2048))
    client = connect(serving.port)
    compact = serving.ask("POST", "/v1/responses/compact", {"model": "scripted", "input": "hi"})

    told = client.ask(
        CREATE | {"input": [*compact.json["output"], {"role": "user", "content": "So?"}]}
    )

    assert told[-1]["type"] == "response.completed"


def test_a_request_can_be_made_ready_without_an_answer(serve: Serve, connect: Connect):
    backend = ScriptedBackend("Hel", "lo")
    client = connect(serve(backend).port)

    warm = client.ask(CREATE | {"generate": False, "store": False})
    client.ask(CREATE | {"input": "So?", "previous_response_id": id_of(warm)})

    assert warm[-1]["response"]["output"] == []
    assert backend.prompts == [b"[user]hi[user]So?[assistant]"]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("{", "unexpected"),
        ({"model": "scripted", "input": "hi"}, "\"type\" must be 'response.create'."),
        (CREATE | {"model": None}, "model is required"),
        (CREATE | {"model": "nothere"}, "model 'nothere' not found"),
    ],
)
def test_what_is_wrong_is_said_and_the_connection_goes_on(
    serve: Serve, connect: Connect, message: Any, said: str
):
    client = connect(serve().port)

    told = client.ask(message)
    good = client.ask(CREATE)

    assert said in (told[0].get("error") or told[-2]["error"])["message"] or said == "unexpected"
    assert good[-1]["type"] == "response.completed"


def test_whoever_hangs_up_frees_the_model(serve: Serve, connect: Connect, eventually):
    backend = babbler()
    client = connect(serve(backend).port)
    client.send(CREATE)
    while client.receive()["type"] != "response.output_text.delta":
        pass

    client.close()

    eventually(lambda: not backend.running)


def test_an_error_in_the_middle_is_told(connect: Connect):
    engines = RecordedEngines(Started(1), TextDelta("He"), Failed(ModelCrashed("It died.")))
    server = ApiServer(lambda: create_app(engines, FakeStore(), host=HOST), HOST, [0])
    server.start()

    *_, error, failed = connect(server.ports[0]).ask(CREATE)
    server.stop()

    assert error["message"] == "It died."
    assert failed["response"]["status"] == "failed"


@pytest.mark.parametrize("header", [{"host": "evil.example"}, {"origin": "https://evil.example"}])
def test_the_guard_holds(serve: Serve, connect: Connect, header: dict[str, str]):
    assert connect(serve().port, **header).refused == 403


def test_what_an_address_asks_for_in_vain_is_refused_where_that_is_wanted(
    serve: Serve, connect: Connect
):
    port, target = serve().port, "/v1/responses?unheard_of=1"

    assert connect(port, target=target).headers["x-inglenook-ignored"] == "unheard_of"
    assert "x-inglenook-ignored" not in connect(port).headers
    assert connect(port, target=target, **{"X-Inglenook-Strict": "1"}).refused == 400


@needs_schemas
def test_what_is_ignored_of_a_message_is_named_in_the_first_event(serve: Serve, connect: Connect):
    told = connect(serve().port).ask({**CREATE, "unheard_of": 1})

    assert told[0]["headers"] == {"X-Inglenook-Ignored": "unheard_of"}
    assert not any("headers" in each for each in told[1:])
    assert [fault for each in told for fault in faults_of_event(each)] == []


def test_a_server_stops_with_a_connection_open(serve: Serve, connect: Connect):
    serving = serve()
    client = connect(serving.port)
    client.ask(CREATE)

    serving.stop()

    assert not serving.server.running
