"""One remembered prompt on the disk: a folder with a header and a payload, and what checks them.

The payload is a file as an engine's library writes it. None of the libraries would notice a
flipped bit, or a file of another model of the same shape, and llama.cpp aborts on one that is
cut short. So nothing of it is shown to a library before ``Entry.is_whole`` has said yes.
"""

import base64
import hashlib
import json
import os
from array import array
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, cast

FORMAT = 1
HEADER = "header"
_TOKEN_BYTES = 4
_HEX_DIGITS = 64  # of a SHA-256
_BLOCK_BYTES = 16 << 20
# One core hashes slower than a disk reads.
_THREADS = 4


class PromptKind(StrEnum):
    """What the prompt ends with. Several chats may begin with one system prompt."""

    SYSTEM = "system"
    HISTORY = "history"
    TURN = "turn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose prompts they are: a model with its adapters, as one engine runs it.

    ``form`` is all else that has to be the same for a payload to be of use: versions, types,
    the chunks that a prompt is read in. What has another form is of no use to anybody.
    """

    engine: str
    model: str  # the digest of its weights
    name: str  # to be shown; not compared
    adapters: tuple[str, ...] = ()
    form: Mapping[str, str]

    @property
    def key(self) -> str:
        told = json.dumps((self.engine, self.model, self.adapters))
        return hashlib.sha256(told.encode()).hexdigest()[:16]


class Tokens:
    """A prompt as bytes, which are compared and kept faster than numbers."""

    def __init__(self, packed: bytes) -> None:
        self.packed = packed

    @classmethod
    def of(cls, tokens: Sequence[int]) -> "Tokens":
        return cls(array("I", tokens).tobytes())

    def __len__(self) -> int:
        return len(self.packed) // _TOKEN_BYTES

    def common(self, other: "Tokens") -> int:
        """Return how many tokens both begin with."""
        low, high = 0, min(len(self), len(other))
        while low < high:
            middle = (low + high + 1) // 2
            part = slice(low * _TOKEN_BYTES, middle * _TOKEN_BYTES)
            if self.packed[part] == other.packed[part]:
                low = middle
            else:
                high = middle - 1
        return low


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a payload holds."""

    kind: PromptKind
    tokens: Tokens
    cuttable: bool  # serves a prompt that has only its beginning in common, too
    file: str  # the payload's name, whose ending may tell a library what it is
    # How many of the first tokens were read as a cold run would: of use to a request with a seed.
    exact: int = 0

    @property
    def key(self) -> str:
        told = self.tokens.packed + self.exact.to_bytes(8, "little")
        return hashlib.sha256(told).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Entry:
    folder: Path
    note: Note
    size_bytes: int  # of the payload
    head: bytes  # the header without its digest
    digest: str  # of both

    @property
    def payload(self) -> Path:
        return self.folder / self.note.file

    def is_whole(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Whether header and payload are as they were written. Reads all of it, without the GIL."""
        try:
            if self.payload.stat().st_size != self.size_bytes:
                return False
            return digest_of(self.head, self.payload, stopped) == self.digest
        except OSError:
            return False


def spared(common: int, length: int, exact: int, grid: int | None, *, cuttable: bool) -> int:
    """Return how many tokens of a prompt need not be read that begins as a known one does.

    Args:
        common: with how many; ``length`` and ``exact``: of the known one, as in ``Note``.
        grid: only a multiple of so many, and only as a cold run would have it.
    """
    if grid:
        common = min(common, exact) // grid * grid
    return common if cuttable or common == length else 0


class Stopped(Exception):
    """Nobody waits for it any more."""


def write_header(folder: Path, owner: Owner, note: Note, stopped: Callable[[], bool]) -> Entry:
    """Write the header of a payload that is in ``folder`` already. Raises OSError, Stopped."""
    payload = folder / note.file
    size_bytes = payload.stat().st_size
    record = {
        "format": FORMAT,
        "engine": owner.engine,
        "model": owner.model,
        "name": owner.name,
        "adapters": owner.adapters,
        "form": dict(owner.form),
        "kind": note.kind,
        "tokens": base64.b64encode(note.tokens.packed).decode(),
        "cuttable": note.cuttable,
        "exact": note.exact,
        "file": note.file,
        "size_bytes": size_bytes,
    }
    head = json.dumps(record).encode()
    digest = digest_of(head, payload, stopped)
    descriptor = os.open(folder / HEADER, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(digest.encode() + b"\n" + head)
        file.flush()
        os.fsync(file.fileno())
    return Entry(folder, note, size_bytes, head, digest)


def read_header(folder: Path, owner: Owner) -> Entry:
    """Raises OSError, and ValueError where it is not one of this owner's, or is damaged."""
    digest, record, head = _read(folder)
    expected = (FORMAT, owner.engine, owner.model, list(owner.adapters), dict(owner.form))
    keys = ("format", "engine", "model", "adapters", "form")
    if tuple(record.get(key) for key in keys) != expected:
        raise ValueError("it belongs to something else")
    packed = base64.b64decode(str(record.get("tokens")), validate=True)
    file, size_bytes = record.get("file"), record.get("size_bytes")
    exact = record.get("exact", 0)  # which earlier versions did not write
    if not packed or len(packed) % _TOKEN_BYTES:
        raise ValueError("its tokens are damaged")
    if not isinstance(size_bytes, int) or not isinstance(exact, int):
        raise ValueError("its header is damaged")
    if not isinstance(file, str) or Path(file).name != file or file == HEADER:
        raise ValueError("its payload has no name")
    note = Note(
        kind=PromptKind(str(record.get("kind"))),
        tokens=Tokens(packed),
        cuttable=record.get("cuttable") is True,
        file=file,
        exact=exact,
    )
    return Entry(folder, note, size_bytes, head, digest)


def whose(folder: Path) -> tuple[str, str]:
    """Return digest and name of the model that an entry is of. Raises as ``read_header``."""
    record = _read(folder)[1]
    return str(record.get("model")), str(record.get("name"))


def digest_of(head: bytes, payload: Path, stopped: Callable[[], bool]) -> str:
    """Return the SHA-256 of ``head`` and of the digests of the payload's blocks.

    Raises:
        OSError, Stopped
    """
    size = payload.stat().st_size
    total = hashlib.sha256(head)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="prompt-digest") as pool:
        blocks = pool.map(partial(_block, payload, stopped), range(0, size, _BLOCK_BYTES))
        for block in blocks:
            total.update(block)
    return total.hexdigest()


def _block(payload: Path, stopped: Callable[[], bool], offset: int) -> bytes:
    if stopped():
        raise Stopped
    with payload.open("rb") as file:
        file.seek(offset)
        return hashlib.sha256(file.read(_BLOCK_BYTES)).digest()


def _read(folder: Path) -> tuple[str, dict[str, Any], bytes]:
    digest, _, head = (folder / HEADER).read_bytes().partition(b"\n")
    try:
        record: object = json.loads(head)
    except RecursionError:
        raise ValueError("its header is damaged") from None
    if len(digest) != _HEX_DIGITS or not isinstance(record, dict):
        raise ValueError("its header is damaged")
    return digest.decode(errors="replace"), cast("dict[str, Any]", record), head
