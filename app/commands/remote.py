"""``ingle ps`` and ``ingle stop``: what a running server has in memory."""

import json
import os
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse, InvalidURL
from typing import Any, cast
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from app import words
from app.commands import CommandFailed, text
from app.settings import Settings
from models import paths
from server.security import SIGNATURE

_SECONDS = 10.0
_KNOCK_SECONDS = 2.0
_FOR_EVER = timedelta(days=365 * 100)
_PS_HEADINGS = ("NAME", "SIZE", "CONTEXT", "RUNNING", "SPEED", "CACHED", "UNTIL")
_DRAFTS_HEADING = "DRAFTS"  # which few models have


def ps(host: str | None, port: int | None) -> int:
    answer = _ask(server_urls(host, port)[0], "/api/ps")
    rows = [
        (
            str(model["name"]),
            words.size(model["size"]),
            f"{model.get('context_length', 0):,}",
            _running(model),
            _speed(model),
            _cached(model),
            _until(str(model["expires_at"])),
        )
        for model in answer["models"]
    ]
    drafts = [_drafts(model) for model in answer["models"]]
    if any(drafts):
        rows = [(*row, each) for row, each in zip(rows, drafts, strict=True)]
        print(text.table((*_PS_HEADINGS, _DRAFTS_HEADING), rows))
    else:
        print(text.table(_PS_HEADINGS, rows))
    return 0


def stop(name: str, host: str | None, port: int | None) -> int:
    """Only the server knows what it has loaded: the name is not looked up here."""
    _ask(server_urls(host, port)[0], "/api/generate", {"model": name, "keep_alive": 0})
    print(f"Stopped {name}.")
    return 0


def unload(name: str, host: str | None, port: int | None) -> None:
    """Have our servers let a model go; harmless where none runs, or where it is not loaded."""
    for url in server_urls(host, port):
        if answers(url):
            try:
                fetch(f"{url}/api/generate", {"model": name, "keep_alive": 0})
            except HTTPError as error:  # it has no such model
                error.close()
            except (OSError, HTTPException, ValueError):
                pass  # it has just ended


def server_urls(host: str | None, port: int | None) -> list[str]:
    """Return where our own server answers, or would: by default as it is set."""
    settings = Settings.load(paths.home())
    host = (host or settings.host).removeprefix("[").removesuffix("]")
    ports = (port,) if port else settings.ports
    return [f"http://{words.own_address(host, each)}" for each in ports]


def answers(url: str) -> bool:
    """Whether Inglenook is there, and not another program."""
    try:
        with _open(f"{url}/health", seconds=_KNOCK_SECONDS) as response:
            return SIGNATURE in response.headers
    except HTTPError as error:
        with error:
            return SIGNATURE in error.headers  # it is there, and says what is wrong with it
    except (OSError, HTTPException, ValueError):
        return False


def fetch(url: str, body: dict[str, Any] | None = None, seconds: float = _SECONDS) -> object:
    """Ask a server on this computer; no proxy is asked for the way.

    Where it needs an API key, that is in ``INGLENOOK_API_KEY``.

    Raises:
        HTTPError: it says no. Close it.
        OSError, HTTPException, ValueError: nobody answers, or not with JSON.
    """
    with _open(url, body, seconds) as response:
        return json.loads(response.read())


def _open(
    url: str, body: dict[str, Any] | None = None, seconds: float = _SECONDS
) -> AbstractContextManager[HTTPResponse]:
    data = None if body is None else json.dumps(body).encode()
    opener = build_opener(ProxyHandler({}))
    key = os.environ.get("INGLENOOK_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return opener.open(Request(url, data, headers), timeout=seconds)


def _ask(url: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", fetch(url + path, body))
    except HTTPError as error:
        with error:
            if error.code == HTTPStatus.UNAUTHORIZED:
                raise CommandFailed(
                    f"{url} needs an API key: set the variable INGLENOOK_API_KEY to one that "
                    "'ingle key add NAME' has made there."
                ) from None
            raise CommandFailed(_error_text(error.read()) or f"{url}: {error}") from None
    except (InvalidURL, UnicodeError):
        raise CommandFailed(f"{url} cannot be an address: give a name or a number.") from None
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


# What is Inglenook's own in /api/ps may be missing: another program may answer there.


def _running(model: dict[str, Any]) -> str:
    if model.get("loading"):
        share = model.get("loaded_share", 0)
        return f"loading {share:.0%}" if share else "loading"
    queued = model.get("queued", 0)
    return str(model.get("in_flight", "")) + (f", {queued} waiting" if queued else "")


def _speed(model: dict[str, Any]) -> str:
    tokens_per_second = model.get("tokens_per_second", 0)
    return words.speed(tokens_per_second) if tokens_per_second else ""


def _cached(model: dict[str, Any]) -> str:
    """How much of all prompts had not to be read, and what is kept for that."""
    prompt_tokens = model.get("prompt_tokens", 0)
    share = f"{model.get('cached_tokens', 0) / prompt_tokens:.0%}" if prompt_tokens else ""
    kept = model.get("prompt_cache", {}).get("size", 0)
    return f"{share} in {words.size(kept)}" if kept else share


def _drafts(model: dict[str, Any]) -> str:
    """How many of the drafted tokens were right; "" where none are set."""
    drafts = model.get("drafts", {})
    if drafts.get("given_up"):
        return "given up"
    drafted = drafts.get("drafted", 0)
    share = (
        f"{drafts.get('accepted', 0) / drafted:.0%} of {drafted:,} right" if drafted else "none yet"
    )
    return share if drafts.get("by") else ""


def _until(raw: str) -> str:
    # The wire has nanoseconds, and Python reads microseconds.
    moment = datetime.fromisoformat(raw[:19]).replace(tzinfo=UTC)
    return "for ever" if moment - datetime.now(UTC) > _FOR_EVER else text.until(moment)
