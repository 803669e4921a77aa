"""The proxies that the environment names, in words that our HTTP client knows."""

import os

_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")


def variables() -> list[str]:
    """Return the names of the variables that name a proxy, as they are spelled there."""
    return [name for name, value in os.environ.items() if name.lower() in _VARIABLES and value]


def translate_socks() -> None:
    """Write ``socks5://`` where a desktop has written ``socks://``, which httpx2 refuses.

    In the environment of this process, as it is read by more than one library.
    """
    for name in variables():
        scheme, separator, rest = os.environ[name].partition("://")
        if separator and scheme.lower() == "socks":
            os.environ[name] = f"socks5://{rest}"
