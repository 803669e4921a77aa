"""A registry of our own, as the protocol has it: it keeps what comes and checks every digest."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fake_http import FakeHandler, serving

_PIECE_BYTES = 64 << 10


@dataclass
class FakeRegistry:
    """Set what is to go wrong before or while it runs."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, Any] = field(default_factory=dict)  # by repository and tag
    uploads: dict[str, bytearray] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)  # methods and paths
    refusal: tuple[int, str] | None = None  # of every upload: status and message
    cut_after: list[int] = field(default_factory=list)  # bytes of the next parts, each once
    stall_after: int | None = None  # bytes of a part, until ``go_on`` is set
    stalled: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    forgets: bool = False  # it knows no upload whose connection was cut
    host: str = ""

    def text(self, digest: str) -> str:
        return self.blobs[digest].decode()


@contextmanager
def running(registry: FakeRegistry) -> Iterator[FakeRegistry]:
    with serving(registry, _Handler) as registry.host:
        yield registry


class _Handler(FakeHandler):
    fake: FakeRegistry

    def do_HEAD(self) -> None:
        digest = self._path().rpartition("/")[2]
        found = digest in self.fake.blobs
        self._answer(HTTPStatus.OK if found else HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        repository = re.fullmatch(r"/v2/(.+)/blobs/uploads/", self._path())
        if repository is None:
            self._answer(HTTPStatus.NOT_FOUND)
            return
        if self.fake.refusal:
            status, message = self.fake.refusal
            self._answer(status, {"errors": [{"code": "DENIED", "message": message}]})
            return
        id = f"upload-{len(self.fake.uploads)}"
        self.fake.uploads[id] = bytearray()
        self._answer(HTTPStatus.ACCEPTED, location=f"/v2/{repository[1]}/blobs/uploads/{id}?a=b")

    def do_PATCH(self) -> None:
        upload = self._upload()
        first, _, last = self.headers["Content-Range"].partition("-")
        length = int(self.headers["Content-Length"])
        assert int(last) - int(first) + 1 == length
        if upload is None or int(first) != len(upload):
            self._answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            return
        most = self.fake.cut_after.pop(0) if self.fake.cut_after else length
        while (left := length - (len(upload) - int(first))) and len(upload) - int(first) < most:
            if self.fake.stall_after is not None and len(upload) >= self.fake.stall_after:
                self.fake.stalled.set()
                self.fake.go_on.wait(20)
            piece = self.rfile.read(min(_PIECE_BYTES, left))
            if not piece:  # the client has hung up
                return
            upload += piece
        if left:
            if self.fake.forgets:
                self.fake.uploads.clear()
            self.connection.close()
            return
        self._answer(HTTPStatus.ACCEPTED, location=self.path)

    def do_GET(self) -> None:
        upload = self._upload()
        if upload is None:
            self._answer(HTTPStatus.NOT_FOUND)
        else:
            there = f"0-{max(0, len(upload) - 1)}"
            self._answer(HTTPStatus.NO_CONTENT, location=self.path, range=there)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if manifest := re.fullmatch(r"/v2/(.+)/manifests/(.+)", self._path()):
            self._keep_manifest(":".join(manifest.groups()), json.loads(body))
            return
        upload = self._upload()
        [digest] = parse_qs(urlsplit(self.path).query)["digest"]
        if upload is None or digest != f"sha256:{hashlib.sha256(upload).hexdigest()}":
            wrong = {"errors": [{"code": "DIGEST_INVALID", "message": "digest did not match"}]}
            self._answer(HTTPStatus.BAD_REQUEST, wrong)
            return
        self.fake.blobs[digest] = bytes(upload)
        self._answer(HTTPStatus.CREATED)

    def _keep_manifest(self, name: str, manifest: Any) -> None:
        assert self.headers["Content-Type"] == manifest["mediaType"]
        for each in (manifest["config"], *manifest["layers"]):
            assert len(self.fake.blobs[each["digest"]]) == each["size"], "nothing is promised"
        self.fake.manifests[name] = manifest
        self._answer(HTTPStatus.CREATED)

    def _upload(self) -> bytearray | None:
        return self.fake.uploads.get(self._path().rpartition("/")[2])

    def _path(self) -> str:
        path = urlsplit(self.path).path
        self.fake.asked.append(f"{self.command} {path}")
        return path

    def _answer(self, status: int, body: object = None, **headers: str) -> None:
        self.answer(status, b"" if body is None else json.dumps(body).encode(), **headers)
