"""Files that are sent are there whole under their digest, or not at all."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from models.blobs import Blobs, sha256_in
from models.errors import DiskFull, InvalidRequest

TEXT = b"a model" * 1000
SHA256 = hashlib.sha256(TEXT).hexdigest()
OTHER = "0" * 64


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs", tmp_path / "files")


def send(blobs: Blobs, sha256: str = SHA256) -> None:
    with blobs.upload(sha256, len(TEXT)) as upload:
        upload.write(TEXT[:100])
        upload.write(TEXT[100:])
        upload.finish()


def test_a_file_is_found_by_its_digest(blobs: Blobs):
    assert blobs.find(SHA256) is None

    send(blobs)

    found = blobs.find(SHA256)
    assert found and found.read_bytes() == TEXT
    blobs.drop(SHA256)
    blobs.drop(SHA256)
    assert blobs.find(SHA256) is None


def test_another_file_than_was_said_is_refused_and_known_by_what_it_is(blobs: Blobs):
    with pytest.raises(InvalidRequest) as caught:
        send(blobs, OTHER)

    assert str(caught.value) == (
        f'digest mismatch, expected "sha256:{OTHER}", got "sha256:{SHA256}"'
    )
    assert blobs.find(OTHER) is None
    assert blobs.find(SHA256)


def test_half_a_file_leaves_nothing_behind(blobs: Blobs):
    with pytest.raises(KeyboardInterrupt), blobs.upload(SHA256, 0) as upload:
        upload.write(TEXT[:100])
        raise KeyboardInterrupt

    assert list(blobs.folder.iterdir()) == []


def test_more_than_the_disk_has_room_for_is_refused_at_once(blobs: Blobs):
    with pytest.raises(DiskFull), blobs.upload(SHA256, 1 << 60):
        pass


def test_what_nobody_has_made_a_model_of_goes_after_a_while(blobs: Blobs):
    send(blobs)
    blobs.sweep(100.0)
    assert blobs.find(SHA256)

    long_ago = time.time() - 1000
    os.utime(blobs.folder / f"sha256-{SHA256}", (long_ago, long_ago))
    blobs.sweep(100.0)

    assert blobs.find(SHA256) is None


@pytest.mark.parametrize("digest", [f"sha256:{SHA256.upper()}", f"sha256-{SHA256}"])
def test_how_a_digest_may_be_written(digest: str):
    assert sha256_in(digest) == SHA256


@pytest.mark.parametrize(
    "digest", ["", "xyz", SHA256, f"md5:{SHA256}", f"sha256:{SHA256}0", f"sha256:../{SHA256[3:]}"]
)
def test_what_is_no_digest(digest: str):
    with pytest.raises(InvalidRequest, match=r"^invalid digest format$"):
        sha256_in(digest)
