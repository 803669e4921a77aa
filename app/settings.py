"""What a person has set: one declared table, kept in one small file that a person can read.

The table is the class ``Settings``. The file, its checks, the settings page and the command
``ingle settings`` are all made of it.
"""

import json
import logging
import math
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from app.setting_kinds import (
    Bytes,
    Flag,
    HostNames,
    OneOf,
    Ports,
    Seconds,
    Tokens,
    WebHosts,
    Word,
    setting,
    settings_of,
)
from models import atomic

log = logging.getLogger(__name__)

ThemeChoice: TypeAlias = Literal["system", "light", "dark"]
KeysNeeded: TypeAlias = Literal["automatic", "always", "never"]

LOG_FILE = "inglenook.log"  # lies beside the settings
VERSION = 1
_FILE = "settings.json"
_MINUTE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    theme: ThemeChoice = setting(
        "system",
        OneOf[ThemeChoice]("system", "light", "dark"),
        label="Appearance",
        explanation="Light, dark, or as the system has it.",
        choices=(("As the system", "system"), ("Light", "light"), ("Dark", "dark")),
    )
    api_enabled: bool = setting(
        True, Flag(), explanation="Whether the window's local API is on at the start."
    )
    host: str = setting(
        "127.0.0.1",
        Word(),
        label="Who can use the local API",
        explanation="Other computers need an API key, unless that is changed below.",
        choices=(
            ("This computer", "127.0.0.1"),
            ("Other computers too", "0.0.0.0"),
            ("Other computers too, by IPv6", "::"),
        ),
    )
    ports: tuple[int, ...] = setting(
        (11434,),
        Ports(),
        label="Port of the local API",
        explanation="11434 is where programs look for Ollama. Several are separated by commas.",
    )
    allowed_hosts: tuple[str, ...] = setting(
        (),
        HostNames(),
        label="Other names of this computer",
        explanation="By which it may be called, such as mybox.lan, or a proxy's domain.",
    )
    api_keys: KeysNeeded = setting(
        "automatic",
        OneOf[KeysNeeded]("automatic", "always", "never"),
        label="API keys",
        explanation="What a program has to send with each request: 'ingle key add NAME' makes "
        "one. Never: choose it only in a network you trust.",
        choices=(
            ("Needed where other computers can call", "automatic"),
            ("Always needed", "always"),
            ("Never needed", "never"),
        ),
    )
    picture_hosts: tuple[str, ...] = setting(
        (),
        WebHosts(),
        label="Pictures from this network",
        explanation="From where a program's addresses of pictures may be fetched beside the "
        "public web, such as nas.lan or 192.168.1.0/24.",
    )
    keep_alive_seconds: float = setting(
        5 * _MINUTE,
        Seconds(),
        label="Keep a model in memory",
        explanation="For this long after its last answer.",
        choices=(
            ("1 minute", _MINUTE),
            ("5 minutes", 5 * _MINUTE),
            ("30 minutes", 30 * _MINUTE),
            ("2 hours", 120 * _MINUTE),
            ("Until it is unloaded", math.inf),
        ),
        unit="seconds",
    )
    context_length: int | None = setting(
        None,
        Tokens(),
        label="Context length",
        explanation="How much of a chat a model can have in mind, from when it is loaded next. "
        "More takes more memory.",
        choices=(
            ("By model and free memory", None),
            ("4,096 tokens", 4096),
            ("8,192 tokens", 8192),
            ("16,384 tokens", 16384),
            ("32,768 tokens", 32768),
            ("65,536 tokens", 65536),
            ("131,072 tokens", 131072),
        ),
        unit="tokens",
    )
    disk_cache_bytes: int | None = setting(
        None,
        Bytes(),
        label="Remember prompts on the disk",
        explanation="What a model has read it need not read again after a restart. Some of every "
        "disk stays free; 'ingle cache' shows what is there.",
        choices=(
            ("By the room that is free", None),
            ("Never", 0),
            ("Up to 5 GB", 5 * 10**9),
            ("Up to 20 GB", 20 * 10**9),
            ("Up to 100 GB", 100 * 10**9),
        ),
    )
    model: str = setting(
        "", Word(optional=True), explanation="The model that was chosen last in the window."
    )

    @classmethod
    def load(cls, home: Path) -> "Settings":
        """Read what was saved. What cannot be understood keeps its default.

        A file that is not even JSON is set aside as ``settings.json.broken``.
        """
        path = home / _FILE
        try:
            return _understood(_read(path))
        except OSError as error:
            log.warning("The settings could not be read: %s", error)
        except (ValueError, RecursionError):
            _set_aside(path)
        return cls()

    def save(self, home: Path, keys: Iterable[str] | None = None) -> None:
        """Write some settings, or all, and leave whatever else is in the file as it is.

        Raises OSError.
        """
        path = home / _FILE
        saved: dict[str, object] = {"version": VERSION}
        try:
            saved |= _read(path)
        except (ValueError, RecursionError):
            _set_aside(path)
        for key in keys or TABLE:
            saved[key] = TABLE[key].kind.write(getattr(self, key))
        atomic.write(path, f"{json.dumps(saved, indent=2)}\n".encode())


TABLE = settings_of(Settings)


@dataclass(frozen=True, slots=True)
class Reread:
    changes: int  # that had been made when it was asked for
    settings: Settings | None  # None: the file cannot be understood, perhaps not yet


class SettingsFile:
    """The settings in force.

    A change holds at once, and whoever watches hears of it before ``change`` returns. The
    disk has it a moment later: a thread of its own writes, so that nobody waits for it.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.value = Settings.load(home)
        self._changes = 0
        self._watchers: list[Callable[[Settings, Settings], object]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="settings")

    def watch(self, changed: Callable[[Settings, Settings], object]) -> None:
        """Call this at each change, with what was and what is."""
        self._watchers.append(changed)

    def change(self, **changes: Any) -> None:  # noqa: ANN401 - dataclasses.replace checks the names
        """Where the disk will not take it, a change holds until the program ends."""
        was, now = self.value, replace(self.value, **changes)
        keys = [key for key in changes if getattr(was, key) != getattr(now, key)]
        if not keys:
            return
        self._thread.submit(self._save, now, keys)
        self._set(now)

    def reread(self) -> Future[Reread]:
        """Look at the file again, once all is written: the command may have changed it."""
        changes = self._changes
        return self._thread.submit(lambda: Reread(changes, _read_gently(self.home / _FILE)))

    def take(self, reread: Reread) -> None:
        """Let what was read hold. It is passed over where a change has come after it."""
        now = reread.settings
        if now and now != self.value and reread.changes == self._changes:
            self._set(now)

    def close(self) -> None:
        """Wait for what is still to be written."""
        self._thread.shutdown()

    def _set(self, now: Settings) -> None:
        was, self.value = self.value, now
        self._changes += 1
        for changed in list(self._watchers):
            changed(was, now)

    def _save(self, settings: Settings, keys: list[str]) -> None:
        try:
            settings.save(self.home, keys)
        except OSError as error:
            log.warning("The settings could not be saved: %s", error)


def _read(path: Path) -> dict[str, object]:
    """Raises OSError, ValueError, RecursionError."""
    try:
        saved: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return cast("dict[str, object]", saved) if isinstance(saved, dict) else {}


def _read_gently(path: Path) -> Settings | None:
    """Somebody may be writing it, letter by letter: nothing is set aside."""
    try:
        return _understood(_read(path))
    except (OSError, ValueError, RecursionError):
        return None


def _understood(saved: dict[str, object]) -> Settings:
    values: dict[str, Any] = {}
    for key, value in saved.items():
        if about := TABLE.get(key):  # else a newer version's
            try:
                values[key] = about.kind.read(value)
            except (ValueError, OverflowError) as error:
                log.warning("In the settings %s is not understood: %s", key, error)
    return Settings(**values)


def _set_aside(path: Path) -> None:
    aside = path.with_name(f"{_FILE}.broken")
    try:
        os.replace(path, aside)
    except OSError as error:
        log.warning("The settings could not be understood, nor set aside: %s", error)
    else:
        log.warning("The settings could not be understood; they are kept in %s", aside)
