"""What clients of llama.cpp's server look for: its routes over a socket, on scripted models."""

import json
from dataclasses import replace
from typing import Any

import pytest

from models.chat import GenerateRequest
from models.engine.prompt import Prompter
from models.errors import ModelCrashed
from models.fill_in import FillIn
from server.formats.llama_server import infill
from tests.fakes import ByteTokenizer, ScriptedBackend, a_model
from tests.server.conftest import Serving, babbler

BESIDE = {"input_prefix": "def f(", "input_suffix": "):\n    pass"}


def coder(name: str = "coder"):
    model = a_model(name)
    return replace(model, details=replace(model.details, insert=True))


def load(serving: Serving, model: str = "coder") -> None:
    assert serving.ask("POST", "/models/load", {"model": model}).json == {"success": True}


def frames(body: bytes) -> list[Any]:
    return [
        json.loads(frame.removeprefix("data: "))
        for frame in body.decode().split("\n\n")
        if frame.startswith("data: ")
    ]


class TestModels:
    def test_each_has_its_status(self, serve):
        serving = serve(models=[coder(), a_model("org/other")])
        load(serving)

        listed = serving.ask("GET", "/models?reload=1").json

        assert listed["object"] == "list"
        assert {each["id"]: each["status"] for each in listed["data"]} == {
            "coder:latest": {"value": "loaded"},
            "org/other:latest": {"value": "unloaded"},
        }
        assert listed["data"][0]["meta"]["n_ctx"] == 256
        assert listed["data"][0]["architecture"]["input_modalities"] == ["text"]

    def test_one_that_is_loading_says_how_far_it_is(self, serve, eventually):
        backend = ScriptedBackend("a", loading_steps=10**9)
        serving = serve(backend, models=[coder()])
        connection = serving.connect()
        connection.request("POST", "/models/load", json.dumps({"model": "coder"}))

        def status() -> Any:
            return serving.ask("GET", "/models").json["data"][0]["status"]

        eventually(lambda: status()["value"] == "loading")
        assert status()["progress"]["value"] == 0
        connection.close()

    def test_a_name_and_its_alias_are_loaded_together(self, serve):
        alias = replace(coder(), name=a_model("alias").name)
        serving = serve(models=[coder(), alias])
        load(serving)

        statuses = [each["status"]["value"] for each in serving.ask("GET", "/models").json["data"]]
        assert statuses == ["loaded", "loaded"]

    def test_loading_and_unloading(self, serve):
        backend = ScriptedBackend("a")
        serving = serve(backend, models=[coder()])
        load(serving)

        assert serving.ask("POST", "/models/unload", {"model": "coder"}).json["success"]
        assert backend.closed
        assert serving.ask("POST", "/models/unload", {"model": "coder"}).json["success"]

    @pytest.mark.parametrize("path", ["/models/load", "/models/unload"])
    def test_what_is_wrong_is_told_in_its_words(self, serve, path):
        serving = serve()

        missing = serving.ask("POST", path, {})
        unknown = serving.ask("POST", path, {"model": "nothere"})

        assert (missing.status, missing.json["error"]["code"]) == (400, 400)
        assert missing.json["error"]["type"] == "invalid_request_error"
        assert unknown.json == {
            "error": {
                "code": 404,
                "message": "model 'nothere' not found",
                "type": "not_found_error",
            }
        }
        assert serving.ask("GET", path).json["error"]["code"] == 405
        assert serving.ask("GET", "/models/nothing").json["error"]["code"] == 404

    def test_health_has_its_other_path_too(self, serve):
        assert serve().ask("GET", "/v1/health").json["status"] == "ok"

    def test_without_a_model_the_properties_are_a_routers(self, serve):
        assert serve().ask("GET", "/props").json["role"] == "router"


class TestRerank:
    @pytest.mark.parametrize("path", ["/rerank", "/reranking", "/v1/rerank", "/v1/reranking"])
    def test_the_best_come_first_and_it_is_said_by_which_means(self, serve, path):
        asked = {"model": "scripted", "query": "hi", "documents": ["a", {"text": "hi"}, "zebra"]}

        got = serve().ask("POST", path, asked).json

        scores = [each["relevance_score"] for each in got["results"]]
        assert scores == sorted(scores, reverse=True)
        assert {each["index"] for each in got["results"]} == {0, 1, 2}
        assert got["by"] == "embeddings"
        assert got["results"][0] == {"index": 1, "relevance_score": pytest.approx(1.0)}
        assert got["usage"]["prompt_tokens"] == got["usage"]["total_tokens"] > 0

    def test_fewer_of_them_and_their_texts(self, serve):
        asked = {"model": "scripted", "query": "hi", "documents": ["a", "hi"], "top_n": 1}

        got = serve().ask("POST", "/v1/rerank", asked | {"return_documents": True}).json

        assert [each["document"] for each in got["results"]] == [{"text": "hi"}]

    @pytest.mark.parametrize(
        ("more", "sentence"),
        [
            ({"documents": None}, '"documents" is missing.'),
            ({"documents": []}, '"documents" must not be empty.'),
            ({"documents": [3]}, '"documents[0]" must be an object, not a number.'),
            ({"documents": [{}]}, '"documents[0].text" is missing.'),
            ({"query": None}, '"query" is missing.'),
            ({"top_n": 0}, '"top_n" must be at least 1.'),
        ],
    )
    def test_what_is_wrong_is_named(self, serve, more, sentence):
        asked = {"model": "scripted", "query": "hi", "documents": ["a"]}

        got = serve().ask("POST", "/rerank", asked | more)

        assert (got.status, got.json["error"]["message"]) == (400, sentence)

    def test_what_has_no_effect_is_named(self, serve):
        asked = {"model": "scripted", "query": "hi", "documents": ["a"], "rank_fields": ["text"]}

        got = serve().ask("POST", "/rerank", asked)

        assert got.headers["x-inglenook-ignored"] == "rank_fields"


class TestInfill:
    def test_a_model_that_has_no_tokens_for_it_is_refused(self, serve):
        got = serve().ask("POST", "/infill", BESIDE | {"model": "scripted"})

        assert got.status == 400
        assert got.json["error"]["message"].endswith("does not support insert")

    def test_who_names_no_model_means_the_last(self, serve):
        serving = serve(models=[coder()])
        at_the_end = BESIDE | {"input_suffix": ""}

        assert serving.ask("POST", "/infill", at_the_end).status == 400
        load(serving)
        got = serving.ask("POST", "/infill", at_the_end)

        assert got.status == 200
        assert got.json["model"] == "coder:latest"

    def test_an_answer(self, serve):
        backend = ScriptedBackend("x", ", y")
        asked = {
            "model": "coder",
            "input_prefix": "def f(",
            "prompt": "x",
            "input_suffix": "",
            "stop": ["\n"],
            "temperature": 0.5,
            "cache_prompt": True,
            "samplers": ["top_k"],
        }

        got = serve(backend, models=[coder()]).ask("POST", "/infill", asked)

        assert backend.prompts == [b"def f(x"]
        assert got.headers["x-inglenook-ignored"] == "cache_prompt,samplers"
        assert got.json["content"] == "x, y"
        assert (got.json["stop"], got.json["stop_type"]) == (True, "eos")
        assert got.json["tokens_evaluated"] == len(backend.prompts[0])
        assert got.json["timings"]["prompt_n"] == len(backend.prompts[0])
        settings = got.json["generation_settings"]
        assert (settings["temperature"], settings["stop"]) == (0.5, ["\n"])

    def test_what_is_filled_in_lies_between(self, serve):
        backend = ScriptedBackend("x")
        backend.prompter = Prompter(None, ByteTokenizer(), 256, fill_in=FillIn(1, 2, 3))
        asked = {"model": "coder", "input_prefix": "f(", "prompt": "a", "input_suffix": ")"}

        got = serve(backend, models=[coder()]).ask("POST", "/infill", asked)

        assert backend.prompts == [b"\x01f(a\x02)\x03"]
        assert got.json["content"] == "x"

    def test_files_beside_it_stand_before_the_prefix(self, serve):
        backend = ScriptedBackend("x")
        tokens = FillIn(1, 2, 3, repository=4, file=5)
        backend.prompter = Prompter(None, ByteTokenizer(), 256, fill_in=tokens)
        extra = [{"filename": "a.py", "text": "import b\n"}, {"text": "c = 1\n"}]
        asked = BESIDE | {"model": "coder", "input_extra": extra}

        assert serve(backend, models=[coder()]).ask("POST", "/infill", asked).status == 200

        files = b"\x04myproject\n\x05a.py\nimport b\n\x05tmp\nc = 1\n\x05filename\n"
        assert backend.prompts[0].startswith(files + b"\x01")

    def test_a_stream(self, serve):
        serving = serve(ScriptedBackend("x", ", y"), models=[coder()])
        asked = {"model": "coder", "input_prefix": "f(", "input_suffix": "", "stream": True}

        got = serving.ask("POST", "/infill", asked)

        *said, last = frames(got.body)
        assert got.headers["content-type"] == "text/event-stream"
        assert [each["content"] for each in said] == ["x", ", y"]
        assert [each["stop"] for each in (*said, last)] == [False, False, True]
        assert last["stop_type"] == "eos"

    def test_an_error_in_the_middle_is_the_last_frame(self, serve):
        backend = babbler()
        serving = serve(backend, models=[coder()])
        connection = serving.connect()
        asked = {"model": "coder", "input_prefix": "f(", "input_suffix": "", "stream": True}
        connection.request("POST", "/infill", json.dumps(asked))
        response = connection.getresponse()
        response.readline()
        backend.fail_step = ModelCrashed("It died.")
        *_, last = frames(response.read())
        connection.close()

        assert last == {"error": {"code": 500, "message": "It died.", "type": "server_error"}}

    def test_limits_and_fields_that_are_picked(self, serve):
        serving = serve(babbler(), models=[coder()])
        asked = {"model": "coder", "input_prefix": "f(", "input_suffix": "", "n_predict": 3}

        whole = serving.ask("POST", "/infill", asked).json
        picked = serving.ask(
            "POST", "/infill", asked | {"response_fields": ["content", "timings/predicted_n", "no"]}
        ).json
        warmed = serving.ask("POST", "/infill", asked | {"n_predict": 0}).json

        assert (whole["stop_type"], whole["tokens_predicted"]) == ("limit", 3)
        assert not whole["truncated"]
        assert picked == {"content": whole["content"], "predicted_n": 3}
        assert (warmed["content"], warmed["tokens_predicted"]) == ("", 0)

    @pytest.mark.parametrize(
        ("more", "sentence"),
        [
            ({"input_prefix": None}, '"input_prefix" is missing.'),
            ({"input_suffix": None}, '"input_suffix" is missing.'),
            ({"input_extra": [{}]}, '"input_extra[0].text" is missing.'),
            ({"n_cmpl": 2}, '"n_cmpl" is not supported: ask again for another answer.'),
            ({"lora": [{}]}, '"lora" is not supported: adapters are set for a model, not for a'),
            ({"post_sampling_probs": True}, '"post_sampling_probs" is not supported:'),
            ({"logit_bias": [[1]]}, '"logit_bias" must be a list of pairs of a token and a number'),
            ({"n_probs": 21}, '"n_probs" must be at most 20.'),
        ],
    )
    def test_what_is_wrong_is_named(self, serve, more, sentence):
        got = serve(models=[coder()]).ask("POST", "/infill", BESIDE | {"model": "coder"} | more)

        assert got.status == 400
        assert got.json["error"]["message"].startswith(sentence)

    def test_biases_in_each_of_their_forms(self):
        body = BESIDE | {"model": "coder"}
        pairs = infill.parse(body | {"logit_bias": [[5, 1], ["a", -0.5], [6, False]]}).request
        table = infill.parse(body | {"logit_bias": {"5": 1, "a": -0.5}}).request

        assert isinstance(pairs, GenerateRequest) and isinstance(table, GenerateRequest)
        assert pairs.sampling.logit_bias == ((5, 1.0), ("a", -0.5), (6, -float("inf")))
        assert table.sampling.logit_bias == ((5, 1.0), ("a", -0.5))


def test_a_prompt_that_is_too_long_has_both_counts(serve):
    asked = {"model": "scripted", "query": "x" * 300, "documents": ["a"]}

    got = serve().ask("POST", "/rerank", asked)

    assert got.status == 400
    assert got.json["error"]["type"] == "exceed_context_size_error"
    assert got.json["error"]["n_prompt_tokens"] > got.json["error"]["n_ctx"] > 0
