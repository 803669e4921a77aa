"""Every body and chunk of ours, against the schemas that OpenAI and Ollama publish."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.fakes import ScriptedBackend, a_model
from tests.server.conftest import Serving

CHAT = {"model": "scripted", "messages": [{"role": "user", "content": "hi"}]}
NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
STREAM = {"stream": True, "stream_options": {"include_usage": True}}


@cache
def schemas(file: Path) -> Any:
    text = file.read_text(encoding="utf-8")
    document = yaml.safe_load(text) if file.suffix == ".yaml" else json.loads(text)
    return with_null(document["components"]["schemas"])


def with_null(schema: Any) -> Any:
    """Say ``nullable``, a word of OpenAPI 3.0, in the words of JSON Schema."""
    if isinstance(schema, list):
        return [with_null(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {name: with_null(value) for name, value in schema.items()}
    if schema.pop("nullable", False) is True:
        return {"anyOf": [schema, {"type": "null"}]}
    return schema


@pytest.fixture
def faults(testdata: Path) -> Callable[[str, str, Any], list[str]]:
    """What is wrong with a value by one of a family's schemas."""
    files = {"openai": testdata / "openapi/openai.json", "ollama": testdata / "openapi/ollama.yaml"}

    def find(family: str, schema: str, value: Any) -> list[str]:
        root = {"$ref": f"#/components/schemas/{schema}"}
        components = {"components": {"schemas": schemas(files[family])}}
        errors = Draft202012Validator(root | components).iter_errors(value)
        return [f"{error.json_path}: {error.message[:200]}" for error in errors]

    return find


@pytest.fixture
def serving(serve) -> Serving:
    return serve(ScriptedBackend("Hel", "lo"), models=[a_model(), a_model("org/tiny")])


def test_a_validator_that_finds_faults(faults):
    assert faults("openai", "CreateChatCompletionResponse", {"id": 5})
    assert faults("ollama", "ChatResponse", {"model": 5})


def test_a_completion(serving, faults):
    answer = serving.ask("POST", "/v1/chat/completions", CHAT)

    assert not faults("openai", "CreateChatCompletionResponse", answer.json)


def test_the_chunks_of_a_completion(serving, faults):
    answer = serving.ask("POST", "/v1/chat/completions", CHAT | STREAM)

    assert len(answer.events) == 5
    for chunk in answer.events:
        assert not faults("openai", "CreateChatCompletionStreamResponse", chunk)


def test_completions_of_several_prompts(serving, faults):
    body = {"model": "scripted", "prompt": ["a", "b"], "echo": True}

    assert not faults(
        "openai", "CreateCompletionResponse", serving.ask("POST", "/v1/completions", body).json
    )
    for piece in serving.ask("POST", "/v1/completions", body | STREAM).events:
        # The schema is that of a whole answer; a piece has null for what is not known yet.
        whole = piece | {"usage": piece["usage"] or NO_USAGE}
        whole["choices"] = [
            each | {"finish_reason": each["finish_reason"] or "stop"} for each in piece["choices"]
        ]
        assert not faults("openai", "CreateCompletionResponse", whole)


def test_several_choices(serving, faults):
    several = CHAT | {"n": 2}

    whole = serving.ask("POST", "/v1/chat/completions", several).json
    assert not faults("openai", "CreateChatCompletionResponse", whole)
    for chunk in serving.ask("POST", "/v1/chat/completions", several | STREAM).events:
        assert not faults("openai", "CreateChatCompletionStreamResponse", chunk)


def test_embeddings(serving, faults):
    for encoding in ("float", "base64"):
        body = {"model": "scripted", "input": ["a", "bc"], "encoding_format": encoding}
        answer = serving.ask("POST", "/v1/embeddings", body)
        assert answer.status == 200
        assert len(answer.json["data"]) == 2
        if encoding == "float":  # the schema knows no other
            assert not faults("openai", "CreateEmbeddingResponse", answer.json)


def test_errors(serving, faults):
    for answer in (
        serving.ask("POST", "/v1/chat/completions", CHAT | {"model": "nothere"}),
        serving.ask("POST", "/v1/chat/completions", CHAT | {"temperature": "hot"}),
        serving.ask("POST", "/v1/completions", {"model": "scripted", "n": 0}),
        serving.ask("POST", "/v1/embeddings", {"model": "scripted", "input": []}),
        serving.ask("POST", "/v1/embeddings", {"model": "nothere", "input": "a"}),
        serving.ask("GET", "/v1/models/not%2Fhere"),
        serving.ask("GET", "/v1/chat/completions"),
        serving.ask("GET", "/v1/nothing"),
    ):
        assert answer.status >= 400
        assert not faults("openai", "ErrorResponse", answer.json)


def test_models(serving, faults):
    listed = serving.ask("GET", "/v1/models").json

    assert not faults("openai", "ListModelsResponse", listed)
    assert not faults("openai", "Model", serving.ask("GET", "/v1/models/org/tiny").json)


def test_ollamas_answers(serving, faults):
    chat = serving.ask("POST", "/api/chat", CHAT | {"stream": False}).json
    generated = {"model": "scripted", "prompt": "hi"}
    generate = serving.ask("POST", "/api/generate", generated | {"stream": False}).json

    assert not faults("ollama", "ChatResponse", chat)
    assert not faults("ollama", "GenerateResponse", generate)
    for line in serving.ask("POST", "/api/chat", CHAT).lines:
        assert not faults("ollama", "ChatStreamEvent", line)
    for line in serving.ask("POST", "/api/generate", generated).lines:
        assert not faults("ollama", "GenerateStreamEvent", line)


def test_ollamas_facts(serving, faults):
    assert not faults("ollama", "ListResponse", serving.ask("GET", "/api/tags").json)
    assert not faults("ollama", "PsResponse", serving.ask("GET", "/api/ps").json)
    shown = serving.ask("POST", "/api/show", {"model": "scripted"}).json
    assert not faults("ollama", "ShowResponse", shown)
