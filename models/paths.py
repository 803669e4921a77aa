"""Where on this computer the program keeps what it writes, and finds what it ships."""

import os
from pathlib import Path

import platformdirs

from models.errors import InvalidRequest


def home() -> Path:
    """Return the folder under which everything we write lies. It may not exist yet.

    ``INGLENOOK_HOME`` where it is set, else the place the platform has for such things.

    Raises InvalidRequest where its name is not UTF-8: llama.cpp could open nothing there.
    """
    chosen = os.environ.get("INGLENOOK_HOME")
    if chosen:
        folder = Path(os.path.abspath(Path(chosen).expanduser()))
    else:
        folder = platformdirs.user_data_path("Inglenook", appauthor=False)
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise InvalidRequest(
            f"Nothing can be kept in {str(folder)!r}, whose name is not UTF-8: "
            "set INGLENOOK_HOME to another folder."
        ) from None
    return folder
