"""API keys: how they are kept, and who is let in with them."""

import json
from pathlib import Path

import pytest

from models.errors import InvalidRequest
from models.health import Health
from server import key_check, keys
from server.key_check import KeyCheck
from server.keys import Keys, key_needed
from tests.server.test_app import HANDSHAKE

CHAT = {"model": "scripted", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
PATHS = ["/api/chat", "/v1/chat/completions", "/v1/messages"]


def test_a_key_is_known_again_and_kept_nowhere(tmp_path: Path):
    kept = Keys(tmp_path)
    laptop, editor = kept.add("laptop"), kept.add("my editor")

    assert laptop != editor
    assert [each.name for each in kept.all()] == ["laptop", "my editor"]
    assert all(keys.are(token, kept.all()) for token in (laptop, editor))
    assert not keys.are(laptop + "x", kept.all())
    assert not keys.are("", kept.all())
    for file in tmp_path.iterdir():
        assert laptop not in file.read_text()


def test_a_key_that_is_removed_is_one_no_more(tmp_path: Path):
    kept = Keys(tmp_path)
    token = kept.add("laptop")
    other = kept.add("other")

    kept.remove("laptop")

    assert not keys.are(token, kept.all())
    assert keys.are(other, kept.all())
    with pytest.raises(InvalidRequest, match="no key named 'laptop'"):
        kept.remove("laptop")


@pytest.mark.parametrize("name", ["", " ", "a ", " a", "a\nb", "a\x7f", "x" * 61])
def test_a_name_that_will_not_do_is_refused(tmp_path: Path, name: str):
    with pytest.raises(InvalidRequest):
        Keys(tmp_path).add(name)


def test_there_is_one_key_of_a_name(tmp_path: Path):
    Keys(tmp_path).add("laptop")

    with pytest.raises(InvalidRequest, match="already"):
        Keys(tmp_path).add("laptop")


@pytest.mark.parametrize(
    "broken", ["", "{", "[]", "null", '{"keys": 1}', '{"keys": [1]}', '{"keys": [{"a": 1}]}']
)
def test_a_file_that_cannot_be_understood_is_named(tmp_path: Path, broken: str):
    (tmp_path / "api-keys.json").write_text(broken)

    with pytest.raises(InvalidRequest, match=r"api-keys\.json"):
        Keys(tmp_path).all()


@pytest.mark.parametrize(
    ("wish", "host", "needed"),
    [
        ("automatic", "127.0.0.1", False),
        ("automatic", "localhost", False),
        ("automatic", "::1", False),
        ("automatic", "127.1.2.3", False),
        ("automatic", "0.0.0.0", True),
        ("automatic", "::", True),
        ("automatic", "192.168.1.7", True),
        ("automatic", "box.example", True),
        ("always", "127.0.0.1", True),
        ("never", "0.0.0.0", False),
    ],
)
def test_keys_are_needed_where_other_computers_can_call(wish: str, host: str, needed: bool):
    assert key_needed(wish, host) is needed


@pytest.fixture
def kept(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


@pytest.fixture
def guarded(serve, kept: Keys):
    return serve(keys=KeyCheck(kept))


class TestTheDoor:
    @pytest.mark.parametrize("path", PATHS)
    def test_who_has_a_key_is_let_in_by_either_header(self, guarded, kept, path):
        token = kept.add("laptop")

        for headers in (
            {"Authorization": f"Bearer {token}"},
            {"authorization": f"bearer  {token} "},
            {"x-api-key": token},
            {"x-api-key": token, "Authorization": "Bearer made-up"},
            {"x-api-key": "made-up", "Authorization": f"Bearer {token}"},
        ):
            assert guarded.ask("POST", path, CHAT, headers).status == 200, headers

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Authorization": ""},
            {"Authorization": "Bearer"},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Basic eDp5"},
            {"x-api-key": ""},
            {"x-api-key": "é"},
        ],
    )
    def test_who_has_none_hears_so_in_the_words_of_each_family(self, guarded, kept, headers):
        kept.add("laptop")
        native, openai, anthropic = [guarded.ask("POST", each, CHAT, headers) for each in PATHS]

        for answer in (native, openai, anthropic):
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.headers["x-inglenook-version"]
        assert "ingle key add NAME" in native.json["error"]
        assert openai.json["error"]["code"] == "invalid_api_key"
        assert openai.json["error"]["type"] == "invalid_request_error"
        assert anthropic.json["type"] == "error"
        assert anthropic.json["error"]["type"] == "authentication_error"

    def test_a_key_in_the_address_is_none(self, guarded, kept):
        token = kept.add("laptop")

        for name in ("key", "api_key", "api-key"):
            assert guarded.ask("GET", f"/api/tags?{name}={token}").status == 401

    def test_what_tells_nothing_of_this_computer_is_open(self, guarded):
        for path in ("/", "/health", "/api/version", "/openapi.json", "/docs"):
            assert guarded.ask("GET", path).status == 200, path

    @pytest.mark.parametrize("path", ["/health", "/v1/health"])
    def test_health_names_models_only_to_who_has_a_key(self, guarded, kept, path):
        token = {"x-api-key": kept.add("laptop")}
        guarded.ask("POST", "/api/chat", CHAT, token)

        assert guarded.ask("GET", path, headers=token).json["models"] == ["scripted:latest"]
        guarded.residency.health = lambda: Health(("Model 'scripted:latest' may be stuck.",))
        for headers in ({}, {"x-api-key": "made-up"}):
            answer = guarded.ask("GET", path, headers=headers)
            assert answer.status == 503
            assert answer.json == {"status": "failed"}
        assert "scripted" in guarded.ask("GET", path, headers=token).json["error"]

    def test_unknown_paths_are_closed_too(self, guarded):
        for path in ("/nothing", "/v1/nothing", "/health/more", "/v1/models", "/api/ps"):
            assert guarded.ask("GET", path).status == 401, path

    def test_a_websocket_needs_one_too(self, guarded, kept):
        token = kept.add("laptop")

        assert guarded.ask("GET", "/v1/nothing", headers=HANDSHAKE).status == 401
        known = HANDSHAKE | {"Authorization": f"Bearer {token}"}
        assert guarded.ask("GET", "/v1/nothing", headers=known).status == 404

    def test_a_page_may_ask_what_it_may_send_and_read_that_it_needs_a_key(self, guarded):
        page = {"Origin": "http://localhost:3000"}

        assert guarded.ask("OPTIONS", "/api/chat", headers=page).status == 204
        refused = guarded.ask("POST", "/api/chat", CHAT, page)
        assert refused.status == 401
        assert refused.headers["access-control-allow-origin"] == page["Origin"]

    def test_a_new_key_holds_soon_and_a_removed_one_no_longer(self, guarded, kept, monkeypatch):
        monkeypatch.setattr(key_check, "_FRESH_SECONDS", 0)
        first = kept.add("first")
        assert guarded.ask("GET", "/api/tags", headers={"x-api-key": first}).status == 200

        second = kept.add("second")
        kept.remove("first")

        assert guarded.ask("GET", "/api/tags", headers={"x-api-key": second}).status == 200
        assert guarded.ask("GET", "/api/tags", headers={"x-api-key": first}).status == 401

    def test_a_file_that_is_broken_lets_nobody_in_and_is_logged(
        self, guarded, kept, tmp_path, caplog
    ):
        token = kept.add("laptop")
        (tmp_path / "api-keys.json").write_text(json.dumps({"keys": None}))

        assert guarded.ask("GET", "/api/tags", headers={"x-api-key": token}).status == 401
        assert "api-keys.json" in caplog.text
