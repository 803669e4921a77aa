import json
import socket
import urllib.request
from contextlib import closing
from http.client import HTTPConnection

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QPushButton

from app.api_switch import ApiState
from app.settings import Settings
from tests.fakes import ScriptedBackend


@pytest.fixture
def taken():
    """A port that another program has."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def models_at(address: str) -> list[str]:
    with urllib.request.urlopen(f"http://{address}/api/tags", timeout=5) as reply:
        return [model["name"] for model in json.load(reply)["models"]]


def test_a_click_starts_a_server_and_another_stops_it(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    pill = desk.window.header.pill

    qtbot.mouseClick(pill, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: desk.switch.state is ApiState.ON)
    address = desk.switch.address
    assert "pocket:latest" in models_at(address)
    assert address in pill.text()
    assert f"Local API on at http://{address}" in pill.accessibleName()

    qtbot.mouseClick(pill, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: desk.switch.state is ApiState.OFF)
    with pytest.raises(OSError):
        models_at(address)
    desk.settings.close()
    assert not Settings.load(desk.home).api_enabled


def test_it_can_be_started_again(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    for _ in range(2):
        desk.switch.start()
        qtbot.waitUntil(lambda: desk.switch.state is ApiState.ON)
        assert models_at(desk.switch.address)
        desk.switch.stop()
        qtbot.waitUntil(lambda: desk.switch.state is ApiState.OFF)


def test_a_taken_port_is_told_and_the_next_free_one_offered(desk_of, qtbot, taken: int) -> None:
    desk = desk_of(ScriptedBackend())
    desk.settings.change(ports=(taken,))

    desk.switch.start()
    qtbot.waitUntil(lambda: desk.switch.state is ApiState.FAILED)
    banners = desk.window.banners
    words = " ".join(label.text() for label in banners.findChildren(QLabel))
    assert f"Port {taken} is in use by another program" in words

    offer = desk.switch.offer
    button = next(
        each for each in banners.findChildren(QPushButton) if each.text() == f"Use {offer} instead"
    )
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: desk.switch.state is ApiState.ON)

    assert models_at(f"127.0.0.1:{offer}")
    assert desk.settings.value.ports == (offer,)
    assert not banners.isVisible()


def test_it_starts_by_itself_only_where_it_was_on(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    desk.settings.change(api_enabled=False)
    desk.switch.restore()
    assert desk.switch.state is ApiState.OFF

    desk.settings.change(api_enabled=True)
    desk.switch.restore()
    qtbot.waitUntil(lambda: desk.switch.state is ApiState.ON)


def test_switching_to_and_fro_ends_where_it_was_left(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    states: list[ApiState] = []
    desk.switch.changed.connect(lambda: states.append(desk.switch.state))

    desk.switch.start()
    desk.switch.stop()
    desk.switch.start()
    qtbot.waitUntil(lambda: desk.switch.state is ApiState.ON)

    assert states == [ApiState.STARTING, ApiState.STOPPING, ApiState.STARTING, ApiState.ON]


def test_an_address_that_is_not_ours_is_told(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    desk.settings.change(host="203.0.113.1", ports=(0,))

    desk.switch.start()
    qtbot.waitUntil(lambda: desk.switch.state is ApiState.FAILED)

    assert "203.0.113.1" in desk.switch.problem
    assert desk.switch.offer is None


def test_a_name_that_is_allowed_is_answered_at_once(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    desk.switch.start()
    qtbot.waitUntil(lambda: desk.switch.state is ApiState.ON)

    def status_for(host: str) -> int:
        with closing(HTTPConnection(desk.switch.address, timeout=5)) as connection:
            connection.request("GET", "/api/tags", headers={"Host": host})
            return connection.getresponse().status

    assert status_for("mybox.lan") == 403

    desk.settings.change(allowed_hosts=("mybox.lan",))
    assert desk.switch.state is ApiState.STARTING
    qtbot.waitUntil(lambda: desk.switch.state is ApiState.ON)

    assert status_for("mybox.lan") == 200
    assert status_for("evil.example") == 403


def test_keys_are_needed_at_once_where_that_is_set(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    desk.switch.start()
    qtbot.waitUntil(lambda: desk.switch.state is ApiState.ON)

    def status(**headers: str) -> int:
        with closing(HTTPConnection(desk.switch.address, timeout=5)) as connection:
            connection.request("GET", "/api/tags", headers=headers)
            return connection.getresponse().status

    assert status() == 200

    desk.settings.change(api_keys="always")
    qtbot.waitUntil(lambda: desk.switch.state is ApiState.ON)

    assert status() == 401
    assert status(Authorization=f"Bearer {desk.keys.add('editor')}") == 200


def test_a_change_of_another_setting_leaves_the_api_alone(desk_of, qtbot) -> None:
    desk = desk_of(ScriptedBackend())
    desk.switch.start()
    qtbot.waitUntil(lambda: desk.switch.state is ApiState.ON)

    desk.settings.change(theme="dark", model="org/other")

    assert desk.switch.state is ApiState.ON


def test_a_change_while_it_is_off_does_not_switch_it_on(desk_of) -> None:
    desk = desk_of(ScriptedBackend())

    desk.settings.change(host="0.0.0.0")

    assert desk.switch.state is ApiState.OFF
