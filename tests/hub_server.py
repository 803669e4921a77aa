"""A hub of our own: enough of Hugging Face's for its real client, with faults on command."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from tests.fake_http import FakeHandler, serving

REVISION = "a" * 40
_LARGE = (".gguf", ".safetensors", "tokenizer.json")
_PIECE_BYTES = 16 * 1024


@dataclass
class Request:
    """One that has content for an answer. It is known as soon as it comes."""

    path: str
    range: str | None
    sent_bytes: int = 0


@dataclass
class FakeHub:
    """Set what it has, and what is to go wrong, before or while it runs."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)  # repo: status, error code
    cut_after: list[int] = field(default_factory=list)  # bytes of the next large files, each once
    stall_after: int | None = None  # bytes of large files, until ``go_on`` is set
    damaged: set[str] = field(default_factory=set)  # files that are sent with a wrong byte
    requests: list[Request] = field(default_factory=list)
    stalled: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def downloads(self, name: str) -> list[Request]:
        """The answers that had content of this file in them."""
        return [each for each in self.requests if each.path.endswith(f"/cdn/{name}")]


@contextmanager
def running(hub: FakeHub) -> Iterator[FakeHub]:
    with serving(hub, _Handler) as host:
        hub.url = f"http://{host}"
        yield hub


class _Handler(FakeHandler):
    fake: FakeHub

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        match parts:
            case ["api", "models"]:
                self._search(parse_qs(url.query))
            case ["api", "models", organisation, name]:
                self._info(f"{organisation}/{name}")
            case [organisation, name, "resolve", revision, *path] if revision == REVISION:
                self._resolve(f"{organisation}/{name}", "/".join(path))
            case [organisation, name, "cdn", *path]:
                self._content(f"{organisation}/{name}", "/".join(path))
            case _:
                self.answer(HTTPStatus.NOT_FOUND)

    def _search(self, query: dict[str, list[str]]) -> None:
        wanted = query.get("search", [""])[0].lower()
        kind = query.get("filter", [""])[0]
        found = [
            {"id": repo, "downloads": 7, "likes": 3, "safetensors": _safetensors(files)}
            for repo, files in self.fake.repos.items()
            if wanted in repo.lower() and kind == _kind(files)
        ]
        self._json(found[: int(query.get("limit", ["100"])[0])])

    def _info(self, repo: str) -> None:
        if repo not in self.fake.repos:
            self.answer(HTTPStatus.NOT_FOUND, X_Error_Code="RepoNotFound")
            return
        if repo in self.fake.refusals and "Gated" not in self.fake.refusals[repo][1]:
            self._refuse(repo)
            return
        siblings = [_sibling(name, data) for name, data in self.fake.repos[repo].items()]
        self._json({"id": repo, "sha": REVISION, "siblings": siblings})

    def _resolve(self, repo: str, path: str) -> None:
        if repo in self.fake.refusals:
            self._refuse(repo)
        elif path not in self.fake.repos.get(repo, {}):
            self.answer(HTTPStatus.NOT_FOUND, X_Error_Code="EntryNotFound")
        else:  # as the real one, which keeps large files elsewhere
            self.answer(HTTPStatus.FOUND, Location=f"{self.fake.url}/{repo}/cdn/{path}")

    def _content(self, repo: str, path: str) -> None:
        data = self.fake.repos[repo][path]
        if path in self.fake.damaged:
            data = data[:-1] + bytes([data[-1] ^ 1])
        range_header = self.headers.get("Range")
        start = int(range_header.removeprefix("bytes=").rstrip("-")) if range_header else 0
        self.send_response(HTTPStatus.PARTIAL_CONTENT if range_header else HTTPStatus.OK)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        answered = Request(self.path, range_header)
        self.fake.requests.append(answered)
        self._send(data[start:], answered, large=path.endswith(_LARGE))

    def _send(self, data: bytes, answered: Request, *, large: bool) -> None:
        end = self.fake.cut_after.pop(0) if large and self.fake.cut_after else len(data)
        while (sent := answered.sent_bytes) < min(end, len(data)):
            stall = self.fake.stall_after if large and not self.fake.go_on.is_set() else None
            piece = data[sent : min(end, sent + _PIECE_BYTES)]
            if stall is not None and sent + len(piece) > stall:
                self.fake.stalled.set()
                self.fake.go_on.wait()
            answered.sent_bytes += len(piece)
            try:
                self.wfile.write(piece)
            except OSError:  # the client has hung up
                answered.sent_bytes -= len(piece)
                return

    def _refuse(self, repo: str) -> None:
        status, code = self.fake.refusals[repo]
        self.answer(status, b"", **({"X_Error_Code": code} if code else {}))

    def _json(self, value: object) -> None:
        self.answer(HTTPStatus.OK, json.dumps(value).encode(), Content_Type="application/json")


def _sibling(name: str, data: bytes) -> dict[str, object]:
    blob = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
    sibling: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": blob}
    if name.endswith(_LARGE):
        sha256 = hashlib.sha256(data).hexdigest()
        sibling["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 134}
    return sibling


def _kind(files: dict[str, bytes]) -> str:
    return "gguf" if any(name.endswith(".gguf") for name in files) else "mlx"


def _safetensors(files: dict[str, bytes]) -> dict[str, object] | None:
    if _kind(files) == "gguf":
        return None
    return {"parameters": {"F16": 970_368}, "total": 970_368}
