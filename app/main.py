"""The way into the desktop program, and out of it again where there is no screen."""

import logging
import sys

from app.screen import why_no_window


def main() -> int:
    """Open the window; return when the program is to end.

    Qt is not touched before it is known that there is a screen: a server may lack the
    libraries that it needs.
    """
    if reason := why_no_window():
        from app.cli import main as command  # noqa: PLC0415

        print(f"{reason}, so Inglenook serves its local API only.", flush=True)
        return command(["serve"])
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    from app.program import run  # noqa: PLC0415

    return run()


if __name__ == "__main__":
    sys.exit(main())
