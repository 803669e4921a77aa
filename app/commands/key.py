"""``ingle key``: the API keys, with which programs may use the local API."""

from datetime import datetime

from app.commands import text
from models import paths
from server.keys import Keys


def add(name: str) -> int:
    """The key alone goes to stdout: ``KEY=$(ingle key add laptop)``."""
    print(Keys(paths.home()).add(name))
    return 0


def list_all() -> int:
    rows = [
        (each.name, text.ago(datetime.fromisoformat(each.created_at)))
        for each in Keys(paths.home()).all()
    ]
    print(text.table(("NAME", "ADDED"), rows))
    return 0


def remove(name: str) -> int:
    Keys(paths.home()).remove(name)
    print(f"Removed {name}: from now on it is refused.")
    return 0
