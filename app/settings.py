"""What a person has set, kept in one small file that a person can read."""

import json
import logging
import math
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

log = logging.getLogger(__name__)

ThemeChoice: TypeAlias = Literal["system", "light", "dark"]

LOG_FILE = "inglenook.log"  # lies beside the settings
VERSION = 1
_FILE = "settings.json"
_FOR_EVER = -1  # JSON has no infinity; this is Ollama's word for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    host: str = "127.0.0.1"
    ports: tuple[int, ...] = (11434,)  # the API answers on each of them
    api_enabled: bool = True
    keep_alive_seconds: float = 300.0  # math.inf: models stay in memory
    context_length: int | None = None  # tokens; None: by model and free memory
    theme: ThemeChoice = "system"
    model: str = ""  # the one chosen last in the window

    @classmethod
    def load(cls, home: Path) -> "Settings":
        """Read what was saved. What cannot be understood keeps its default.

        A file that is not even JSON is set aside as ``settings.json.broken``.
        """
        path = home / _FILE
        try:
            saved: object = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except OSError as error:
            log.warning("The settings could not be read: %s", error)
            return cls()
        except ValueError:
            aside = path.with_name(f"{_FILE}.broken")
            os.replace(path, aside)
            log.warning("The settings could not be understood; they are kept in %s", aside)
            return cls()
        return _understood(cls(), saved)

    def save(self, home: Path) -> None:
        """Replace the file whole: a crash leaves the old settings or the new ones.

        Raises OSError.
        """
        home.mkdir(parents=True, exist_ok=True)
        saved: dict[str, object] = {"version": VERSION}
        saved |= {field.name: getattr(self, field.name) for field in fields(self)}
        if math.isinf(self.keep_alive_seconds):
            saved["keep_alive_seconds"] = _FOR_EVER
        new = home / f"{_FILE}.new"
        new.write_text(json.dumps(saved, indent=2) + "\n", encoding="utf-8")
        os.replace(new, home / _FILE)


class SettingsFile:
    """The settings in force. Each change is on the disk before ``change`` returns."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.value = Settings.load(home)

    def change(self, **changes: Any) -> None:  # noqa: ANN401 - dataclasses.replace checks the names
        """Where the disk will not take it, a change holds until the program ends."""
        changed = replace(self.value, **changes)
        if changed == self.value:
            return
        self.value = changed
        try:
            changed.save(self.home)
        except OSError as error:
            log.warning("The settings could not be saved: %s", error)


def _understood(defaults: Settings, saved: object) -> Settings:
    if not isinstance(saved, dict):
        return defaults
    values: dict[str, Any] = {}
    for name, value in cast("dict[str, object]", saved).items():
        match name, value:
            case ("host", str()) | ("model", str()) if value or name == "model":
                values[name] = value
            case "api_enabled", bool():
                values[name] = value
            case "theme", "system" | "light" | "dark":
                values[name] = value
            case "ports", list():
                ports = [port for port in cast("list[object]", value) if _is_port(port)]
                if ports:
                    values[name] = tuple(ports)
            case "keep_alive_seconds", int() | float() if not isinstance(value, bool):
                values[name] = math.inf if value < 0 else float(value)
            case "context_length", int() if not isinstance(value, bool) and value > 0:
                values[name] = value
            case _:
                pass  # a newer version's, or a hand's mistake
    return replace(defaults, **values)


def _is_port(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 16
