"""``ingle settings``: what is set, one setting, or another value for it."""

from app.commands import CommandFailed
from app.setting_kinds import Setting
from app.settings import TABLE, Settings
from models import paths


def show_all() -> int:
    settings = Settings.load(paths.home())
    width = max(map(len, TABLE)) + 2
    for key, about in TABLE.items():
        print(f"{key:<{width}}{about.words(getattr(settings, key))}")
        print(f"{'':<{width}}{about.explanation}")
    return 0


def show(key: str) -> int:
    """Print one value as ``change`` would take it."""
    print(_find(key).kind.show(getattr(Settings.load(paths.home()), key)))
    return 0


def change(key: str, typed: str) -> int:
    about = _find(key)
    try:
        value = about.kind.parse(typed)
    except ValueError as error:
        raise CommandFailed(f"{key}: {error}") from None
    Settings(**{key: value}).save(paths.home(), [key])
    print(f"{key} is {about.words(value)} now. An open window takes it up, a server at its start.")
    return 0


def _find(key: str) -> Setting:
    if key not in TABLE:
        raise CommandFailed(f"There is no setting {key!r}: 'ingle settings' lists them.")
    return TABLE[key]
