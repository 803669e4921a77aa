"""The tables of fields are true: every row is tried on the routes, and every field has a row."""

import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from server.contract import Honour, Route, Row
from server.fields import Fields, Json
from server.query import Query
from server.routes import FAMILIES
from tests import registry_server
from tests.registry_server import FakeRegistry
from tests.server.conftest import Answer
from tests.server.lawful import BODIES, USER, body_with, example
from tests.server.obliging import ObligingServing

ROUTES = [route for family in FAMILIES for route in family.routes]
WITH_BODIES = [each for each in ROUTES if each.rows]
BY_PATH = {route.path: route for route in WITH_BODIES}
WITH_QUERY = [each for each in ROUTES if each.query]
WITHOUT_QUERY = [each for each in ROUTES if not each.query]

# Who reads a body as a larger route does, and does less with it.
LIKE = {
    "/v1/responses/input_tokens": "/v1/responses",
    "/v1/responses/compact": "/v1/responses",
    "/apply-template": "/v1/chat/completions",
}

# The examples name what is not there, or is no file for that.
REFUSED = {
    *("previous_response_id", "conversation", "conversation.id"),
    *("files", "adapters", "quantize", "quantization"),
}

# What every family takes beside its own.
EXTRAS = {
    *("num_ctx", "context_length", "keep_alive", "ttl", "think"),
    *("top_k", "min_p", "repeat_penalty", "grammar", "chat_template_kwargs"),
}
GENERATING = ["/v1/chat/completions", "/v1/responses", "/api/chat", "/api/generate", "/v1/messages"]

# What the documents' requests and tables of features have, in shared/reference/documents.
TICKED = {
    "/v1/chat/completions": [
        *("model", "messages", "messages[].role", "messages[].content", "stream", "stream_options"),
        *("stream_options.include_usage", "frequency_penalty", "presence_penalty"),
        *("response_format", "seed", "stop", "temperature", "top_p", "max_tokens", "tools"),
        *("messages[].content[].image_url", "messages[].content[].image_url.url"),
        *("tool_choice", "logit_bias", "n", "logprobs", "top_logprobs", "messages[].tool_calls"),
    ],
    "/v1/completions": [
        *("model", "prompt", "frequency_penalty", "presence_penalty", "seed", "stop", "stream"),
        *("stream_options", "stream_options.include_usage", "temperature", "top_p", "max_tokens"),
        *("suffix", "best_of", "echo", "logit_bias", "n", "logprobs"),
    ],
    "/v1/embeddings": ["model", "input", "encoding_format", "dimensions"],
    "/api/chat": ["model", "messages", "stream", "format", "options", "options.num_ctx"],
    "/api/generate": ["model", "prompt", "stream", "options", "raw", "system", "template"],
}


class Watched:
    """A server, and which fields its parsers have read of the last body."""

    def __init__(self, serving: ObligingServing) -> None:
        self._serving = serving
        self.read: set[str] = set()

    def ask(self, route: Route, asked: Json, **headers: str) -> Answer:
        path, body = route.path, {**asked}
        if "{conversation_id}" in path:
            begun = self._serving.ask("POST", "/v1/conversations", {}).json["id"]
            path = path.replace("{conversation_id}", begun)
        if route.path == "/api/delete":
            self._serving.revive()
        self.read.clear()
        if route.path == "/api/push":
            with registry_server.running(FakeRegistry()) as registry:
                for name in {"model", "name"} & body.keys():
                    if body[name]:
                        body[name] = f"{registry.host}/library/{body[name]}"
                body["insecure"] = True
                return self._serving.ask(route.method, path, body, headers)
        return self._serving.ask(route.method, path, body, headers)


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> None:
    """The server outlives a test: the fixture below ends it."""


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObligingServing]:
    serving = ObligingServing(tmp_path_factory.mktemp("home"))
    yield serving
    serving.server.stop()


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch, serving: ObligingServing) -> Watched:
    found = Watched(serving)
    value, raw = Fields.value, Fields.raw

    def watched_value(fields: Fields, field: str):
        if fields.given():
            found.read.add(plain(fields.name(field)))
        return value(fields, field)

    def watched_raw(fields: Fields):
        found.read.update(plain(fields.name(field)) for field in fields.given())
        return raw(fields)

    monkeypatch.setattr(Fields, "value", watched_value)
    monkeypatch.setattr(Fields, "raw", watched_raw)
    return found


class Asked:
    """A server that has something under every path, and what it has read of the last address."""

    def __init__(self, serving: ObligingServing) -> None:
        self._serving = serving
        self.read: set[str] = set()
        conversation = serving.ask("POST", "/v1/conversations", {"items": [USER]}).json["id"]
        said = {"model": "scripted", "input": [USER]}
        self._ids = {
            "{conversation_id}": conversation,
            "{response_id}": serving.ask("POST", "/v1/responses", said).json["id"],
        }

    def ask(self, route: Route, row: Row, value: object = None, **headers: str) -> Answer:
        path = route.path
        for name, id in self._ids.items():
            path = path.replace(name, id)
        if path == "/v1/models":  # of OpenAI's there is no query
            headers["anthropic-version"] = "2023-06-01"
        value = self._example(path, row) if value is None else value
        self.read.clear()
        query = urlencode({row.name: value})
        return self._serving.ask(route.method, f"{path}?{query}", headers=headers)

    def _example(self, path: str, row: Row) -> object:
        match row.name:
            case "model":
                return "scripted"
            case "after_id" | "before_id":
                return "scripted:latest"
            case "after":
                return self._serving.ask("GET", path).json["first_id"]
            case "include":
                return "reasoning.encrypted_content"
            case "lifecycle":
                return "active"
        value = example(row.schema)
        return str(value).lower() if isinstance(value, bool) else value


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, serving: ObligingServing) -> Asked:
    found = Asked(serving)
    text, texts = Query.text, Query.texts

    def watched_text(query: Query, name: str):
        found.read.add(name)
        return text(query, name)

    def watched_texts(query: Query, name: str):
        found.read.add(name)
        return texts(query, name)

    monkeypatch.setattr(Query, "text", watched_text)
    monkeypatch.setattr(Query, "texts", watched_texts)
    return found


def plain(name: str) -> str:
    return re.sub(r"\[\d+\]", "[]", name)


def ignored(answer: Answer) -> list[str]:
    return answer.headers.get("x-inglenook-ignored", "").split(",")


def first(name: str) -> str:
    return re.split(r"[.\[]", name, maxsplit=1)[0]


@pytest.mark.parametrize("path", BY_PATH)
def test_a_field_is_treated_as_its_row_says_and_one_that_is_read_has_a_row(
    watched: Watched, path: str
):
    route = BY_PATH[path]
    wrong: list[object] = []
    read: set[str] = set()

    assert watched.ask(route, BODIES[path]).status == 200
    for row in route.rows:
        body = body_with(path, row)
        answer = watched.ask(route, body)
        read |= {name for name in watched.read if "." not in name}
        if not is_true(row, answer, watched.read):
            wrong.append((row.name, row.honour, answer.status, answer.body[:200], ignored(answer)))
        if row.honour is Honour.IGNORED:
            strict = watched.ask(route, body, **{"X-Inglenook-Strict": "1"})
            if strict.status != 400 or row.name not in strict.body.decode():
                wrong.append((row.name, "strict", strict.status, strict.body[:200]))

    assert not wrong
    assert not without_row(watched, route, read)


def is_true(row: Row, answer: Answer, read: set[str]) -> bool:
    match row.honour:
        case Honour.SUPPORTED:
            known = row.name in read and row.name not in ignored(answer)
            done = row.name in REFUSED or answer.status == 200
            return known and done and b"not supported" not in answer.body
        case Honour.REFUSED:
            said = plain(answer.body.decode().replace('\\"', '"'))
            return answer.status == 400 and f'"{row.name}" is not supported' in said
        case Honour.IGNORED:
            return answer.status == 200 and row.name in ignored(answer)


def without_row(watched: Watched, route: Route, read: set[str]) -> set[str]:
    without = read - {first(row.name) for row in route.rows}
    if like := LIKE.get(route.path):
        # Read for the larger route's sake: here it is told that it has no effect.
        for row in BY_PATH[like].rows:
            if row.name in without and row.honour is not Honour.REFUSED:
                answer = watched.ask(route, body_with(route.path, row))
                assert row.name in ignored(answer), (row.name, answer.body)
                without.remove(row.name)
    return without


@pytest.mark.parametrize("route", WITH_QUERY, ids=lambda route: route.path)
def test_what_an_address_asks_for_is_treated_as_its_row_says(asked: Asked, route: Route):
    wrong: list[object] = []

    for row in (*route.query, Row("unheard_of", {}, Honour.IGNORED)):
        answer = asked.ask(route, row)
        if not is_true(row, answer, asked.read):
            wrong.append((row.name, row.honour, answer.status, answer.body[:200], ignored(answer)))
        strict = asked.ask(route, row, **{"X-Inglenook-Strict": "1"})
        if strict.status != (400 if row.honour is Honour.IGNORED else 200):
            wrong.append((row.name, "strict", strict.status, strict.body[:200]))
        if row.honour is Honour.SUPPORTED and row.schema["type"] in ("integer", "boolean"):
            refused = asked.ask(route, row, -1)
            if refused.status != 400 or row.name not in refused.body.decode():
                wrong.append((row.name, "-1", refused.status, refused.body[:200]))

    assert not wrong


def test_what_an_address_asks_for_in_vain_is_named(watched: Watched):
    wrong: list[object] = []

    for route in WITHOUT_QUERY:
        path = f"{route.path.replace('{model}', 'scripted')}?unheard_of=1&other"
        addressed, body = replace(route, path=path), BODIES.get(route.path, {})
        strict = watched.ask(addressed, body, **{"X-Inglenook-Strict": "1"})
        answer = watched.ask(addressed, body)
        told = (strict.status, strict.body and "unheard_of" in strict.body.decode())
        if told not in ((400, True), (400, b"")) or ignored(answer) != ["unheard_of", "other"]:
            wrong.append((route.method, path, told, answer))

    assert not wrong
    assert len(WITHOUT_QUERY) > 40


@pytest.mark.parametrize("path", BY_PATH)
def test_what_nobody_knows_is_named(watched: Watched, path: str):
    answer = watched.ask(BY_PATH[path], BODIES[path] | {"unheard_of": 1})

    assert answer.status == 200
    assert "unheard_of" in ignored(answer)


@pytest.mark.parametrize("path", TICKED)
def test_nothing_that_the_documents_tick_is_ignored(path: str):
    honours = {row.name: row.honour for row in BY_PATH[path].rows}

    assert {name: honours.get(name) for name in TICKED[path]} == dict.fromkeys(
        TICKED[path], Honour.SUPPORTED
    )


@pytest.mark.parametrize("path", GENERATING)
def test_every_family_takes_the_extras(path: str):
    names = {row.name.removeprefix("options.") for row in BY_PATH[path].rows}

    assert EXTRAS - names == set()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_field_has_one_row(route: Route):
    names = [row.name for row in (*route.rows, *route.query)]

    assert len(names) == len(set(names))
    assert route.summary.endswith(".")
