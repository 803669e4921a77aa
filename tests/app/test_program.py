"""The whole desktop program, as a person starts and ends it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QTimer
from PySide6.QtWidgets import QApplication

from app import cli
from app.api_switch import ApiState
from app.menubar import MenuBarIcon
from app.program import Program
from app.settings import Settings
from app.theme import DARK
from models.chat import Reasoning
from models.records.values import Outcome
from tests.conftest import REPOSITORY, free_port


@pytest.fixture
def program(qapp: QApplication, inglenook_home: Path) -> Iterator[Program]:
    port = free_port()
    Settings(ports=(port,), theme="light").save(inglenook_home)
    qapp.setQuitOnLastWindowClosed(False)  # as app.program does
    made = Program(qapp, inglenook_home)
    made.show()
    qapp.processEvents()
    yield made
    made.close()
    made.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def started(home: Path, **environment: str) -> "subprocess.Popen[str]":
    without = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    inherited = {name: value for name, value in os.environ.items() if name not in without}
    return subprocess.Popen(
        [sys.executable, "-m", "app.main"],
        cwd=REPOSITORY,
        env=inherited | {"INGLENOOK_HOME": str(home)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def get(url: str) -> dict[str, object]:
    with urllib.request.urlopen(url, timeout=5) as reply:
        return json.load(reply)


def wait_for_api(port: int) -> dict[str, object]:
    deadline = time.monotonic() + 20
    while True:
        try:
            return get(f"http://127.0.0.1:{port}/api/tags")
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def answer_of(program: Program, qtbot, model: str) -> str:
    program.window.header.picker.choose(model)
    composer = program.window.chat.composer
    composer.input.setPlainText("What is the capital of France?")
    composer.button.click()
    session = program.chats.current
    qtbot.waitUntil(lambda: not session.busy and len(session.turns) == 2, timeout=30_000)
    return session.turns[-1].text


def tray_of(program: Program, qtbot) -> MenuBarIcon:
    qtbot.waitUntil(lambda: program.findChild(MenuBarIcon) is not None, timeout=10_000)
    tray = program.findChild(MenuBarIcon)
    assert tray is not None
    return tray


def test_a_person_asks_and_llama_cpp_answers_in_the_window(program: Program, qtbot) -> None:
    name = "pocket:gguf" if sys.platform == "darwin" else "pocket:latest"

    assert "Paris" in answer_of(program, qtbot, name)
    rows = program.window.chat.transcript.rows
    assert "Paris" in rows[1].accessibleName()
    # It has been told to think, as every model is that can and may be told.
    assert "Thought" in rows[1].accessibleName()
    assert isinstance(program.chats.current.turns[1].parts[0], Reasoning)


@pytest.mark.skipif(find_spec("mlx_lm") is None, reason="MLX is not installed here")
def test_a_person_asks_and_mlx_answers_in_the_window(program: Program, qtbot) -> None:
    name = "pocket:latest" if sys.platform == "darwin" else "pocket:mlx"

    assert "Paris" in answer_of(program, qtbot, name)


def test_a_person_shows_a_picture_and_llama_cpp_answers(
    program: Program, qtbot, testdata: Path
) -> None:
    model = testdata / "models/tinychat/tinychat-1m-F16.gguf"  # with a projector of chance beside
    cli.main(["import", str(model), "--name", "seer"])
    library = program.library
    library.refresh()
    qtbot.waitUntil(lambda: library.seeing is not None, timeout=10_000)
    composer = program.window.chat.composer
    composer.attachments.add_files([testdata / "media/rocket.jpg"])
    qtbot.waitUntil(lambda: len(composer.attachments.taken) == 1, timeout=10_000)

    composer.bar.advised.emit()
    answer_of(program, qtbot, "seer:latest")

    asked, answer = program.chats.current.turns
    assert [each.name for each in asked.images] == ["rocket.jpg"]
    assert (answer.error, answer.outcome) == ("", Outcome.DONE)
    assert answer.text


def test_the_api_is_on_by_itself_and_answers(program: Program, qtbot) -> None:
    qtbot.waitUntil(lambda: program.switch.state is ApiState.ON, timeout=10_000)

    assert get(f"http://{program.switch.address}/api/tags")["models"]


def test_the_window_takes_up_what_the_command_sets(
    program: Program, qtbot, inglenook_home: Path
) -> None:
    qtbot.waitUntil(lambda: program.switch.state is ApiState.ON, timeout=10_000)
    before = program.window.palette().window().color().name()

    assert cli.main(["settings", "theme", "dark"]) == 0

    qtbot.waitUntil(lambda: program.window.palette().window().color().name() != before)
    assert program.window.palette().window().color().name() == DARK.ground


def test_the_window_is_as_large_as_it_was_when_the_program_ended(
    qapp: QApplication, inglenook_home: Path
) -> None:
    Settings(api_enabled=False).save(inglenook_home)
    sizes: list[tuple[int, int]] = []
    for size in ((700, 500), None):
        program = Program(qapp, inglenook_home)
        program.show()
        if size:
            program.window.resize(*size)
        qapp.processEvents()
        sizes.append(program.window.size().toTuple())  # pyright: ignore[reportAttributeAccessIssue]
        program.close()
        program.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)

    assert sizes == [(700, 500)] * 2


@pytest.mark.skipif(
    os.environ.get("QT_QPA_PLATFORM") != "offscreen", reason="here there may be a tray"
)
def test_where_there_is_no_tray_closing_the_window_ends_the_program(
    program: Program, qapp: QApplication
) -> None:
    assert not MenuBarIcon.available()
    QTimer.singleShot(0, program.window.close)

    assert qapp.exec() == 0  # it returns


@pytest.mark.xvfb
def test_where_there_is_a_tray_closing_the_window_hides_it(program: Program, qtbot) -> None:
    qtbot.waitUntil(lambda: program.switch.state is ApiState.ON, timeout=10_000)
    tray = tray_of(program, qtbot)

    program.window.close()
    assert not program.window.isVisible()
    assert get(f"http://{program.switch.address}/api/tags")["models"]  # the API goes on

    actions = {action.text(): action for action in tray.menu.actions()}
    assert actions[f"Local API on {program.switch.address}"].isChecked()
    actions["Open Inglenook"].trigger()
    assert program.window.isVisible()


@pytest.mark.xvfb
def test_the_tray_switches_the_api(program: Program, qtbot) -> None:
    qtbot.waitUntil(lambda: program.switch.state is ApiState.ON, timeout=10_000)
    switch = tray_of(program, qtbot).menu.actions()[0]

    switch.trigger()
    qtbot.waitUntil(lambda: program.switch.state is ApiState.OFF)
    assert not switch.isChecked()

    switch.trigger()
    qtbot.waitUntil(lambda: program.switch.state is ApiState.ON)


def test_a_polite_kill_ends_it_cleanly_and_frees_the_port(tmp_path: Path) -> None:
    port = free_port()
    Settings(ports=(port,)).save(tmp_path)
    with started(tmp_path, QT_QPA_PLATFORM="offscreen", INGLENOOK_TRACE="1") as process:
        assert wait_for_api(port)["models"]
        process.send_signal(signal.SIGTERM)
        _said, complained = process.communicate(timeout=20)

    assert process.returncode == 0
    assert re.fullmatch(r"inglenook: window visible after \d+\.\d\d s\n", complained)
    with pytest.raises(OSError):
        get(f"http://127.0.0.1:{port}/api/tags")


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({}, "There is no screen here, so Inglenook serves its local API only."),
        ({"DISPLAY": ":77"}, "No screen answers at DISPLAY=:77, so Inglenook serves"),
        ({"QT_QPA_PLATFORM": "foo"}, "QT_QPA_PLATFORM asks for 'foo', which Qt does not have, so"),
    ],
)
def test_without_a_screen_it_says_so_and_serves(
    tmp_path: Path, environment: dict[str, str], reason: str
) -> None:
    if sys.platform != "linux":
        pytest.skip("only on Linux can a program be started where there is no screen")
    port = free_port()
    Settings(ports=(port,)).save(tmp_path)
    with started(tmp_path, **environment) as process:
        try:
            assert wait_for_api(port)["models"]
        finally:
            process.send_signal(signal.SIGINT)
            said, complained = process.communicate(timeout=20)

    assert said.startswith(reason)
    assert complained == ""
    assert process.returncode in (0, 130)
