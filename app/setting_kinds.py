"""Setting: all that is known of one thing a person can set, and the kinds of value it can have.

A kind reads its value from the file and from what a person types, and writes it for both.
Where a value cannot be that kind, it raises ValueError, whose words are one sentence that
says what can be.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, Generic, Protocol, TypeVar, cast

from models.web_addresses import Allowed

_T = TypeVar("_T")

_FOR_EVER = -1  # JSON has no infinity; this is Ollama's word for it
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_FLAGS = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}
_HIGHEST_PORT = 65535


class ValueKind(Protocol[_T]):
    def read(self, saved: object) -> _T: ...
    def write(self, value: _T) -> object: ...
    def parse(self, typed: str) -> _T: ...
    def show(self, value: _T) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    key: str
    default: Any
    kind: ValueKind[Any]
    label: str  # empty: the settings page does not show it
    explanation: str
    choices: tuple[tuple[str, Any], ...]  # words and value; empty: it is typed
    unit: str

    def words(self, value: object) -> str:
        """Write a value as a person may read it, a number with its unit."""
        shown = self.kind.show(value) or "none"
        return f"{shown} {self.unit}".rstrip() if shown[-1].isdecimal() else shown


def setting(
    default: _T,
    kind: ValueKind[_T],
    *,
    label: str = "",
    explanation: str,
    choices: tuple[tuple[str, _T], ...] = (),
    unit: str = "",
) -> _T:
    """Declare a field of a dataclass as a setting: see ``settings_of``."""
    about = {
        "kind": kind,
        "label": label,
        "explanation": explanation,
        "choices": choices,
        "unit": unit,
    }
    return field(default=default, metadata=about)


def settings_of(owner: type[Any]) -> Mapping[str, Setting]:
    """Return the settings that a dataclass declares, by key and in their order."""
    table = {
        each.name: Setting(key=each.name, default=each.default, **each.metadata)
        for each in fields(owner)
    }
    assert all(each.default is not MISSING for each in table.values())
    return table


# -- Kinds --------------------------------------------------------------------


class Word:
    """A short text. ``optional``: it may be empty."""

    def __init__(self, *, optional: bool = False) -> None:
        self._optional = optional

    def read(self, saved: object) -> str:
        if not isinstance(saved, str) or not (saved or self._optional):
            raise ValueError("This must be a word.")
        return saved

    def write(self, value: str) -> object:
        return value

    def parse(self, typed: str) -> str:
        return self.read(typed.strip())

    def show(self, value: str) -> str:
        return value


class Flag:
    def read(self, saved: object) -> bool:
        if not isinstance(saved, bool):
            raise ValueError("This is either on or off.")
        return saved

    def write(self, value: bool) -> object:
        return value

    def parse(self, typed: str) -> bool:
        return self.read(_FLAGS.get(typed.strip().lower()))

    def show(self, value: bool) -> str:
        return "on" if value else "off"


class OneOf(Generic[_T]):
    def __init__(self, *words: _T) -> None:
        self._words = words

    def read(self, saved: object) -> _T:
        for word in self._words:
            if word == saved:
                return word
        raise ValueError(f"This is one of: {', '.join(map(str, self._words))}.")

    def write(self, value: _T) -> object:
        return value

    def parse(self, typed: str) -> _T:
        return self.read(typed.strip().lower())

    def show(self, value: _T) -> str:
        return str(value)


class Ports:
    _WRONG = "A port is a whole number from 1 to 65535; several are separated by commas."

    def read(self, saved: object) -> tuple[int, ...]:
        """What is no port costs itself alone."""
        each = cast("list[object]", saved) if isinstance(saved, list) else []
        ports = tuple(dict.fromkeys(port for port in each if _is_port(port)))
        if not ports:
            raise ValueError(self._WRONG)
        return cast("tuple[int, ...]", ports)

    def write(self, value: tuple[int, ...]) -> object:
        return list(value)

    def parse(self, typed: str) -> tuple[int, ...]:
        numbers = [int(word) if word.isdecimal() else 0 for word in _words(typed)]
        if not all(map(_is_port, numbers)):
            raise ValueError(self._WRONG)
        return self.read(numbers)

    def show(self, value: tuple[int, ...]) -> str:
        return ", ".join(map(str, value))


class HostNames:
    _WRONG = (
        "A name is written as in an address, such as mybox.lan; several are separated by commas."
    )
    _NAME = re.compile(r"[A-Za-z0-9_*]([A-Za-z0-9_.-]*[A-Za-z0-9])?")

    def read(self, saved: object) -> tuple[str, ...]:
        each = cast("list[object]", saved) if isinstance(saved, list) else [None]
        if not all(isinstance(name, str) and self._NAME.fullmatch(name) for name in each):
            raise ValueError(self._WRONG)
        return tuple(dict.fromkeys(str(name).lower() for name in each))

    def write(self, value: tuple[str, ...]) -> object:
        return list(value)

    def parse(self, typed: str) -> tuple[str, ...]:
        return self.read(_words(typed))

    def show(self, value: tuple[str, ...]) -> str:
        return ", ".join(value)


class WebHosts(HostNames):
    """Or addresses, or networks."""

    _WRONG = (
        "A host is a name, an address, or a network such as 192.168.1.0/24; several are "
        "separated by commas."
    )

    def read(self, saved: object) -> tuple[str, ...]:
        each = cast("list[object]", saved) if isinstance(saved, list) else [""]
        hosts = tuple(dict.fromkeys(str(host).lower() for host in each))
        try:
            Allowed.of(hosts)
        except ValueError:
            raise ValueError(self._WRONG) from None
        return hosts


class Seconds:
    """``math.inf`` is for ever."""

    _WRONG = "This is a time in seconds, such as 300, or 5m, or 2h, or 'forever'."

    def read(self, saved: object) -> float:
        if isinstance(saved, bool) or not isinstance(saved, (int, float)) or math.isnan(saved):
            raise ValueError(self._WRONG)
        return math.inf if saved < 0 else float(saved)

    def write(self, value: float) -> object:
        return _FOR_EVER if math.isinf(value) else value

    def parse(self, typed: str) -> float:
        if typed.strip().lower() in ("forever", str(_FOR_EVER)):
            return math.inf
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", typed.strip().lower())
        if found is None:
            raise ValueError(self._WRONG)
        return float(found[1]) * _SECONDS[found[2]]

    def show(self, value: float) -> str:
        return "forever" if math.isinf(value) else f"{value:g}"


class Tokens:
    """None: as the program finds right."""

    _WRONG = "This is a number of tokens, such as 8192, or 'auto'."

    def read(self, saved: object) -> int | None:
        if saved is None:
            return None
        if isinstance(saved, bool) or not isinstance(saved, int) or saved <= 0:
            raise ValueError(self._WRONG)
        return saved

    def write(self, value: int | None) -> object:
        return value

    def parse(self, typed: str) -> int | None:
        if typed.strip().lower() == "auto":
            return None
        number = typed.strip().replace(",", "")
        return self.read(int(number) if number.isdecimal() else 0)

    def show(self, value: int | None) -> str:
        return "auto" if value is None else str(value)


class Bytes:
    """None: as the program finds right. 0: none at all."""

    _WRONG = "This is a size, such as 500 MB or 20 GB, or 'auto', or 'off'."
    _UNITS: ClassVar = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}

    def read(self, saved: object) -> int | None:
        if saved is None:
            return None
        if isinstance(saved, bool) or not isinstance(saved, int) or saved < 0:
            raise ValueError(self._WRONG)
        return saved

    def write(self, value: int | None) -> object:
        return value

    def parse(self, typed: str) -> int | None:
        word = typed.strip().lower()
        if word in ("auto", "off"):
            return None if word == "auto" else 0
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]b)?", word)
        if found is None:
            raise ValueError(self._WRONG)
        return int(float(found[1]) * self._UNITS[found[2] or ""])

    def show(self, value: int | None) -> str:
        if not value:
            return "auto" if value is None else "off"
        for unit, size in reversed(self._UNITS.items()):
            if value % size == 0:
                return f"{value // size} {unit.upper()}".rstrip()
        raise AssertionError(value)


def _words(typed: str) -> list[str]:
    return typed.replace(",", " ").split()


def _is_port(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _HIGHEST_PORT
