from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QThread

from app.chat.session import ChatSession, State
from models.chat import GenerateRequest, Message, Reasoning, Text, ToolCall, user
from models.engine.backend import Work
from models.errors import LoadFailed, ModelCrashed
from models.events import (
    Finished,
    FinishReason,
    Progress,
    ReasoningDelta,
    Sink,
    Stage,
    Started,
    TextDelta,
    ToolCallDelta,
)
from models.records.records import Records
from models.records.thread import NotKept
from models.records.values import Outcome, Turn, user_turn
from tests.app.conftest import Babbler
from tests.fakes import ScriptedBackend, a_model, scripted_residency

MakeSession = Callable[[ScriptedBackend], ChatSession]


@pytest.fixture
def session_of(qapp: QCoreApplication, records: Records) -> Iterator[MakeSession]:
    made: list[tuple[ChatSession, Callable[[], None]]] = []

    def make(backend: ScriptedBackend) -> ChatSession:
        residency = scripted_residency(backend)
        session = ChatSession(residency, records, f"chat-{len(made)}", "scripted")
        made.append((session, residency.close))
        return session

    yield make
    for session, close in made:
        session.close()
        close()
        session.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def eavesdrop(session: ChatSession) -> list[GenerateRequest]:
    """Return the list that every request of the session will be in."""
    residency, asked = session._residency, []
    submit = residency.submit

    def note(request, sink, **about):
        asked.append(request)
        return submit(request, sink, **about)

    residency.submit = note
    return asked


def idle(session: ChatSession) -> Callable[[], bool]:
    return lambda: not session.busy


def test_a_reply_comes_in_pieces_and_is_kept(session_of: MakeSession, qtbot, records) -> None:
    session = session_of(ScriptedBackend("Par", "is", "."))
    pieces: list[str] = []
    session.reply_grew.connect(pieces.append)

    session.send("What is the capital of France?")
    qtbot.waitUntil(idle(session))

    assert "".join(pieces) == "Paris."
    assert [turn.text for turn in session.turns] == ["What is the capital of France?", "Paris."]
    assert session.turns[1].outcome is Outcome.DONE
    assert session.turns[1].completion_tokens == 3
    assert records.turns("chat-0").result() == list(session.turns)


def test_the_model_reads_all_that_was_said(session_of: MakeSession, qtbot) -> None:
    backend = ScriptedBackend("Hello.")
    session = session_of(backend)
    for text in ("Hi", "And now?"):
        session.send(text)
        qtbot.waitUntil(idle(session))

    assert backend.prompts[1] == b"[user]Hi[assistant]Hello.[user]And now?[assistant]"


def test_the_message_is_on_the_disk_before_the_model_hears_of_it(
    session_of: MakeSession, qtbot, records
) -> None:
    on_disk: list[str] = []

    class Looking(ScriptedBackend):
        def insert(self, works: Mapping[int, Work]) -> None:
            on_disk.extend(turn.text for turn in records.turns("chat-0").result())
            super().insert(works)

    session = session_of(Looking("Hello."))
    session.send("Hi")
    qtbot.waitUntil(idle(session))

    assert on_disk[0] == "Hi"


def test_stop_keeps_what_was_said(session_of: MakeSession, qtbot, records) -> None:
    backend = Babbler("Once ", "upon ")
    session = session_of(backend)
    session.reply_grew.connect(session.stop)

    session.send("Tell me a story")
    qtbot.waitUntil(idle(session))

    assert session.turns[1].outcome is Outcome.STOPPED
    assert session.turns[1].text.startswith("Once upon ")
    assert records.turns("chat-0").result()[1] == session.turns[1]
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


def test_retry_asks_the_same_again(session_of: MakeSession, qtbot, records) -> None:
    backend = ScriptedBackend("Paris.")
    backend.fail_load = LoadFailed("The file is damaged.")
    session = session_of(backend)
    session.send("What is the capital of France?")
    qtbot.waitUntil(idle(session))
    assert session.turns[1].error == "The file is damaged."

    backend.fail_load = None
    session.retry()
    qtbot.waitUntil(idle(session))

    assert [turn.text for turn in session.turns] == ["What is the capital of France?", "Paris."]
    assert session.turns[1].error == ""
    assert records.turns("chat-0").result() == list(session.turns)


def test_another_answer_leaves_the_first_in_the_records(
    session_of: MakeSession, qtbot, records
) -> None:
    session = session_of(ScriptedBackend("Paris."))
    session.send("What is the capital of France?")
    qtbot.waitUntil(idle(session))
    first = session.turns[1]

    session.retry()
    qtbot.waitUntil(idle(session))

    assert len(session.turns) == 2
    assert records.siblings(first.id).result() == [first, session.turns[1]]


def test_what_a_model_thinks_and_calls_is_kept_and_goes_back_to_it(
    session_of: MakeSession, qtbot, records
) -> None:
    session = session_of(ScriptedBackend())
    sinks: list[Sink] = []
    session._residency.submit = lambda request, sink, **about: sinks.append(sink) or 1
    pieces: list[str] = []
    session.reply_grew.connect(pieces.append)
    session.send("How warm is it?")
    qtbot.waitUntil(lambda: bool(sinks))

    for event in (
        Started(5),
        ReasoningDelta("I can "),
        ReasoningDelta("look."),
        TextDelta("A moment."),
        ToolCallDelta(0, id="1", name="look_up", arguments='{"what": '),
        ToolCallDelta(0, arguments='"weather"}'),
        Finished(FinishReason.TOOL_CALLS),
    ):
        sinks[0](event)
    qtbot.waitUntil(idle(session))

    parts = (
        Reasoning("I can look."),
        Text("A moment."),
        ToolCall("1", "look_up", '{"what": "weather"}'),
    )
    assert records.turns("chat-0").result()[1].parts == parts
    assert session.turns[1].text == "A moment."
    assert pieces == ["A moment."]
    asked = eavesdrop(session)
    session.send("And?")
    qtbot.waitUntil(lambda: bool(asked))
    assert asked[0].prompt[1] == Message("assistant", parts)
    session.close()


def test_how_far_a_model_is_with_loading_and_reading_is_told(
    session_of: MakeSession, qtbot
) -> None:
    session = session_of(ScriptedBackend())
    sinks: list[Sink] = []
    session._residency.submit = lambda request, sink, **about: sinks.append(sink) or 1
    told: list[tuple[State, float | None]] = []
    session.share_changed.connect(lambda: told.append((session.state, session.share)))
    session.send("Hi")
    qtbot.waitUntil(lambda: bool(sinks))

    for event in (
        Progress(Stage.LOADING, 0, 0),
        Progress(Stage.LOADING, 1, 4),
        Progress(Stage.LOADING, 3, 4),
        Started(100),
        Progress(Stage.PREFILL, 50, 100),
        TextDelta("Hello."),
        Progress(Stage.PREFILL, 100, 100),
    ):
        sinks[0](event)
        QCoreApplication.processEvents()
    qtbot.waitUntil(lambda: session.state is State.WRITING)

    shares = [(state, share) for state, share in told if share is not None]
    assert (State.LOADING, 0.75) in shares
    assert (State.READING, 0.5) in shares
    assert session.share is None
    sinks[0](Finished(FinishReason.END_OF_TURN))
    qtbot.waitUntil(idle(session))


def test_a_message_that_is_sent_before_the_chat_has_come_follows_it(
    session_of: MakeSession, qtbot, records
) -> None:
    said = [user_turn("Hi"), Turn(role="assistant", parts=(Text("Hello."),))]
    records.add("chat-0", "Hi")
    records.put("chat-0", None, said[0])
    records.put("chat-0", said[0].id, said[1])
    session = session_of(ScriptedBackend("Yes."))

    session.open()
    assert not session.busy
    session.send("Are you there?")
    session.send("Are you?")
    assert session.busy
    assert session.turns == ()
    qtbot.waitUntil(idle(session))

    assert [turn.text for turn in session.turns] == ["Hi", "Hello.", "Are you there?", "Yes."]
    assert records.turns("chat-0").result() == list(session.turns)


def test_a_chat_that_cannot_be_read_is_told_and_asked_for_again(
    qapp, qtbot, records, monkeypatch
) -> None:
    records.add("chat", "Hi")
    records.put("chat", None, user_turn("Hi")).result()
    residency = scripted_residency(ScriptedBackend("Hello."))
    session = ChatSession(residency, records, "chat", "scripted")
    refused: Future[list[Turn]] = Future()
    refused.set_exception(NotKept("disk I/O error."))
    with monkeypatch.context() as broken:
        broken.setattr(records, "turns", lambda chat: refused)
        with qtbot.waitSignal(session.unsaved) as told:
            session.open()

    session.send("Are you there?")
    qtbot.waitUntil(idle(session))

    assert told.args == ["This chat could not be read: disk I/O error."]
    assert [turn.text for turn in session.turns] == ["Hi", "Are you there?", "Hello."]
    session.close()
    residency.close()
    session.deleteLater()


def test_all_that_was_said_is_sent_in_its_order(session_of: MakeSession, qtbot) -> None:
    """Also neighbours of one side: what a template makes of them is the prompt's affair."""
    backend = ScriptedBackend("Hello.")
    backend.fail_load = LoadFailed("The file is damaged.")
    session = session_of(backend)
    asked = eavesdrop(session)
    session.send("Hi")
    qtbot.waitUntil(idle(session))
    backend.fail_load = None

    session.send("Are you there?")
    qtbot.waitUntil(idle(session))

    assert asked[-1].prompt == (user("Hi"), user("Are you there?"))


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
    session_of: MakeSession, records, qtbot
) -> None:
    session = session_of(Babbler("Once "))
    session.send("Tell me a story")
    qtbot.waitUntil(
        lambda: (
            len(records.turns("chat-0").result()) > 1
            and records.turns("chat-0").result()[1].outcome is Outcome.WRITING
        )
    )

    residency = scripted_residency(ScriptedBackend(), a_model())
    reopened = ChatSession(residency, records, "chat-0", "scripted")
    with qtbot.waitSignal(reopened.opened):
        reopened.open()

    assert reopened.turns[1].outcome is Outcome.INTERRUPTED
    assert not reopened.busy
    residency.close()
    reopened.deleteLater()


class FullDisk(Records):
    """As on a disk that is full for a while."""

    full = True

    def put(self, chat: str, parent: str | None, turn: Turn) -> "Future[Turn]":
        if not self.full:
            return super().put(chat, parent, turn)
        done: Future[Turn] = Future()
        done.set_exception(NotKept("database or disk is full."))
        return done


def test_a_chat_that_cannot_be_kept_goes_on_and_is_kept_whole_later(qapp, qtbot, tmp_path) -> None:
    records = FullDisk(tmp_path)
    residency = scripted_residency(ScriptedBackend("Hello."))
    session = ChatSession(residency, records, "chat", "scripted")
    told: list[str] = []
    session.unsaved.connect(told.append)

    session.send("Hi")
    qtbot.waitUntil(idle(session))
    assert session.turns[1].text == "Hello."
    assert told == ["This chat could not be kept on the disk: database or disk is full."]

    session.retry()
    qtbot.waitUntil(idle(session))
    records.full = False
    session.send("And now?")
    qtbot.waitUntil(idle(session))

    assert len(session.turns) == 4
    assert records.turns("chat").result() == list(session.turns)
    assert [each.title for each in records.entries().result()] == ["Hi"]
    residency.close()
    records.close()
    session.deleteLater()
