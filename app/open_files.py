"""How many files and connections the program may have open at a time."""

import sys

_MOST = 10_240  # that a Mac lets a program ask for (OPEN_MAX in its sys/syslimits.h)


def raise_limit() -> None:
    """Have as many as the system allows. A Mac gives a program 256 that it opens by a click.

    Harmless twice, and where there is no such limit.
    """
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 (not on Windows)

    now, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST if highest == resource.RLIM_INFINITY else min(_MOST, highest)
    if now != resource.RLIM_INFINITY and now < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, highest))
