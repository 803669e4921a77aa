"""One line on a terminal's stderr that says what happens now, and goes when something has."""

import os
import sys
import unicodedata

# What a model writes must not move the cursor or rename the window.
HARMLESS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}

_DIM, _PLAIN, _CLEAR = "\033[2m", "\033[0m", "\r\033[K"
_USUAL_WIDTH = 80
_GAP = "   "


class StatusLine:
    """Nothing at all where no terminal is at the other end."""

    def __init__(self) -> None:
        self._shown = False

    def show(self, what: str, behind: str = "") -> None:
        """Say ``what``, and as much of the end of ``behind`` as there is room for."""
        if not sys.stderr.isatty():
            return
        room = _columns() - 1 - _width(what + _GAP)
        words = what + (_GAP + _end_of(behind.translate(HARMLESS), room) if behind else "")
        sys.stderr.write(_CLEAR + dim(words))
        sys.stderr.flush()
        self._shown = True

    def clear(self) -> None:
        if self._shown:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
        self._shown = False


def dim(text: str) -> str:
    """Return text as a terminal shows it quietly, where stderr is one."""
    if not sys.stderr.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"{_DIM}{text}{_PLAIN}"


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _USUAL_WIDTH
    except (OSError, ValueError):
        return _USUAL_WIDTH


def _end_of(text: str, room: int) -> str:
    """Return the end of a text that takes up so many columns at the most."""
    if _width(text) <= room:
        return text
    kept = len(text)
    left = room - 1  # for the dots
    while kept and (left := left - _width(text[kept - 1])) >= 0:
        kept -= 1
    return "…" + text[kept:]


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)
