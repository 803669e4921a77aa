"""The way into the desktop program, and out of it again where there is no screen."""

import logging
import os
import sys


def main() -> int:
    """Open the window; return when the program is to end.

    Qt is not touched before it is known that there is a screen: a server may lack the
    libraries that it needs.
    """
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    if _has_no_screen():
        from app.cli import main as command  # noqa: PLC0415

        print("There is no screen here, so Inglenook serves its local API only.", flush=True)
        return command(["serve"])
    from app.program import run  # noqa: PLC0415

    return run()


def _has_no_screen() -> bool:
    names = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    return sys.platform == "linux" and not any(os.environ.get(name) for name in names)


if __name__ == "__main__":
    sys.exit(main())
