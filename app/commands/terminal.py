"""A command's streams and its log, whatever is at the other end of them: also nothing at all."""

import codecs
import io
import logging
import os
import sys

from app import words

# What Windows writes where it does not write Unicode: the letters of western Europe.
_OLD_ENCODING = "cp1252"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def set_up(*, debug: bool) -> None:
    """Make the streams usable, and have what goes wrong told on stderr."""
    _fill_closed_streams()
    # A terminal that cannot show a character is no reason to stop.
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(levelname)s: %(message)s", debug=debug))
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, handlers=[handler])


def piped_in() -> str:
    """Return what is piped into the command; empty where a person sits there."""
    if sys.stdin.isatty():
        return ""
    return decode(sys.stdin.buffer.read())


def argument(raw: str) -> str:
    """Return an argument as it was meant: its bytes may be in another encoding than Python's."""
    return decode(os.fsencode(raw))


def decode(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode(_OLD_ENCODING, errors="replace")


def _fill_closed_streams() -> None:
    """Give a stream that was closed by our caller something that is open and empty.

    In this order: the system gives each the lowest number that is free, which is its own,
    so that no file of ours is taken for stdin or stdout by a library.
    """
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115  # until we end
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


class _Formatter(logging.Formatter):
    """Tells what the disk or a model is to blame for in one line; a bug with where it is."""

    def __init__(self, form: str, *, debug: bool) -> None:
        super().__init__(form)
        self._debug = debug

    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        said = words.sentence(error) if isinstance(error, Exception) else None
        if said is None or self._debug:
            return super().format(record)
        plain = logging.makeLogRecord(record.__dict__ | {"exc_info": None, "exc_text": None})
        return f"{super().format(plain)}: {said}"
