"""The whole server over a socket: families, errors, guards, and clients that leave."""

import json
import socket

import pytest

from models.chat import GenerateRequest
from models.errors import ModelCrashed, ServerBusy
from models.events import Event, Failed
from models.health import Health
from models.names import ModelName
from tests.fakes import A_TEST, ScriptedBackend, a_model
from tests.server.conftest import HOST, babbler

CHAT = {"model": "scripted", "messages": [{"role": "user", "content": "hi"}]}
GENERATE = {"model": "scripted", "prompt": "hi"}
ASKING = [("/api/chat", CHAT), ("/api/generate", GENERATE), ("/v1/chat/completions", CHAT)]

HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


class TestRoutes:
    def test_it_says_what_clients_look_for(self, serve):
        serving = serve()

        assert serving.ask("GET", "/").body == b"Ollama is running"
        assert serving.ask("HEAD", "/").status == 200
        assert serving.ask("GET", "/api/version").json == {"version": "0.33.0"}
        assert serving.ask("GET", "/health").json == {"status": "ok", "models": []}

    def test_what_a_model_does_is_told(self, serve, eventually):
        backend = babbler()
        serving = serve(backend)
        connection = serving.connect()
        connection.request("POST", "/api/chat", json.dumps(CHAT))
        connection.getresponse().readline()

        def model() -> dict:
            return serving.ask("GET", "/api/ps").json["models"][0]

        eventually(lambda: model()["tokens_per_second"] > 0)
        assert model()["in_flight"] == 1
        assert model()["last_step_seconds"] < 5
        assert model()["prompt_tokens"] == len(backend.prompts[0])
        assert model()["cached_tokens"] == 0
        assert model()["prompt_cache"] == {"size": 0, "hits": 0, "misses": 0}
        none = {"by": "", "given_up": False, "drafted": 0, "accepted": 0}
        assert model()["drafts"] == none

        connection.close()
        eventually(lambda: model()["in_flight"] == 0)
        assert model()["tokens_per_second"] == 0

    def test_engines_that_are_stuck_are_told(self, serve):
        serving = serve()
        troubles = ("The engine is stuck.", "So is the other.")
        serving.residency.health = lambda: Health(troubles)

        answer = serving.ask("GET", "/health")

        assert answer.status == 503
        assert answer.json == {
            "status": "failed",
            "models": [],
            "error": "The engine is stuck. So is the other.",
        }

    def test_a_full_queue_is_told_with_when_to_come_again(self, serve):
        serving = serve(ScriptedBackend("hi", loading_steps=1 << 40))  # it never is ready
        waiting: list[Event] = []
        request = GenerateRequest(model="scripted", prompt="hi")
        for _ in range(512):
            serving.residency.submit(request, waiting.append, origin=A_TEST)

        messages = CHAT | {"max_tokens": 5}
        for path, asked in (*ASKING, ("/v1/messages", messages)):
            for stream in (True, False):
                answer = serving.ask("POST", path, asked | {"stream": stream})
                assert (answer.status, answer.headers["retry-after"]) == (503, "2"), path
                assert b"server busy, please try again" in answer.body
        assert not [each for each in waiting if isinstance(each, Failed)]

    def test_every_answer_tells_whose_it_is(self, serve):
        serving = serve()

        for path in ("/", "/api/tags", "/nothing", "/v1/nothing"):
            assert "x-inglenook-version" in serving.ask("GET", path).headers

    def test_a_chat_is_streamed_unless_it_says_otherwise(self, serve):
        serving = serve()

        streamed = serving.ask("POST", "/api/chat", CHAT)
        whole = serving.ask("POST", "/api/chat", CHAT | {"stream": False})

        assert streamed.headers["content-type"] == "application/x-ndjson"
        assert [line["message"]["content"] for line in streamed.lines] == ["Hel", "lo", ""]
        assert streamed.lines[-1]["done_reason"] == "stop"
        assert whole.headers["content-type"] == "application/json; charset=utf-8"
        assert whole.json["message"] == {"role": "assistant", "content": "Hello"}

    def test_a_completion_is_whole_unless_it_says_otherwise(self, serve):
        serving = serve()
        options = {"stream": True, "stream_options": {"include_usage": True}}

        whole = serving.ask("POST", "/v1/chat/completions", CHAT)
        streamed = serving.ask("POST", "/v1/chat/completions", CHAT | options)

        assert whole.headers["content-type"] == "application/json"
        assert whole.json["choices"][0]["message"]["content"] == "Hello"
        assert streamed.headers["content-type"] == "text/event-stream"
        *chunks, usage = streamed.events
        assert "".join(each["choices"][0]["delta"].get("content", "") for each in chunks) == "Hello"
        assert usage["usage"]["completion_tokens"] == 2

    def test_what_is_loaded_is_told(self, serve):
        serving = serve()

        loaded = serving.ask("POST", "/api/generate", {"model": "scripted", "keep_alive": -1})
        [model] = serving.ask("GET", "/api/ps").json["models"]
        assert loaded.json["done_reason"] == "load"
        assert model["name"] == "scripted:latest"
        assert model["expires_at"] > "2300"
        assert serving.ask("GET", "/health").json["models"] == ["scripted:latest"]

        assert model["in_flight"] == model["queued"] == 0
        assert model["last_step_seconds"] is None

        unloaded = serving.ask("POST", "/api/chat", {"model": "scripted", "keep_alive": 0})
        assert unloaded.json["done_reason"] == "unload"
        assert serving.ask("GET", "/api/ps").json == {"models": []}

    def test_a_name_with_a_slash_is_found_escaped_or_not(self, serve):
        serving = serve(models=[a_model("org/tiny")])

        for path in ("/v1/models/org/tiny", "/v1/models/org%2Ftiny"):
            assert serving.ask("GET", path).json["id"] == "org/tiny"

    def test_both_lists_of_models(self, serve):
        serving = serve(models=[a_model("b"), a_model("a")])

        tags = serving.ask("GET", "/api/tags").json["models"]
        models = serving.ask("GET", "/v1/models").json["data"]

        assert [each["name"] for each in tags] == ["b:latest", "a:latest"]
        assert [each["id"] for each in models] == ["b:latest", "a:latest"]

    def test_what_has_no_effect_is_told(self, serve):
        serving = serve()
        native = CHAT | {"surprise": 1, "options": {"num_gpu": 1}}

        answer = serving.ask("POST", "/api/chat", native)
        openai = serving.ask("POST", "/v1/chat/completions", CHAT | {"user": "me", "\r\nX: é": 1})

        assert answer.headers["x-inglenook-ignored"] == "surprise,options.num_gpu"
        assert openai.headers["x-inglenook-ignored"] == "user,%0D%0AX%3A%20%C3%A9"
        assert openai.status == 200

    def test_what_has_no_effect_is_refused_where_that_is_wanted(self, serve):
        serving = serve()
        strict = {"X-Inglenook-Strict": "1"}

        answer = serving.ask("POST", "/v1/chat/completions", CHAT | {"user": "me"}, strict)

        assert answer.status == 400
        assert answer.json["error"]["param"] == "user"
        assert serving.ask("POST", "/v1/chat/completions", CHAT, strict).status == 200


class TestErrors:
    def test_a_missing_model_in_the_words_of_each_route(self, serve):
        serving = serve()
        missing = {"model": "nothere"}

        assert serving.ask("POST", "/api/chat", CHAT | missing).json == {
            "error": "model 'nothere' not found"
        }
        assert serving.ask("POST", "/api/show", missing).json == {
            "error": "model 'nothere:latest' not found"
        }
        answer = serving.ask("POST", "/v1/chat/completions", CHAT | missing | {"stream": True})
        assert answer.status == 404
        assert answer.json["error"] == {
            "message": "model 'nothere' not found",
            "type": "not_found_error",
            "param": None,
            "code": None,
        }

    def test_what_a_model_cannot_do_in_the_words_that_clients_look_for(self, serve):
        serving = serve(models=[a_model("Org/Tiny:v2")])
        asked = CHAT | GENERATE | {"model": "oRG/Tiny:v2", "stream": True}
        tool = {"type": "function", "function": {"name": "a"}}
        full = "registry.ollama.ai/Org/Tiny:v2 does not support"

        for path, extra, sentence in (
            ("/api/chat", {"think": True}, '"oRG/Tiny:v2" does not support thinking'),
            ("/api/generate", {"suffix": "x"}, f"{full} insert"),
            ("/api/chat", {"tools": [tool]}, f"{full} tools"),
            ("/v1/chat/completions", {"tools": [tool]}, f"{full} tools"),
            ("/v1/chat/completions", {"think": True}, '"oRG/Tiny:v2" does not support thinking'),
            ("/api/generate", {"images": ["aGVsbG8="]}, f"{full} vision"),
        ):
            answer = serving.ask("POST", path, asked | extra)
            said = answer.json["error"]
            assert (said["message"] if isinstance(said, dict) else said) == sentence
            assert answer.status == 400

    def test_an_effort_is_no_more_than_a_wish(self, serve):
        serving = serve()

        answer = serving.ask("POST", "/v1/chat/completions", CHAT | {"reasoning_effort": "high"})

        assert answer.json["choices"][0]["message"]["content"] == "Hello"
        assert answer.headers["x-inglenook-ignored"] == "reasoning_effort"

    @pytest.mark.parametrize("path", [path for path, _ in ASKING])
    def test_a_name_that_is_none(self, serve, path):
        answer = serve().ask("POST", path, CHAT | GENERATE | {"model": "a b"})

        assert answer.status == 400
        assert "invalid model name" in answer.body.decode()

    def test_a_prompt_that_is_too_long_is_refused_on_one_wire_and_cut_on_the_other(self, serve):
        serving = serve(ScriptedBackend("ok", context_length=64))
        long = CHAT | {"messages": [{"role": "user", "content": "x" * 100}], "stream": True}

        refused = serving.ask("POST", "/v1/chat/completions", long)
        cut = serving.ask("POST", "/api/chat", long)
        unwanted = serving.ask("POST", "/api/chat", long | {"truncate": False})

        assert refused.status == 400
        assert refused.json["error"]["code"] == "context_length_exceeded"
        assert cut.status == 200
        assert unwanted.status == 400
        assert "64" in unwanted.json["error"]

    @pytest.mark.parametrize(("path", "asked"), ASKING)
    def test_a_model_that_cannot_be_loaded_is_an_error_with_a_status(self, serve, path, asked):
        backend = ScriptedBackend()
        backend.fail_load = ModelCrashed("It cannot be loaded.")

        answer = serve(backend).ask("POST", path, asked | {"stream": True})

        assert answer.status == 500
        assert "It cannot be loaded." in answer.body.decode()

    def test_a_busy_server_says_when_to_come_again(self, serve):
        backend = ScriptedBackend()
        backend.fail_load = ServerBusy("Too many.")
        serving = serve(backend)

        native = serving.ask("POST", "/api/chat", CHAT)
        openai = serving.ask("POST", "/v1/chat/completions", CHAT)

        assert native.status == openai.status == 503
        assert "retry-after" in native.headers and "retry-after" in openai.headers
        assert native.json["error"] == (
            "server busy, please try again.  maximum pending requests exceeded"
        )
        assert openai.json["error"]["code"] == "server_overloaded"

    def test_a_model_that_dies_in_the_middle_ends_each_stream_with_an_error(self, serve):
        for path, asked in ASKING:
            backend = babbler()
            connection = serve(backend).connect()
            connection.request("POST", path, json.dumps(asked | {"stream": True}))
            response = connection.getresponse()
            assert response.status == 200
            response.readline()
            backend.fail_step = ModelCrashed("It died.")
            *_, last = [
                line for line in response.read().splitlines() if line != b"data: [DONE]" and line
            ]
            connection.close()

            said = json.loads(last.removeprefix(b"data: "))["error"]
            assert (said["message"] if isinstance(said, dict) else said) == "It died."

    def test_an_unknown_path_or_method_is_text_on_one_wire_and_json_on_the_other(self, serve):
        serving = serve()

        assert serving.ask("GET", "/api/nothing").body == b"404 page not found"
        assert serving.ask("GET", "/api/nothing").headers["content-type"] == "text/plain"
        wrong = serving.ask("GET", "/api/chat")
        assert (wrong.status, wrong.body) == (405, b"405 method not allowed")
        assert wrong.headers["allow"] == "POST"
        assert serving.ask("POST", "/api/tags", {}).headers["allow"] == "GET, HEAD"

        unknown = serving.ask("GET", "/v1/nothing")
        assert unknown.status == 404
        assert unknown.json["error"]["type"] == "not_found_error"
        wrong = serving.ask("GET", "/v1/chat/completions")
        assert wrong.status == 405
        assert wrong.headers["allow"] == "POST"
        assert wrong.json["error"]["type"] == "invalid_request_error"

    def test_a_slash_too_many_leads_to_the_right_path(self, serve):
        serving = serve()

        for path in ("/api//tags", "//api/tags", "//api//tags//", "/v1//models"):
            answer = serving.ask("GET", path)
            assert answer.status == 200, path
            assert answer.headers["content-type"].startswith("application/json")
        body = GENERATE | {"stream": False}
        assert serving.ask("POST", "//api///generate", body).json["response"] == "Hello"

    def test_the_slashes_of_an_address_are_part_of_a_name(self, serve):
        serving = serve(models=[a_model("org/tiny")])

        found = serving.ask("GET", "/v1/models/https://huggingface.co/org/tiny")

        assert found.status == 200

    def test_a_bug_is_logged_and_told_and_the_connection_kept(self, serve, monkeypatch, caplog):
        serving = serve()
        monkeypatch.setattr(serving.residency, "submit", lambda *_, **__: 1 / 0)
        connection = serving.connect()

        for path, asked in ASKING:
            connection.request("POST", path, json.dumps(asked))
            response = connection.getresponse()
            assert response.status == 500
            assert b"failed unexpectedly" in response.read()
        connection.close()

        assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError] * 3

    def test_a_body_that_is_no_json(self, serve):
        serving = serve()

        native = serving.ask("POST", "/api/chat", b'{"model": x}')
        openai = serving.ask("POST", "/v1/chat/completions", b"{")

        assert native.status == openai.status == 400
        assert native.json["error"].startswith("The request body is not JSON")
        assert openai.json["error"]["type"] == "invalid_request_error"

    def test_a_large_body_is_read_like_any_other(self, serve):
        serving = serve(ScriptedBackend("ok", context_length=1 << 30))
        long = CHAT | {"messages": [{"role": "user", "content": "漢字, " * 500_000}]}

        answer = serving.ask("POST", "/v1/chat/completions", long)
        twice = serving.ask("POST", "/api/chat", b'{"a": 1, "a": "' + b"x" * (2 << 20) + b'"}')

        assert answer.json["choices"][0]["message"]["content"] == "ok"
        assert answer.json["usage"]["prompt_tokens"] > 4_000_000
        assert (twice.status, twice.json) == (400, {"error": '"a" is given twice.'})

    def test_half_a_character_in_the_name_of_a_field_is_no_fault_of_ours(self, serve):
        body = (
            rb'{"model": "scripted", "messages": [{"role": "user", "content": "x"}], "\ud83d": 1}'
        )

        answer = serve().ask("POST", "/v1/chat/completions", body)

        assert answer.status == 200
        assert answer.headers["x-inglenook-ignored"] == "%EF%BF%BD"

    def test_a_body_in_chunks_is_read(self, serve):
        connection = serve().connect()
        data = json.dumps(CHAT | {"stream": False}).encode()

        connection.request("POST", "/api/chat", iter([data[:9], data[9:]]), encode_chunked=True)

        assert connection.getresponse().status == 200
        connection.close()


class TestGuards:
    def test_a_host_from_elsewhere_hears_what_to_do_and_so_does_the_log(self, serve, caplog):
        serving = serve()
        evil = {"Host": "evil.example:80"}

        native = serving.ask("GET", "/api/tags", headers=evil)
        openai = serving.ask("GET", "/v1/models", headers=evil)

        assert native.status == openai.status == 403
        for said in (native.json["error"], openai.json["error"]["message"]):
            assert "'evil.example:80' is not allowed" in said and "INGLENOOK_HOSTS" in said
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "evil.example" in caplog.text

    def test_a_name_of_this_computer_can_be_allowed(self, serve, monkeypatch):
        monkeypatch.setenv("INGLENOOK_HOSTS", "mybox.lan, *.ts.net")
        serving = serve()

        for host in ("mybox.lan", "MyBox.lan:11434", "a.b.ts.net"):
            assert serving.ask("GET", "/", headers={"Host": host}).status == 200
        for host in ("other.lan", "ts.net.evil.example"):
            assert serving.ask("GET", "/", headers={"Host": host}).status == 403

    @pytest.mark.parametrize("path", ["/", "/api/chat", "/v1/responses", "/nothing", "/v1/a%2Fb/"])
    @pytest.mark.parametrize(
        ("header", "statuses"),
        [
            ("Host: evil.example", {403}),
            ("Host: localhost\r\nOrigin: https://evil.example", {403}),
            ("Host: localhost", {101, 400, 404, 405}),  # 101: where one is served
        ],
    )
    def test_a_websocket_meets_the_same_guard(self, serve, caplog, path, header, statuses):
        serving = serve()
        handshake = (
            f"GET {path} HTTP/1.1\r\n{header}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )

        with socket.create_connection((HOST, serving.port)) as client:
            client.settimeout(20)
            client.sendall(handshake.encode())
            head = client.recv(4096).decode()

        assert int(head.split()[1]) in statuses
        assert "x-inglenook-version" in head.lower()
        assert not [record for record in caplog.records if record.levelname == "ERROR"]

    @pytest.mark.parametrize("path", ["/", "/api/tags", "/v1/models"])
    def test_a_websocket_where_there_is_none_is_told_what_to_do(self, serve, path):
        answer = serve().ask("GET", path, headers=HANDSHAKE)

        assert answer.status == 400
        assert b"no websocket is served here, ask by http" in answer.body

    def test_a_slash_at_the_end_changes_nothing(self, serve):
        serving = serve()

        for path in ("/api/tags", "/v1/models", "/api/version", "/health", "/v1/models/scripted"):
            assert serving.ask("GET", f"{path}/").json == serving.ask("GET", path).json
        answer = serving.ask("POST", "/api/generate/", GENERATE | {"stream": False})
        assert answer.json["response"] == "Hello"
        assert serving.ask("GET", "/nothing/").status == 404

    def test_a_page_from_elsewhere_hears_nothing(self, serve):
        serving = serve()
        evil = {"Origin": "https://evil.example"}

        for method, path in (("GET", "/api/tags"), ("POST", "/api/chat"), ("OPTIONS", "/api/chat")):
            answer = serving.ask(method, path, headers=evil)
            assert (answer.status, answer.body) == (403, b"")
            assert "access-control-allow-origin" not in answer.headers

    def test_a_page_of_this_computer_is_let_in(self, serve):
        origin = {"Origin": "http://localhost:3000"}

        answer = serve().ask("GET", "/api/tags", headers=origin)

        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
        assert answer.headers["vary"] == "Origin"

    @pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
    def test_a_page_that_asks_first_is_told_what_it_may_send(self, serve, path):
        answer = serve().ask("OPTIONS", path, headers={"Origin": "http://localhost:3000"})

        assert (answer.status, answer.body) == (204, b"")
        allowed = answer.headers["access-control-allow-headers"].lower().split(",")
        assert {"authorization", "x-stainless-os", "anthropic-version", "x-api-key"} <= set(allowed)
        assert "POST" in answer.headers["access-control-allow-methods"]

    def test_errors_can_be_read_by_a_page_too(self, serve):
        origin = {"Origin": "http://localhost:3000"}

        answer = serve().ask("GET", "/nothing", headers=origin)

        assert answer.status == 404
        assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"

    def test_more_origins_come_from_the_environment(self, serve, monkeypatch):
        monkeypatch.setenv("OLLAMA_ORIGINS", "chrome-extension://*,https://ok.example")
        serving = serve()

        for origin in ("chrome-extension://abc", "https://ok.example"):
            assert serving.ask("GET", "/", headers={"Origin": origin}).status == 200


class TestClientsThatLeave:
    @pytest.mark.parametrize(("path", "asked"), ASKING)
    @pytest.mark.parametrize("stream", [True, False])
    def test_hanging_up_frees_the_sequence(self, serve, eventually, path, asked, stream):
        backend = babbler()
        serving = serve(backend)
        data = json.dumps(asked | {"stream": stream}).encode()
        client = socket.create_connection((HOST, serving.port))
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
        client.sendall(head.encode() + data)
        eventually(lambda: bool(backend.running))

        client.close()

        eventually(lambda: not backend.running)

    def test_hanging_up_while_the_model_loads_is_heard_too(self, serve, eventually, monkeypatch):
        serving = serve(ScriptedBackend(loading_steps=1 << 60))
        submit, cancelled = serving.residency.submit, list[int]()
        submitted = list[int]()
        monkeypatch.setattr(
            serving.residency,
            "submit",
            lambda *asked, **who: submitted.append(submit(*asked, **who)) or 1,
        )
        monkeypatch.setattr(serving.residency, "cancel", cancelled.append)
        data = json.dumps(CHAT).encode()
        client = socket.create_connection((HOST, serving.port))
        head = f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
        client.sendall(head.encode() + data)
        eventually(lambda: submitted == [1])

        client.close()

        eventually(lambda: cancelled == [1])

    def test_one_that_does_not_read_holds_nobody_up(self, serve, eventually):
        backend = babbler()
        serving = serve(backend)
        data = json.dumps(CHAT).encode()
        head = f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
        with socket.create_connection((HOST, serving.port)) as deaf:
            deaf.sendall(head.encode() + data)
            eventually(lambda: bool(backend.running))

            answer = serving.ask("POST", "/api/chat", CHAT | {"options": {"num_predict": 2000}})

            assert len(answer.lines) == 2001
            assert len(backend.running) == 1

    def test_many_streams_at_once(self, serve):
        serving = serve(ScriptedBackend(*"abcdefghij"))
        connections = [serving.connect() for _ in range(20)]

        for connection in connections:
            connection.request("POST", "/api/generate", json.dumps(GENERATE))
        for connection in connections:
            lines = [json.loads(line) for line in connection.getresponse().read().splitlines()]
            assert "".join(line["response"] for line in lines) == "abcdefghij"
            connection.close()


def test_the_names_of_models_keep_their_spelling(serve):
    serving = serve(models=[a_model("Tiny")])

    answer = serving.ask("POST", "/api/chat", CHAT | {"model": "tINY", "stream": False})

    assert answer.json["model"] == "tINY"
    assert serving.ask("GET", "/api/tags").json["models"][0]["name"] == str(ModelName("Tiny"))
