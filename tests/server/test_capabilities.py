"""What a model can do, in the words that Ollama's clients look for."""

from models.abilities import Ability
from server import capabilities
from tests.fakes import a_model


def test_only_what_ollama_has_a_word_for_is_told(monkeypatch):
    monkeypatch.setattr(capabilities, "of", lambda model: frozenset(Ability))

    told = capabilities.capabilities(a_model())

    assert told == ["completion", "vision", "tools", "insert", "thinking"]


def test_a_model_for_embeddings_alone_is_told_as_one(monkeypatch):
    able = frozenset({Ability.EMBEDDING, Ability.RERANK})
    monkeypatch.setattr(capabilities, "of", lambda model: able)

    assert capabilities.capabilities(a_model()) == ["embedding"]


def test_what_a_model_cannot_do_is_not_told(monkeypatch):
    monkeypatch.setattr(
        capabilities, "of", lambda model: frozenset({Ability.TOOLS, Ability.GRAMMAR})
    )

    assert capabilities.capabilities(a_model()) == ["tools"]
