from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible, QImage, QStyleHints
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QListWidget,
    QPlainTextEdit,
    QPushButton,
    QStyle,
    QStyleOptionFrame,
    QWidget,
)

from app.api_switch import ApiState
from app.chat.empty import EXAMPLES
from app.chat.session import State
from app.icons import IconButton
from app.manager.window import ModelsPage
from app.settings import TABLE, Settings, SettingsFile
from app.theme import DARK, LIGHT
from models.events import Finished, FinishReason, Progress, Sink, Stage, Started, TextDelta
from models.records.values import user_turn
from models.store import Store
from tests.app.conftest import POCKET, Babbler
from tests.conftest import free_port
from tests.fakes import ScriptedBackend

Field = TypeVar("Field", bound=QWidget)


def words_of(widget: QWidget) -> str:
    return " ".join(label.text() for label in widget.findChildren(QLabel) if label.isVisible())


def button(widget: QWidget, words: str) -> QPushButton:
    return next(each for each in widget.findChildren(QPushButton) if each.text() == words)


def wait_for_chats(desk, qtbot, *titles: str) -> None:
    qtbot.waitUntil(lambda: [each.title for each in desk.chats.entries] == list(titles))


def refresh(desk, qtbot) -> None:
    there = [model.name for model in desk.store.list()]
    desk.library.refresh()
    qtbot.waitUntil(lambda: [row.model.name for row in desk.library.rows] == there)


def finish(desk, qtbot) -> None:
    qtbot.waitUntil(lambda: not desk.chats.current.busy and bool(desk.chats.current.turns))


def test_a_fresh_start_chooses_the_model_that_is_there_and_says_what_it_is(desk_of) -> None:
    desk = desk_of(ScriptedBackend())

    assert desk.window.header.picker.currentText() == "pocket"
    assert "tiny model, here to try the set-up with" in words_of(desk.window.chat.empty)


def test_get_a_model_leads_to_the_models(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())

    qtbot.mouseClick(button(desk.window.chat.empty, "Get a model"), Qt.MouseButton.LeftButton)

    assert desk.window.page == "models"


def test_an_example_is_asked_with_one_click(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("Paris."))

    qtbot.mouseClick(button(desk.window.chat.empty, EXAMPLES[0]), Qt.MouseButton.LeftButton)
    finish(desk, qtbot)

    assert [turn.text for turn in desk.chats.current.turns] == [EXAMPLES[0], "Paris."]


def test_the_models_page_leads_to_a_chat_with_the_model_that_was_chosen_there(
    desk_of, qtbot
) -> None:
    desk = desk_of(ScriptedBackend())
    desk.store.import_path(POCKET / "gguf/pocket.gguf", "mine")
    refresh(desk, qtbot)
    desk.window.show_page("models")
    (page,) = desk.window.findChildren(ModelsPage)

    page.chat_wanted.emit("mine")

    assert desk.window.page == "chat"
    assert desk.chats.current.model == "mine:latest"
    assert desk.settings.value.model == "mine:latest"


def test_the_choice_of_a_model_is_remembered(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    desk.store.import_path(POCKET / "gguf/pocket.gguf", "org/other")
    refresh(desk, qtbot)
    picker = desk.window.header.picker

    picker.setCurrentIndex(picker.findText("org/other"))
    picker.activated.emit(picker.currentIndex())

    desk.settings.close()
    assert Settings.load(desk.home).model == "org/other:latest"
    assert desk.chats.current.model == "org/other:latest"
    assert desk.window.chat.composer.input.placeholderText() == "Message org/other"


def test_the_model_that_was_chosen_last_is_chosen_at_the_next_start(
    desk_of, qtbot, inglenook_home: Path
) -> None:
    store = Store(inglenook_home, POCKET)
    store.import_path(POCKET / "gguf/pocket.gguf", "org/other")
    settings = SettingsFile(inglenook_home)
    settings.change(model="pocket:latest")
    settings.close()

    desk = desk_of(ScriptedBackend())

    assert desk.window.header.picker.currentText() == "pocket"
    assert desk.chats.current.model == "pocket:latest"
    desk.settings.close()
    assert Settings.load(inglenook_home).model == "pocket:latest"


def test_at_the_start_one_can_type_at_once(desk_of) -> None:
    desk = desk_of(ScriptedBackend())

    assert desk.window.focusWidget() is desk.window.chat.composer.input


def test_a_long_name_of_a_model_has_room_beside_its_hint(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    name = "org/A-Model-Of-A-Very-Long-Name-With-All-That-Was-Done-To-It-v1.5-GGUF:UD-Q4_K_XL"
    desk.store.copy("pocket", name)
    refresh(desk, qtbot)
    picker = desk.window.header.picker
    picker.showPopup()

    words = name + "5.2 MB  ·  llama.cpp"
    assert picker.view().viewport().width() > picker.view().fontMetrics().horizontalAdvance(words)
    assert picker.width() < desk.window.header.width() / 2 + 1
    picker.hidePopup()


def test_the_message_field_names_a_model_on_one_line(desk_of) -> None:
    desk = desk_of(ScriptedBackend())
    field = desk.window.chat.composer.input

    desk.window.chat.composer.set_model("pocket")
    assert field.placeholderText() == "Message pocket"
    desk.window.chat.composer.set_model("org/A-Very-Long-Name" * 20)

    said = field.placeholderText()
    assert said.startswith("Message org/A-Very")
    assert field.fontMetrics().horizontalAdvance(said) < field.viewport().width()


def test_who_has_chosen_a_model_can_write_at_once(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    picker = desk.window.header.picker
    picker.setFocus()
    picker.showPopup()
    qtbot.keyClick(picker.view(), Qt.Key.Key_Down)
    qtbot.keyClick(picker.view(), Qt.Key.Key_Return)

    qtbot.waitUntil(lambda: picker.choice == "pocket:mlx")
    qtbot.waitUntil(desk.window.chat.composer.input.hasFocus)


def test_a_model_that_goes_is_no_longer_chosen(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    desk.store.import_path(POCKET / "gguf/pocket.gguf", "org/other")
    refresh(desk, qtbot)
    desk.window.header.picker.choose("org/other:latest")

    desk.store.remove("org/other")
    refresh(desk, qtbot)

    assert desk.window.header.picker.currentText() == "pocket"
    assert desk.chats.current.model == "pocket:latest"


def test_the_send_button_stops_a_reply(desk_of, qtbot) -> None:
    desk = desk_of(Babbler("Once "))
    desk.say("Tell me a story")
    composer = desk.window.chat.composer
    qtbot.waitUntil(lambda: desk.chats.current.turns[-1].text.startswith("Once "))
    assert composer.button.accessibleName() == "Stop"

    qtbot.mouseClick(composer.button, Qt.MouseButton.LeftButton)
    finish(desk, qtbot)

    assert composer.button.accessibleName() == "Send"
    assert "Stopped" in words_of(desk.reply_rows()[0])


def test_a_line_fills_while_a_model_is_loaded(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    sinks: list[Sink] = []
    desk.residency.submit = lambda request, sink, **about: sinks.append(sink) or 1
    line = desk.window.chat.progress
    desk.say("Hi")
    qtbot.waitUntil(lambda: bool(sinks))
    assert not line.isVisible()

    sinks[0](Progress(Stage.LOADING, 1, 4))
    qtbot.waitUntil(line.isVisible)
    assert line.value() * 4 == line.maximum()
    assert line.accessibleName() == "Loading the model: 25%"

    sinks[0](Started(3))
    sinks[0](TextDelta("Hello."))
    sinks[0](Finished(FinishReason.END_OF_TURN))
    finish(desk, qtbot)
    assert not line.isVisible()


def test_a_new_chat_shows_what_can_be_asked(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("Hello."))
    desk.say("Hi")
    finish(desk, qtbot)
    assert not desk.window.chat.empty.isVisible()

    qtbot.keyClick(desk.window, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)

    assert desk.window.chat.empty.isVisible()
    wait_for_chats(desk, qtbot, "Hi")
    assert desk.window.sidebar.list.item(1).text() == "Hi"


def test_a_chat_is_opened_from_the_list_and_marked(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("Hello."))
    desk.say("Hi")
    finish(desk, qtbot)
    desk.chats.new()
    chats = desk.window.sidebar.list
    wait_for_chats(desk, qtbot, "Hi")

    chats.itemClicked.emit(chats.item(1))
    qtbot.waitUntil(lambda: desk.chats.current.state is State.IDLE)

    assert [turn.text for turn in desk.chats.current.turns] == ["Hi", "Hello."]
    assert chats.currentItem().text() == "Hi"


def test_a_chat_is_renamed_where_it_stands(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("Hello."))
    desk.say("Hi")
    finish(desk, qtbot)
    chats = desk.window.sidebar.list
    wait_for_chats(desk, qtbot, "Hi")

    chats.editItem(chats.item(1))
    editor = chats.findChild(QLineEdit)
    editor.setText("Greetings")
    qtbot.keyClick(editor, Qt.Key.Key_Return)

    wait_for_chats(desk, qtbot, "Greetings")
    assert chats.item(1).text() == "Greetings"


def test_a_deleted_chat_is_offered_back(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("Hello."))
    desk.say("Hi")
    finish(desk, qtbot)
    wait_for_chats(desk, qtbot, "Hi")

    qtbot.keyClick(desk.window.sidebar.list, Qt.Key.Key_Delete)
    wait_for_chats(desk, qtbot)
    assert "“Hi” has been deleted." in words_of(desk.window.banners)
    qtbot.mouseClick(button(desk.window.banners, "Undo"), Qt.MouseButton.LeftButton)

    wait_for_chats(desk, qtbot, "Hi")
    assert not desk.window.banners.isVisible()


def list_of_chats(desk, qtbot, *titles: str) -> QListWidget:
    """Fill the list, the first title on top, and give it the keyboard."""
    for title in reversed(titles):
        desk.records.add(title, title)
        desk.records.put(title, None, user_turn("Hi"))
    desk.chats.search("")
    wait_for_chats(desk, qtbot, *titles)
    desk.window.sidebar.list.setFocus(Qt.FocusReason.TabFocusReason)
    return desk.window.sidebar.list


def test_a_title_can_be_read_while_it_is_typed(desk_of, qtbot) -> None:
    chats = list_of_chats(desk_of(ScriptedBackend()), qtbot, "Hopping gypsy")

    chats.editItem(chats.item(1))
    editor = chats.findChild(QLineEdit)
    assert isinstance(editor, QLineEdit)
    room = editor.style().subElementRect(
        QStyle.SubElement.SE_LineEditContents, line_edit_option(editor), editor
    )

    assert room.height() >= editor.fontMetrics().height()


def line_edit_option(editor: QLineEdit) -> QStyleOptionFrame:
    option = QStyleOptionFrame()
    editor.initStyleOption(option)
    return option


def test_the_keyboard_stays_at_the_chat_that_was_renamed(desk_of, qtbot) -> None:
    chats = list_of_chats(desk_of(ScriptedBackend()), qtbot, "One", "Two", "Three")
    chats.setCurrentRow(2)

    qtbot.keyClick(chats, Qt.Key.Key_F2)
    editor = chats.findChild(QLineEdit)
    assert isinstance(editor, QLineEdit)
    editor.setText("Zwei")
    qtbot.keyClick(editor, Qt.Key.Key_Return)

    qtbot.waitUntil(lambda: chats.item(2).text() == "Zwei" and chats.currentRow() == 2)


def test_the_keyboard_goes_on_to_the_next_chat_when_one_is_deleted(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    chats = list_of_chats(desk, qtbot, "One", "Two", "Three")
    chats.setCurrentRow(2)

    qtbot.keyClick(chats, Qt.Key.Key_Delete)
    wait_for_chats(desk, qtbot, "One", "Three")
    assert chats.currentItem().text() == "Three"

    qtbot.keyClick(chats, Qt.Key.Key_Delete)
    wait_for_chats(desk, qtbot, "One")
    assert chats.currentItem().text() == "One"


def test_the_chat_that_is_shown_is_marked_when_the_keyboard_has_gone(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    chats = list_of_chats(desk, qtbot, "One", "Two")
    desk.open_chat(qtbot, "One")
    chats.setFocus()

    qtbot.keyClick(chats, Qt.Key.Key_Down)
    assert chats.currentItem().text() == "Two"
    desk.window.chat.composer.setFocus()

    assert [item.text() for item in chats.selectedItems()] == ["One"]


def test_a_search_that_finds_no_chat_says_so(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    chats = list_of_chats(desk, qtbot, "One")

    desk.window.sidebar.search.setText("Two")
    wait_for_chats(desk, qtbot)
    assert [chats.item(row).text() for row in range(chats.count())] == [
        "No chat has that in its title"
    ]

    desk.window.sidebar.search.clear()
    wait_for_chats(desk, qtbot, "One")
    assert chats.item(chats.count() - 1).text() == "One"


def test_one_sees_where_the_keyboard_is_in_the_list(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    chats = list_of_chats(desk, qtbot, "One")
    chats.setCurrentRow(1)
    row = chats.visualItemRect(chats.item(1))
    accent = desk.appearance.theme.accent

    assert accent in colors_in(chats.viewport().grab(row).toImage())
    desk.window.chat.composer.setFocus()
    assert accent not in colors_in(chats.viewport().grab(row).toImage())


def colors_in(image: QImage) -> set[str]:
    across, down = range(image.width()), range(image.height())
    return {image.pixelColor(x, y).name() for x in across for y in down}


def test_one_sees_which_line_of_a_menu_the_keyboard_is_at(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    for box in (desk.window.header.picker, field(desk, QComboBox, "Appearance")):
        box.showPopup()
        lines = box.view()
        qtbot.keyClick(lines, Qt.Key.Key_Down)
        current = lines.visualRect(lines.currentIndex())

        assert desk.appearance.theme.line in colors_in(lines.viewport().grab(current).toImage())
        box.hidePopup()


def test_the_pages_stay_in_the_way_of_the_tab_key_once_one_was_chosen(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    models, settings = (button(desk.window.sidebar, words) for words in ("Models", "Settings"))

    qtbot.mouseClick(settings, Qt.MouseButton.LeftButton)
    assert desk.window.page == "settings"
    qtbot.mouseClick(models, Qt.MouseButton.LeftButton)
    assert desk.window.page == "models"

    for each in (models, settings):
        assert each.focusPolicy() & Qt.FocusPolicy.TabFocus
    qtbot.mouseClick(models, Qt.MouseButton.LeftButton)
    assert desk.window.page == "chat"


def test_damaged_chats_are_told_and_not_in_a_modal(desk_of, qtbot, inglenook_home: Path) -> None:
    inglenook_home.mkdir()
    (inglenook_home / "chats.db").write_bytes(b"no database" * 1000)
    desk = desk_of(ScriptedBackend())

    qtbot.waitUntil(lambda: "chats.db.broken-" in words_of(desk.window.banners))

    assert QApplication.activeModalWidget() is None


def test_everything_that_can_be_used_has_a_name(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend("```python\nx = 1\n```\n\nDone."))
    desk.say("Hi")
    finish(desk, qtbot)
    for page in ("models", "settings", "chat"):
        desk.window.show_page(page)
        for kind in (QAbstractButton, QComboBox, QLineEdit, QPlainTextEdit):
            for widget in desk.window.findChildren(kind):
                inside = isinstance(widget.parent(), (QLineEdit, QComboBox))
                if inside or not widget.isVisible():
                    continue  # the parts of a field go by its name
                interface = QAccessible.queryAccessibleInterface(widget)
                name = interface.text(QAccessible.Text.Name)
                assert name.strip(), f"{widget} on {page} has no name"


def test_the_tab_key_goes_round_all_controls_and_comes_back(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    desk.window.activateWindow()
    desk.window.chat.composer.input.setFocus()
    passed: list[str] = []
    widget: QWidget | None = desk.window.chat.composer.input
    for _ in range(400):
        widget = widget.nextInFocusChain() if widget else None
        if widget is None or widget is desk.window.chat.composer.input:
            break
        if widget.isVisible() and widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
            passed.append(widget.accessibleName() or getattr(widget, "text", str)())

    for name in ("New chat", "Search chats", "Models", "Settings", "Model", EXAMPLES[0]):
        assert name in passed


def test_the_theme_changes_at_once_and_everywhere(desk_of) -> None:
    desk = desk_of(ScriptedBackend())
    desk.window.show_page("models")

    desk.appearance.choose("dark")
    assert desk.window.palette().window().color().name() == DARK.ground
    assert desk.window.header.palette().windowText().color().name() == DARK.text

    desk.appearance.choose("light")
    assert desk.window.palette().window().color().name() == LIGHT.ground


def test_the_theme_reaches_what_was_drawn_in_the_other(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    desk.records.add("old", "Old chat")
    desk.chats.search("")
    qtbot.waitUntil(lambda: desk.window.sidebar.list.count() > 0)
    desk.window.banners.say("subject", "Something happened.")
    closer = desk.window.banners.findChild(IconButton)

    for theme in ("dark", "light"):
        desk.appearance.choose(theme)
        muted = desk.appearance.theme.muted
        assert desk.window.sidebar.list.item(0).foreground().color().name() == muted
        assert muted in colors_of(closer)


def colors_of(button: IconButton) -> set[str]:
    """Return the colours of an icon, without those of its soft edges."""
    image = button.icon().pixmap(button.iconSize()).toImage()
    colors = [image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height())]
    return {color.name() for color in colors if color.alpha() == 255}


def test_the_theme_follows_the_system_unless_told_otherwise(desk_of, monkeypatch) -> None:
    desk = desk_of(ScriptedBackend())
    system = Qt.ColorScheme.Dark
    monkeypatch.setattr(QStyleHints, "colorScheme", lambda _hints: system)
    changed = QApplication.styleHints().colorSchemeChanged

    desk.appearance.choose("system")
    assert desk.appearance.theme is DARK
    system = Qt.ColorScheme.Light
    changed.emit(system)
    assert desk.appearance.theme is LIGHT

    desk.appearance.choose("light")
    system = Qt.ColorScheme.Dark
    changed.emit(system)
    assert desk.appearance.theme is LIGHT


def test_a_narrow_window_gives_its_room_to_the_chat(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    assert desk.window.sidebar.isVisible()

    desk.window.resize(640, 600)
    qtbot.waitUntil(lambda: not desk.window.sidebar.isVisible())

    qtbot.keyClick(desk.window, Qt.Key.Key_B, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(desk.window.sidebar.isVisible)


def field(desk, kind: type[Field], name: str) -> Field:
    desk.window.show_page("settings")
    return next(each for each in desk.window.findChildren(kind) if each.accessibleName() == name)


def choose(box: QComboBox, words: str) -> None:
    box.setCurrentIndex(box.findText(words))
    box.activated.emit(box.currentIndex())


def test_settings_take_a_port_and_refuse_a_word(desk_of) -> None:
    desk = desk_of(ScriptedBackend())
    port = field(desk, QLineEdit, "Port of the local API")

    port.setText("11434, 8080")
    port.editingFinished.emit()
    assert desk.settings.value.ports == (11434, 8080)

    port.setText("none")
    port.editingFinished.emit()
    assert desk.settings.value.ports == (11434, 8080)
    assert port.text() == "11434, 8080"
    assert "A port is a whole number" in words_of(desk.window)


def test_every_setting_with_a_label_has_its_row_and_shows_what_holds(desk_of) -> None:
    desk = desk_of(ScriptedBackend())
    hosts = ("mybox.lan",)
    desk.settings.change(keep_alive_seconds=45.0, allowed_hosts=hosts, picture_hosts=hosts)

    for about in TABLE.values():
        if not about.label:
            continue
        row = field(desk, QComboBox if about.choices else QLineEdit, about.label)
        now = getattr(desk.settings.value, about.key)
        words = {value: words for words, value in about.choices}.get(now, about.words(now))
        assert (row.currentText() if isinstance(row, QComboBox) else row.text()) == words


def test_a_theme_that_is_chosen_is_there_at_once(desk_of) -> None:
    desk = desk_of(ScriptedBackend())

    choose(field(desk, QComboBox, "Appearance"), "Dark")

    assert desk.appearance.theme is DARK
    assert desk.settings.value.theme == "dark"


def test_the_api_moves_at_once_to_the_port_that_was_typed(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    desk.switch.start()
    qtbot.waitUntil(lambda: desk.switch.state is ApiState.ON)
    before = desk.switch.address
    free = free_port()
    port = field(desk, QLineEdit, "Port of the local API")

    port.setText(str(free))
    port.editingFinished.emit()

    qtbot.waitUntil(lambda: desk.switch.state is ApiState.ON and desk.switch.address != before)
    assert desk.switch.address == f"127.0.0.1:{free}"


def test_light_and_dark_can_be_read() -> None:
    for theme in (LIGHT, DARK):
        for ground in (theme.ground, theme.side, theme.raised, theme.bubble, theme.code):
            assert contrast(theme.text, ground) >= 7
            assert contrast(theme.muted, ground) >= 4.5
        assert contrast(theme.on_accent, theme.accent) >= 4.5
        for ground in (theme.ground, theme.raised, theme.bubble):
            assert contrast(theme.accent, ground) >= 4.5
        assert contrast(theme.danger, theme.raised) >= 4.5
        assert contrast(theme.danger, theme.danger_ground) >= 4.5
        assert contrast(theme.text, theme.notice_ground) >= 7
        for color in theme.code_colors.values():
            assert contrast(color, theme.code) >= 4.5


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, success criterion 1.4.3."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
