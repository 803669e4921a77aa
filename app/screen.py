"""Whether there is a screen to open a window on, found out without Qt.

Qt ends the whole process where it cannot open one, and there is no asking it first. So the
same doors are knocked at that it would: the X server by libxcb, which is what Qt's plugin
uses (with its rules for names and for who may), and the Wayland compositor at its socket.
"""

import ctypes
import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

# Qt's own order where nothing is asked for.
_PLATFORMS = (("WAYLAND_DISPLAY", "wayland"), ("DISPLAY", "xcb"))
_LIBXCB = "libxcb.so.1"
_KNOCK_SECONDS = 5.0


def why_no_window() -> str | None:
    """Return why no window can be opened, as half a sentence; None where one can.

    Only of Linux can it be told: elsewhere whoever starts us has a screen, or knows.
    """
    asked = os.environ.get("QT_QPA_PLATFORM", "")
    # "xcb;wayland" are tried in turn; what stands after ":" is for the plugin.
    platforms = [each.partition(":")[0].strip() for each in asked.split(";") if each.strip()]
    missing = [each for each in platforms if not _has_plugin(each)]
    if platforms and missing == platforms:
        return f"QT_QPA_PLATFORM asks for {asked!r}, which Qt does not have"
    if sys.platform != "linux":
        return None
    if not platforms:
        platforms = [platform for name, platform in _PLATFORMS if os.environ.get(name)]
    if not platforms:
        return "There is no screen here"
    if any(_answers(each) for each in platforms if each not in missing):
        return None
    named = [f"{name}={os.environ[name]}" for name, _ in _PLATFORMS if os.environ.get(name)]
    if not named:
        return f"QT_QPA_PLATFORM asks for {asked!r}, and there is no screen here"
    return f"No screen answers at {' or '.join(named)}"


def _answers(platform: str) -> bool:
    """Whether Qt's platform can be started; of those that need no other program, it can."""
    if platform == "xcb":
        return _x_answers()
    if platform.partition("-")[0] == "wayland":
        return _wayland_answers()
    return True


def _x_answers() -> bool:
    try:
        xcb = ctypes.CDLL(_LIBXCB)
    except OSError:  # Qt's plugin needs it too
        return False
    xcb.xcb_connect.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xcb.xcb_connect(None, None))  # never NULL
    if xcb.xcb_connection_has_error(connection):
        xcb.xcb_disconnect(connection)
        return False
    # It is left open: an X server whose last client goes starts over, as Xvfb does, and
    # would refuse Qt meanwhile.
    return True


def _wayland_answers() -> bool:
    if os.environ.get("WAYLAND_SOCKET"):  # the number of a connection that is open already
        return True
    folder = os.environ.get("XDG_RUNTIME_DIR", "")
    path = Path(folder, os.environ.get("WAYLAND_DISPLAY") or "wayland-0")
    if not path.is_absolute():
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_KNOCK_SECONDS)
        try:
            probe.connect(os.fspath(path))
        except OSError:  # a path that is too long is one too
            return False
    return True


def _has_plugin(platform: str) -> bool:
    qt = find_spec("PySide6")
    if qt is None or not qt.submodule_search_locations:
        return True  # whoever imports it will hear
    folders = [Path(each) for each in qt.submodule_search_locations]
    folders = [folder / inner for folder in folders for inner in ("Qt/plugins", "plugins")]
    named = os.environ.get("QT_PLUGIN_PATH", "").split(os.pathsep)
    folders = [folder / "platforms" for folder in (*folders, *map(Path, filter(None, named)))]
    if own := os.environ.get("QT_QPA_PLATFORM_PLUGIN_PATH"):
        folders.append(Path(own))
    # "wayland-egl" is in the plugin of "wayland".
    name = platform.partition("-")[0].lower()
    found = {path.stem.removeprefix("lib") for folder in folders for path in folder.glob("*q*")}
    return f"q{name}" in found or not found
