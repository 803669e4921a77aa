from pathlib import Path

from app.chat.session import State
from models.records.values import Outcome
from tests.app.conftest import Babbler
from tests.fakes import ScriptedBackend
from tests.models.records.old_chats import CHATS, TURNS, write_old_chats


def wait_for_titles(desk, qtbot, *titles: str) -> None:
    qtbot.waitUntil(lambda: [entry.title for entry in desk.chats.entries] == list(titles))


def ask(desk, qtbot, text: str) -> None:
    desk.chats.current.send(text)
    qtbot.waitUntil(lambda: not desk.chats.current.busy and bool(desk.chats.current.turns))


def test_a_chat_is_listed_once_it_has_a_message(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("Hello."))
    wait_for_titles(desk, qtbot)

    ask(desk, qtbot, "Hi there")

    wait_for_titles(desk, qtbot, "Hi there")


def test_a_new_chat_leaves_the_old_one_in_the_list(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("Hello."))
    ask(desk, qtbot, "first")
    first = desk.chats.current.chat

    desk.chats.new()
    ask(desk, qtbot, "second")

    wait_for_titles(desk, qtbot, "second", "first")
    desk.open_chat(qtbot, first)
    assert [turn.text for turn in desk.chats.current.turns] == ["first", "Hello."]


def test_a_new_chat_of_an_empty_one_is_the_same(desk_of) -> None:
    desk = desk_of(ScriptedBackend())
    before = desk.chats.current

    desk.chats.new()

    assert desk.chats.current is before


def test_a_chat_goes_on_being_answered_while_another_is_read(desk_of, qtbot) -> None:
    desk = desk_of(Babbler("Once "))
    story = desk.chats.current
    story.send("Tell me a story")
    qtbot.waitUntil(lambda: len(story.turns) > 1 and story.turns[1].text != "")

    desk.chats.new()
    length = len(story.turns[1].text)
    qtbot.waitUntil(lambda: len(story.turns[1].text) > length)

    desk.chats.open(story.chat)
    assert desk.chats.current is story
    story.stop()
    qtbot.waitUntil(lambda: not story.busy)


def test_a_search_narrows_the_list(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("Hello."))
    ask(desk, qtbot, "apples")
    desk.chats.new()
    ask(desk, qtbot, "pears")

    desk.chats.search("PEAR")
    wait_for_titles(desk, qtbot, "pears")

    desk.chats.search("")
    wait_for_titles(desk, qtbot, "pears", "apples")


def test_a_deleted_chat_comes_back_whole(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("Hello."))
    ask(desk, qtbot, "apples")
    chat = desk.chats.current.chat

    desk.chats.delete(chat)
    wait_for_titles(desk, qtbot)
    assert desk.chats.current.turns == ()

    desk.chats.undo_delete()
    qtbot.waitUntil(lambda: desk.chats.current.state is State.IDLE)
    wait_for_titles(desk, qtbot, "apples")
    assert [turn.text for turn in desk.chats.current.turns] == ["apples", "Hello."]


def test_a_chat_that_is_deleted_while_it_is_answered_stops(desk_of, qtbot) -> None:
    backend = Babbler("Once ")
    desk = desk_of(backend)
    desk.chats.current.send("Tell me a story")
    qtbot.waitUntil(lambda: bool(backend.running))

    desk.chats.delete(desk.chats.current.chat)

    qtbot.waitUntil(lambda: not backend.running)
    wait_for_titles(desk, qtbot)


def test_all_that_was_being_written_is_kept_at_the_end(desk_of, qtbot) -> None:
    desk = desk_of(Babbler("Once "))
    for text in ("first", "second"):
        desk.chats.new()
        desk.chats.current.send(text)
        qtbot.waitUntil(lambda: desk.chats.current.turns[-1].text.startswith("Once "))

    desk.chats.close()

    for entry in desk.records.entries().result():
        reply = desk.records.turns(entry.id).result()[1]
        assert reply.text.startswith("Once ")
        assert reply.outcome is Outcome.STOPPED


def test_a_chat_of_an_old_home_goes_on(desk_of, qtbot, inglenook_home: Path) -> None:
    write_old_chats(inglenook_home)
    desk = desk_of(ScriptedBackend("Madrid."))
    wait_for_titles(desk, qtbot, *(title for _id, title, *_times in reversed(CHATS)))

    desk.open_chat(qtbot, "france")
    ask(desk, qtbot, "And of Spain?")

    texts = [row[3] for row in TURNS if row[0] == "france"]
    kept = desk.records.turns("france").result()
    assert [turn.text for turn in kept] == [*texts, "And of Spain?", "Madrid."]
    assert list(desk.chats.current.turns) == kept
    wait_for_titles(desk, qtbot, CHATS[0][1], CHATS[2][1], CHATS[1][1])
