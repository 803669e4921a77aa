"""Who may call: the Host check against DNS rebinding, and CORS for web pages.

The rules are Ollama's (envconfig/config.go, server/routes.go), so that what works
there works here, except that we check the Host on every interface, not on loopback alone.
"""

import re
import socket
from collections.abc import Iterable
from ipaddress import ip_address

from models.errors import InferenceError

# The header that every answer has, and no other program's.
SIGNATURE = "X-Inglenook-Version"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "User-Agent",
    "Accept",
    "X-Requested-With",
    "OpenAI-Beta",
    "x-stainless-arch",
    "x-stainless-async",
    "x-stainless-custom-poll-interval",
    "x-stainless-helper-method",
    "x-stainless-lang",
    "x-stainless-os",
    "x-stainless-package-version",
    "x-stainless-poll-helper",
    "x-stainless-retry-count",
    "x-stainless-runtime",
    "x-stainless-runtime-version",
    "x-stainless-timeout",
    # Ollama lacks these, and with them Anthropic's clients in a browser.
    "anthropic-beta",
    "anthropic-version",
    "x-api-key",
    "X-Inglenook-Strict",
)
PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Methods": ",".join(_METHODS),
    "Access-Control-Allow-Headers": ",".join(_REQUEST_HEADERS),
    "Access-Control-Max-Age": "43200",  # seconds
}

_LOCAL_SUFFIXES = (".localhost", ".local", ".internal")
_LOCAL_ORIGIN = re.compile(r"https?://(localhost|127\.0\.0\.1|0\.0\.0\.0)(:\d+)?")
_APP_ORIGINS = ("app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*")


class HostRefused(InferenceError):
    status_hint = 403

    def __init__(self, host: str) -> None:
        super().__init__(
            f"The host name {host[:80]!r} is not allowed here: if it is a name of this computer, "
            "add it to Inglenook's allowed hosts, or to the variable INGLENOOK_HOSTS."
        )


class HostCheck:
    """A page of the web can make its own name mean 127.0.0.1, but not ours, nor a number.

    ``bound`` is what the person chose to listen on, which may be a name; ``more`` are
    further names of this computer, in which ``*`` is anything.
    """

    def __init__(self, bound: str, more: Iterable[str] = ()) -> None:
        self._names = {"", "localhost", socket.gethostname().lower(), bound.lower()}
        self._patterns = _patterns(more)

    def allows(self, header: str, *, arrived_at: str) -> bool:
        """Whether a Host header may pass; ``arrived_at`` is the address that was called."""
        name = _without_port(header.strip().lower())
        if name in self._names or name.endswith(_LOCAL_SUFFIXES):
            return True
        if any(pattern.fullmatch(name) for pattern in self._patterns):
            return True
        try:
            address = ip_address(name)
        except ValueError:
            return False
        own = name == arrived_at.lower()
        return own or address.is_loopback or address.is_private or address.is_unspecified


class Origins:
    """The web pages and apps that may call: local ones, and ``more``, where ``*`` is anything."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        self._patterns = _patterns((*_APP_ORIGINS, *more))

    def allow(self, origin: str, *, host: str) -> bool:
        """``host`` is the Host header: a page that we served ourselves has it for an origin."""
        origin = origin.strip().lower()
        if origin in (f"http://{host.lower()}", f"https://{host.lower()}"):
            return True
        if _LOCAL_ORIGIN.fullmatch(origin):
            return True
        return any(pattern.fullmatch(origin) for pattern in self._patterns)


def _patterns(texts: Iterable[str]) -> list[re.Pattern[str]]:
    """Where ``*`` is anything. Empty texts are nothing."""
    patterns = [each.strip().lower() for each in texts if each.strip()]
    return [re.compile(re.escape(each).replace(r"\*", ".*")) for each in patterns]


def _without_port(host: str) -> str:
    if host.startswith("["):  # [::1]:11434
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0]
