"""macOS: the Dock, App Nap and the menu bar. All of it by pyobjc, and without it left as it is."""

from functools import cache
from importlib import import_module
from typing import Any

# NSApplicationActivationPolicy
_REGULAR = 0  # in the Dock, with a menu bar
_ACCESSORY = 1  # neither, yet its windows can have the focus

# NSActivityUserInitiatedAllowingIdleSystemSleep: no App Nap, and the Mac may sleep.
_WORKING = 0x00EFFFFF


def has_menu_bar() -> bool:
    """Whether an application's commands belong into a bar along the top of the screen."""
    return True


def window_shown() -> None:
    """The window is on the screen: be an application like any other."""
    if appkit := _module("AppKit"):
        application = appkit.NSApplication.sharedApplication()
        application.setActivationPolicy_(_REGULAR)
        application.activateIgnoringOtherApps_(True)


def window_hidden() -> None:
    """Only the icon in the menu bar is left."""
    if appkit := _module("AppKit"):
        appkit.NSApplication.sharedApplication().setActivationPolicy_(_ACCESSORY)


def work_began(reason: str) -> object:
    """Ask the system not to slow us down while nobody looks; return what ends that."""
    if foundation := _module("Foundation"):
        process = foundation.NSProcessInfo.processInfo()
        return process.beginActivityWithOptions_reason_(_WORKING, reason)
    return None


def work_ended(work: object) -> None:
    """Give back what ``work_began`` returned, once."""
    foundation = _module("Foundation")
    if foundation and work is not None:
        foundation.NSProcessInfo.processInfo().endActivity_(work)


@cache
def _module(name: str) -> Any:  # noqa: ANN401 - pyobjc has no types
    try:
        return import_module(name)
    except ImportError:
        return None
