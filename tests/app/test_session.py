from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QThread

from app.chat.session import ChatSession, State
from app.conversations import Conversations, Outcome
from models.engine.prompt import Prompter
from models.errors import LoadFailed, ModelCrashed
from tests.app.conftest import Babbler
from tests.fakes import ScriptedBackend, a_model, scripted_residency

MakeSession = Callable[[ScriptedBackend], ChatSession]


@pytest.fixture
def session_of(qapp: QCoreApplication, conversations: Conversations) -> Iterator[MakeSession]:
    made: list[tuple[ChatSession, Callable[[], None]]] = []

    def make(backend: ScriptedBackend) -> ChatSession:
        residency = scripted_residency(backend)
        session = ChatSession(residency, conversations, f"chat-{len(made)}", "scripted")
        made.append((session, residency.close))
        return session

    yield make
    for session, close in made:
        session.close()
        close()
        session.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def idle(session: ChatSession) -> Callable[[], bool]:
    return lambda: not session.busy


def test_a_reply_comes_in_pieces_and_is_kept(session_of: MakeSession, qtbot, conversations) -> None:
    session = session_of(ScriptedBackend("Par", "is", "."))
    pieces: list[str] = []
    session.reply_grew.connect(pieces.append)

    session.send("What is the capital of France?")
    qtbot.waitUntil(idle(session))

    assert "".join(pieces) == "Paris."
    assert [turn.text for turn in session.turns] == ["What is the capital of France?", "Paris."]
    assert session.turns[1].outcome is Outcome.DONE
    assert session.turns[1].completion_tokens == 3
    assert conversations.turns("chat-0") == list(session.turns)


def test_the_model_reads_all_that_was_said(session_of: MakeSession, qtbot) -> None:
    backend = ScriptedBackend("Hello.")
    session = session_of(backend)
    for text in ("Hi", "And now?"):
        session.send(text)
        qtbot.waitUntil(idle(session))

    assert backend.prompts[1] == b"[user]Hi[assistant]Hello.[user]And now?[assistant]"


def test_the_message_is_on_the_disk_before_the_model_hears_of_it(
    session_of: MakeSession, qtbot, conversations
) -> None:
    on_disk: list[str] = []

    class Looking(ScriptedBackend):
        @property
        def prompter(self) -> Prompter:
            on_disk.extend(turn.text for turn in conversations.turns("chat-0"))
            return super().prompter

    session = session_of(Looking("Hello."))
    session.send("Hi")
    qtbot.waitUntil(idle(session))

    assert on_disk[0] == "Hi"


def test_stop_keeps_what_was_said(session_of: MakeSession, qtbot, conversations) -> None:
    backend = Babbler("Once ", "upon ")
    session = session_of(backend)
    session.reply_grew.connect(session.stop)

    session.send("Tell me a story")
    qtbot.waitUntil(idle(session))

    assert session.turns[1].outcome is Outcome.STOPPED
    assert session.turns[1].text.startswith("Once upon ")
    assert conversations.turns("chat-0")[1] == session.turns[1]
    qtbot.waitUntil(lambda: not backend.running)


def test_a_failure_is_a_sentence_and_keeps_what_was_said(session_of: MakeSession, qtbot) -> None:
    backend = Babbler("Once ")
    session = session_of(backend)
    failures: list[str] = []
    session.failed.connect(failures.append)

    def crash(_text: str) -> None:
        backend.fail_step = ModelCrashed("The model stopped unexpectedly.")

    session.reply_grew.connect(crash)
    session.send("Tell me a story")
    qtbot.waitUntil(idle(session))

    assert failures == ["The model stopped unexpectedly."]
    assert session.turns[1].outcome is Outcome.FAILED
    assert session.turns[1].error == failures[0]
    assert session.turns[1].text.startswith("Once ")


def test_a_model_that_is_not_here_is_told_at_once(session_of: MakeSession, qtbot) -> None:
    session = session_of(ScriptedBackend("never"))
    session.model = "org/other"

    session.send("Hi")
    qtbot.waitUntil(idle(session))

    assert session.turns[1].error == "Model 'org/other' is not on this computer."


def test_retry_asks_the_same_again(session_of: MakeSession, qtbot, conversations) -> None:
    backend = ScriptedBackend("Paris.")
    backend.fail_ready = LoadFailed("The file is damaged.")
    session = session_of(backend)
    session.send("What is the capital of France?")
    qtbot.waitUntil(idle(session))
    assert session.turns[1].error == "The file is damaged."

    backend.fail_ready = None
    session.retry()
    qtbot.waitUntil(idle(session))

    assert [turn.text for turn in session.turns] == ["What is the capital of France?", "Paris."]
    assert session.turns[1].error == ""
    assert conversations.turns("chat-0") == list(session.turns)


def test_an_unanswered_question_and_the_next_are_one_message(
    session_of: MakeSession, qtbot
) -> None:
    backend = ScriptedBackend("Hello.")
    backend.fail_ready = LoadFailed("The file is damaged.")
    session = session_of(backend)
    session.send("Hi")
    qtbot.waitUntil(idle(session))
    backend.fail_ready = None

    session.send("Are you there?")
    qtbot.waitUntil(idle(session))

    assert backend.prompts == [b"[user]Hi\n\nAre you there?[assistant]"]


def test_the_states_of_a_turn_follow_one_another(session_of: MakeSession, qtbot) -> None:
    session = session_of(ScriptedBackend("Paris.", loading_steps=3))
    states: list[State] = []
    session.state_changed.connect(states.append)

    session.send("What is the capital of France?")
    qtbot.waitUntil(idle(session))

    assert states[:2] == [State.SAVING, State.LOADING]
    assert states[-2:] == [State.WRITING, State.IDLE]


def test_a_message_is_not_sent_while_a_reply_is_written(session_of: MakeSession, qtbot) -> None:
    session = session_of(Babbler())
    session.send("Hi")
    session.send("Are you there?")
    session.send("   ")

    assert [turn.text for turn in session.turns] == ["Hi"]
    qtbot.waitUntil(lambda: session.state is State.WRITING)
    session.stop()
    qtbot.waitUntil(idle(session))


def test_a_view_hears_of_a_reply_on_its_own_thread(session_of: MakeSession, qtbot, qapp) -> None:
    session = session_of(ScriptedBackend("Hello"))
    threads: list[QThread] = []
    session.reply_grew.connect(lambda _text: threads.append(QThread.currentThread()))

    session.send("Hi")
    qtbot.waitUntil(idle(session))

    assert threads == [qapp.thread()]


def test_many_tokens_are_few_signals(session_of: MakeSession, qtbot) -> None:
    session = session_of(ScriptedBackend(*"x" * 200))
    pieces: list[str] = []
    session.reply_grew.connect(pieces.append)

    session.send("Hi")
    qtbot.waitUntil(idle(session))

    assert "".join(pieces) == "x" * 200
    assert len(pieces) < 50


def test_a_reply_that_a_kill_cut_short_counts_as_interrupted(
    session_of: MakeSession, conversations, qtbot
) -> None:
    session = session_of(Babbler("Once "))
    session.send("Tell me a story")
    qtbot.waitUntil(
        lambda: (
            len(conversations.turns("chat-0")) > 1
            and conversations.turns("chat-0")[1].outcome is Outcome.WRITING
        )
    )

    residency = scripted_residency(ScriptedBackend(), a_model())
    reopened = ChatSession(residency, conversations, "chat-0", "scripted")

    assert reopened.turns[1].outcome is Outcome.INTERRUPTED
    assert not reopened.busy
    residency.close()
    reopened.deleteLater()


class Forgetful(Conversations):
    """As on a disk that is full: no chat is begun, so nothing can be put into it."""

    def add(self, chat: str, title: str) -> "Future[None]":
        done: Future[None] = Future()
        done.set_result(None)
        return done


def test_a_chat_that_cannot_be_kept_goes_on(qapp, qtbot, tmp_path) -> None:
    conversations = Forgetful(tmp_path)
    residency = scripted_residency(ScriptedBackend("Hello."))
    session = ChatSession(residency, conversations, "chat", "scripted")
    told: list[str] = []
    session.unsaved.connect(told.append)

    session.send("Hi")
    qtbot.waitUntil(idle(session))

    assert session.turns[1].text == "Hello."
    assert len(told) == 1 and "could not be kept" in told[0]
    residency.close()
    conversations.close()
    session.deleteLater()
