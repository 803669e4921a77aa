"""No name that a request carries leads out of the store: every route that takes one is tried."""

import json
import re
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from app.services import Services, api_server, open_everything
from server.contract import Route
from server.routes import FAMILIES
from tests.server.conftest import HOST
from tests.server.lawful import BODIES

SECRET = "nobody may read this"
ROUTES = [route for family in FAMILIES for route in family.routes]
# The fields whose values are names of models, of files, or of what is kept.
NAMES = {
    *("model", "name", "source", "destination", "from", "previous_response_id"),
    *("conversation", "digest"),
}
HOSTILE = [
    "..", ".", "/", "../..", "a/../../b", "a/..", "..:..", "a:../b", "../secret.gguf",
    "..\\..\\secret.gguf", "C:\\secret.gguf", "~/secret.gguf", "$HOME/x", "%2e%2e%2fsecret",
    "a\x00b", "a\nb", "\x1b[31m", "'; rm -rf /; '", "sha256-../../secret.gguf",
    "sha256:" + "../" * 10 + "secret.gguf", "sha256-" + "0" * 63 + "/", "sha256:" + "Z" * 64,
    "hf.co/../../../secret", "https://evil.example/../../x", "a" * 5000, "../" * 1000,
    "\ud83d", "é" * 300, "con", "a/b/c/d", " ", "-rf", "{}", "a?b", "a#b",
]  # fmt: skip


@pytest.fixture
def services(
    tmp_path: Path, inglenook_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Services]:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody is there
    for folder in (tmp_path, inglenook_home.parent):
        folder.mkdir(exist_ok=True)
        (folder / "secret.gguf").write_text(SECRET)
    with open_everything(inglenook_home) as services:
        yield services


@pytest.fixture
def connection(services: Services) -> Iterator[HTTPConnection]:
    api = api_server(services, HOST, [0])
    api.start()
    connection = HTTPConnection(HOST, api.ports[0], timeout=30)
    yield connection
    connection.close()
    api.stop()


def asked(connection: HTTPConnection, method: str, path: str, body: Any = None) -> tuple[int, str]:
    data = None if body is None else json.dumps(body).encode()
    connection.request(method, path, data)
    response = connection.getresponse()
    return response.status, response.read().decode()


def outside(home: Path) -> dict[Path, bytes]:
    """All files beside the store's."""
    return {
        path: path.read_bytes()
        for path in home.parent.rglob("*")
        if path.is_file() and home not in path.parents
    }


def refused(said: tuple[int, str]) -> bool:
    status, body = said
    no_hub = status == 502  # it is none of the hub's
    return (status in (400, 404) or no_hub) and SECRET not in body and "Traceback" not in body


def with_hostile_fields(route: Route, hostile: str) -> Iterator[dict[str, Any]]:
    for row in route.rows:
        if row.name in NAMES:
            body = BODIES.get(route.path, {"model": "pocket"}) | {row.name: hostile}
            yield body | ({"model": None} if row.name == "name" else {})


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_name_in_a_body_stays_in_the_store(connection, services, inglenook_home, family):
    before = outside(inglenook_home)
    for route in family.routes:
        for hostile in HOSTILE:
            for body in with_hostile_fields(route, hostile):
                path = re.sub(r"\{\w+\}", "a", route.path)
                said = asked(connection, route.method, path, body)
                assert refused(said), (route.path, body, said)

    assert outside(inglenook_home) == before
    assert [str(each.name) for each in services.store.list() if not each.builtin] == []


def test_a_name_in_the_path_stays_in_the_store(connection, inglenook_home):
    before = outside(inglenook_home)
    for route in ROUTES:
        for hostile in HOSTILE if "{" in route.path else []:
            encoded = quote(hostile, safe="", errors="replace")
            for name in (encoded, encoded.replace("%2F", "/")):
                if hostile.strip("./ "):
                    path = re.sub(r"\{\w+\}", lambda _: name, route.path)  # noqa: B023
                    body = BODIES.get(route.path) if route.rows else None
                    said = asked(connection, route.method, path[:60_000], body)
                    assert refused(said) or said[0] in (308, 405, 431), (route, hostile, said)

    assert outside(inglenook_home) == before
