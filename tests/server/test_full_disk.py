"""A disk that is really full: a small file system of its own, which only the server sees."""

import http.client
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import hub_server
from tests.conftest import REPOSITORY
from tests.gguf_bytes import TINY, gguf_bytes
from tests.hub_server import FakeHub
from tests.server.conftest import HOST

MIB = 1 << 20
_MOUNT = 'mount -t tmpfs -o size=4m none "$1" && shift && exec "$@"'
_ALONE = ("unshare", "--map-root-user", "--mount", "sh", "-c")


def model_of(mib: int) -> bytes:
    return gguf_bytes(TINY, shape=(mib * MIB // 4,), data=bytes(mib * MIB))


def may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = [*_ALONE, "mount -t tmpfs none /mnt"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not may_mount(), reason="no file system can be mounted here")


class Small:
    """A server whose home is a disk of four megabytes."""

    def __init__(self, port: int, home: Path) -> None:
        self.port = port
        self.home = home  # as it is seen from here

    def ask(self, method: str, path: str, body: Any) -> tuple[int, bytes]:
        """A body that comes piece by piece is sent without saying how long it is."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=20)
        connection.request(method, path, json.dumps(body) if isinstance(body, dict) else body)
        answer = connection.getresponse()
        said = answer.status, answer.read()
        connection.close()
        return said

    def fill(self) -> Path:
        """Write until nothing more fits."""
        path = self.home / "filler"
        with path.open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
            while True:
                filler.write(bytes(4096))
        return path

    def files(self) -> list[Path]:
        return [each for each in self.home.rglob("*") if each.is_file()]


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeHub]:
    with hub_server.running(FakeHub()) as hub:
        yield hub


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, hub: FakeHub) -> Iterator[Small]:
    disk = tmp_path_factory.mktemp("disk")
    serve = [sys.executable, "-m", "tests.server.served", str(disk)]
    with subprocess.Popen(
        [*_ALONE, _MOUNT, "sh", str(disk), *serve],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        env=os.environ | {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
    ) as process:
        assert process.stdout and process.stdin
        port = int(process.stdout.readline())
        yield Small(port, Path(f"/proc/{process.pid}/root{disk}"))
        process.stdin.close()


def test_a_file_that_is_sent(small: Small):
    pieces = (bytes(MIB) for _ in range(8))

    status, said = small.ask("POST", f"/api/blobs/sha256:{'1' * 64}", pieces)

    assert (status, json.loads(said)["error"][:26]) == (507, "The disk has become full, ")
    assert small.files() == [], "half of it is in nobody's way"


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_is_made(small: Small, stream: bool):
    filler = small.fill()
    made = {"model": f"made-{stream}", "from": "pocket", "stream": stream}

    status, said = small.ask("POST", "/api/create", made)

    *_, last = map(json.loads, said.splitlines())
    assert status == (200 if stream else 507)
    assert last["error"].startswith("The disk has become full")
    filler.unlink()
    assert small.ask("POST", "/api/show", made)[0] == 404
    assert small.ask("POST", "/api/create", made)[0] == 200


def test_a_model_that_is_pulled(small: Small, hub: FakeHub):
    hub.repos["org/large"] = {"large-Q8_0.gguf": model_of(8)}
    hub.repos["org/fits"] = {"fits-Q8_0.gguf": model_of(2)}
    hub.stall_after = MIB

    status, said = small.ask("POST", "/api/pull", {"model": "org/large", "stream": False})
    assert (status, json.loads(said)["error"][:24]) == (507, "The disk is too full: th")

    # There was room when it was asked for; another program takes it meanwhile.
    connection = http.client.HTTPConnection(HOST, small.port, timeout=20)
    connection.request("POST", "/api/pull", json.dumps({"model": "org/fits", "stream": False}))
    assert hub.stalled.wait(20)
    filler = small.fill()
    hub.stall_after = None
    hub.go_on.set()
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["error"][:24]) == (
        507,
        "The disk has become full",
    )
    connection.close()

    filler.unlink()
    assert small.ask("POST", "/api/pull", {"model": "org/fits", "stream": False})[0] == 200
