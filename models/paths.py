"""Where on this computer the program keeps what it writes, and finds what it ships."""

import os
from pathlib import Path

import platformdirs


def home() -> Path:
    """Return the folder under which everything we write lies. It may not exist yet.

    ``INGLENOOK_HOME`` where it is set, else the place the platform has for such things.
    """
    chosen = os.environ.get("INGLENOOK_HOME")
    if chosen:
        return Path(os.path.abspath(Path(chosen).expanduser()))
    return platformdirs.user_data_path("Inglenook", appauthor=False)
