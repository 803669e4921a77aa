"""``ingle run`` in a conversation, on a model that says what it is told to."""

import pytest

from app.commands.run import Conversation, Question
from models.chat import SamplingParams
from models.errors import ContextOverflow
from tests.fakes import ScriptedBackend, scripted_residency

QUESTION = Question(model="scripted", system=None, sampling=SamplingParams(), max_tokens=None)


def test_a_conversation_that_has_grown_too_long_goes_on_and_says_what_was_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    backend = ScriptedBackend("Paris.", context_length=256)
    residency = scripted_residency(backend)
    conversation = Conversation(residency, QUESTION)
    for _ in range(3):
        assert conversation.say("word " * 20)
    out, errors = capsys.readouterr()
    residency.close()

    assert out == "Paris.\n" * 3
    assert errors.splitlines() == [
        "ingle: The 2 oldest messages no longer fit and were left out.",
        "ingle: The 4 oldest messages no longer fit and were left out.",
    ]


def test_a_message_that_alone_is_too_long_is_refused_and_the_conversation_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    residency = scripted_residency(ScriptedBackend("Paris.", context_length=256))
    conversation = Conversation(residency, QUESTION)
    with pytest.raises(ContextOverflow):
        conversation.say("word " * 200)
    assert conversation.say("Where?")
    residency.close()

    assert capsys.readouterr().out.endswith("Paris.\n")
