"""Where Qt would end the process, we say why there is no window."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.screen import why_no_window

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only of Linux can it be told")
VARIABLES = ("DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET", "QT_QPA_PLATFORM")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return monkeypatch


@pytest.fixture
def compositor(tmp_path: Path) -> Iterator[str]:
    """Something that listens where a Wayland compositor would."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(tmp_path / "wayland-7"))
        listener.listen()
        yield "wayland-7"


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({}, "There is no screen here"),
        ({"DISPLAY": ""}, "There is no screen here"),
        ({"DISPLAY": ":77"}, "No screen answers at DISPLAY=:77"),
        ({"DISPLAY": "nonsense"}, "No screen answers at DISPLAY=nonsense"),
        ({"WAYLAND_DISPLAY": "wayland-9"}, "No screen answers at WAYLAND_DISPLAY=wayland-9"),
        ({"WAYLAND_DISPLAY": "w" * 300}, "No screen answers at WAYLAND_DISPLAY=www"),
        (
            {"DISPLAY": ":77", "WAYLAND_DISPLAY": "wayland-9"},
            "No screen answers at WAYLAND_DISPLAY=wayland-9 or DISPLAY=:77",
        ),
        ({"QT_QPA_PLATFORM": "foo"}, "QT_QPA_PLATFORM asks for 'foo', which Qt does not have"),
        ({"QT_QPA_PLATFORM": "xcb"}, "QT_QPA_PLATFORM asks for 'xcb', and there is no screen"),
        ({"QT_QPA_PLATFORM": "foo;xcb", "DISPLAY": ":77"}, "No screen answers at DISPLAY=:77"),
        ({"QT_QPA_PLATFORM": "wayland-egl"}, "QT_QPA_PLATFORM asks for 'wayland-egl', and there"),
    ],
)
def test_where_no_window_can_be_opened_the_reason_is_told(
    environment: pytest.MonkeyPatch, variables: dict[str, str], reason: str
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)

    told = why_no_window()

    assert told is not None
    assert told.startswith(reason)


@pytest.mark.parametrize("platform", ["offscreen", "minimal", "offscreen:size=640x480", "foo;vnc"])
def test_a_platform_that_draws_nowhere_needs_no_screen(
    environment: pytest.MonkeyPatch, platform: str
) -> None:
    environment.setenv("QT_QPA_PLATFORM", platform)

    assert why_no_window() is None


def test_a_wayland_compositor_is_found(environment: pytest.MonkeyPatch, compositor: str) -> None:
    environment.setenv("WAYLAND_DISPLAY", compositor)
    assert why_no_window() is None

    environment.setenv("DISPLAY", ":77")
    assert why_no_window() is None  # Qt tries one after the other

    environment.setenv("QT_QPA_PLATFORM", "xcb")
    assert why_no_window() is not None


def test_a_compositor_that_has_gone_leaves_its_socket(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(tmp_path / "wayland-7"))
    environment.setenv("WAYLAND_DISPLAY", "wayland-7")

    assert why_no_window() == "No screen answers at WAYLAND_DISPLAY=wayland-7"


def test_plugins_are_looked_for_where_qt_is_told_to(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "libqfoo.so").touch()
    environment.setenv("QT_QPA_PLATFORM", "foo")
    assert why_no_window() is not None

    environment.setenv("QT_QPA_PLATFORM_PLUGIN_PATH", str(tmp_path))
    assert why_no_window() is None


def test_to_look_for_an_x_server_does_not_make_it_start_over(
    environment: pytest.MonkeyPatch,
) -> None:
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "640x480x24"]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as server:
        os.close(writing)
        with os.fdopen(reading) as told:
            environment.setenv("DISPLAY", f":{told.readline().strip()}")
        try:
            assert [why_no_window() for _ in range(20)] == [None] * 20
        finally:
            server.terminate()


@pytest.mark.xvfb
def test_an_x_server_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_no_window() is None

    monkeypatch.delenv("QT_QPA_PLATFORM")
    assert why_no_window() is None
