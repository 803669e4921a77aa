from collections.abc import Callable
from inspect import getmembers, isfunction, signature
from types import ModuleType

import pytest

from app.platform import macos, null


def functions(module: ModuleType) -> dict[str, Callable[..., object]]:
    return {
        name: function
        for name, function in getmembers(module, isfunction)
        if not name.startswith("_") and function.__module__ == module.__name__
    }


def test_every_desktop_has_the_same_functions() -> None:
    ours, theirs = functions(null), functions(macos)

    assert ours.keys() == theirs.keys()
    for name in ours:
        assert signature(ours[name]) == signature(theirs[name])


def test_without_pyobjc_a_mac_is_as_any_other_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def no_module(name: str) -> None:
        asked.append(name)
        raise ImportError(name)

    monkeypatch.setattr(macos, "import_module", no_module)
    macos._module.cache_clear()

    for desktop in (null, macos):
        desktop.window_shown()
        desktop.window_hidden()
        assert desktop.work_began("a test") is null.work_began("a test")
        desktop.work_ended(desktop.work_began("a test"))
    macos._module.cache_clear()

    assert asked  # it was looked for, and was not there


def test_a_mac_is_told_what_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls, against stand-ins that remember as Cocoa does."""

    class Application:
        policy = 0

        def setActivationPolicy_(self, policy: int) -> None:
            self.policy = policy

        def activateIgnoringOtherApps_(self, flag: bool) -> None:
            self.active = flag

    class Process:
        def __init__(self) -> None:
            self.activities: set[str] = set()

        def beginActivityWithOptions_reason_(self, options: int, reason: str) -> str:
            self.activities.add(reason)
            return reason

        def endActivity_(self, activity: str) -> None:
            self.activities.remove(activity)

    application, process = Application(), Process()
    cocoa = ModuleType("cocoa")
    cocoa.NSApplication = type("NS", (), {"sharedApplication": lambda: application})  # type: ignore[attr-defined]
    cocoa.NSProcessInfo = type("NS", (), {"processInfo": lambda: process})  # type: ignore[attr-defined]
    monkeypatch.setattr(macos, "_module", lambda _name: cocoa)

    macos.window_hidden()
    assert application.policy == 1
    macos.window_shown()
    assert (application.policy, application.active) == (0, True)
    work = macos.work_began("Serving")
    assert process.activities == {"Serving"}
    macos.work_ended(work)
    assert process.activities == set()
