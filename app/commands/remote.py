"""``ingle ps`` and ``ingle stop``: what a running server has in memory."""

import json
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from typing import Any, cast
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from app.commands import CommandFailed, text
from app.settings import Settings
from models import paths

_SECONDS = 10.0
_FOR_EVER = timedelta(days=365 * 100)
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def ps(port: int | None) -> int:
    answer = _ask("/api/ps", port)
    rows = [
        (
            str(model["name"]),
            text.size(model["size"]),
            f"{model.get('context_length', 0):,}",
            "loading" if model.get("loading") else str(model.get("in_flight", "")),
            _until(str(model["expires_at"])),
        )
        for model in answer["models"]
    ]
    print(text.table(("NAME", "SIZE", "CONTEXT", "RUNNING", "UNTIL"), rows))
    return 0


def stop(name: str, port: int | None) -> int:
    _ask("/api/generate", port, {"model": name, "keep_alive": 0})
    print(f"Stopped {name}.")
    return 0


def own_url(port: int | None) -> str:
    """Return where our own server answers, or would."""
    settings = Settings.load(paths.home())
    host = _EVERYWHERE.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port or settings.ports[0]}"


def fetch(url: str, body: dict[str, Any] | None = None, seconds: float = _SECONDS) -> object:
    """Ask a server on this computer; no proxy is asked for the way.

    Raises:
        OSError, HTTPException, ValueError: nobody answers, or not with JSON.
    """
    data = None if body is None else json.dumps(body).encode()
    opener = build_opener(ProxyHandler({}))
    with opener.open(Request(url, data), timeout=seconds) as response:
        return json.loads(response.read())


def _ask(path: str, port: int | None, body: dict[str, Any] | None = None) -> dict[str, Any]:
    url = own_url(port)
    try:
        return cast("dict[str, Any]", fetch(url + path, body))
    except HTTPError as error:
        with error:
            raise CommandFailed(_error_text(error.read()) or f"{url}: {error}") from None
    except URLError:
        raise CommandFailed(
            f"No server answers on {url}: start one with 'ingle serve', or open the window."
        ) from None
    except (OSError, HTTPException, ValueError):
        raise CommandFailed(f"What answers on {url} is not Inglenook.") from None


def _error_text(raw: bytes) -> str:
    try:
        return str(json.loads(raw)["error"])
    except (ValueError, KeyError, TypeError):
        return ""


def _until(raw: str) -> str:
    # The wire has nanoseconds, and Python reads microseconds.
    moment = datetime.fromisoformat(raw[:19]).replace(tzinfo=UTC)
    return "for ever" if moment - datetime.now(UTC) > _FOR_EVER else text.until(moment)
