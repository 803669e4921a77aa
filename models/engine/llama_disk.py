"""Prompts of a GGUF model on the disk: a slot of its child, saved as a file, and restored.

llama.cpp's server writes and reads such a file in a folder it is given at its start, by name
(tools/server/README.md, ``POST /slots/{id_slot}?action=save``). It would take a file of any
model of the same shape, would not see a flipped bit, and aborts where a byte is missing: so
it is shown no file but those that have just been checked.
"""

import http.client
import json
import logging
import os
import shutil
import struct
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from http import HTTPStatus
from pathlib import Path

from models.engine.backend import LoadSpec
from models.engine.llama_client import LlamaClient
from models.engine.llama_process import LlamaProcess
from models.engine.prompt_owner import owner_of
from models.needs import cache_of
from models.prompt_entry import Entry, Note, PromptKind, Tokens
from models.prompt_files import PromptFiles, Shelf

log = logging.getLogger(__name__)

_FILE = "slot.bin"
_SAVED, _RESTORED = "saved.bin", "restored.bin"
# What llama.cpp loads from its own cache of prompts is at most so many times as long as what
# it is loaded for (server_prompt_cache::load), and its parent counts with that.
_LONGEST_RESTORED = 4
_SECONDS = 20.0  # for the child to write or read one: it answers nobody else meanwhile
# llama.cpp/include/llama.h: LLAMA_STATE_SEQ_MAGIC, then a version and a count of numbers.
# tools/server/server-common.cpp (server_tokens): a negative number, a version, the count of
# tokens, and the tokens.
_MAGIC = b"qsgg"
_HEAD = struct.Struct("<4sIIiII")
_TOKENS_MARK, _TOKENS_VERSION = -1, 1
_PICTURE = 0xFFFFFFFF  # stands where one was (LLAMA_TOKEN_NULL)


class LlamaDisk:
    """What one loaded model has on the disk.

    ``folder`` is for the child alone, and made when it is first needed.
    """

    def __init__(self, files: PromptFiles, spec: LoadSpec) -> None:
        owner = owner_of(spec, packages=("xllamacpp",))
        self.folder = files.folder.work_path()
        self._shelf: Shelf = files.shelf(owner, spec.context_length - 1)
        self._cache = cache_of(spec.model, spec.kv_type)

    def longest(self, tokens: Sequence[int]) -> tuple[int, int]:
        """Return how many tokens of a prompt ``restore`` would spare, and how many it restores."""
        found = self._found(tokens)
        return (found[1], len(found[0].note.tokens)) if found else (0, 0)

    def restore(self, process: LlamaProcess, tokens: Sequence[int]) -> bool:
        """Put the longest beginning of a prompt that is remembered into a slot that is idle.

        Waits for the disk and for the child: not for the lane's thread.
        """
        while found := self._found(tokens):
            entry, _ = found
            payload = self._shelf.whole(entry)
            if payload is None:
                continue
            lent = self.folder / _RESTORED
            try:
                self._make_folder()
                _lend(payload, lent)
                if _restored(process, lent):
                    return True
            except ConnectionRefusedError:  # the child is gone already
                return False
            except (OSError, http.client.HTTPException) as error:
                log.warning("A remembered prompt could not be restored: %s", error)
                self._shelf.drop(entry)  # it may be what has ended the child
                return False
            except _NoRoom:
                return False
            finally:
                with suppress(OSError):
                    lent.unlink()
            self._shelf.drop(entry)
        return False

    def save(
        self,
        process: LlamaProcess,
        slot: int,
        tokens: Sequence[int],
        idle: Callable[[], bool] = lambda: True,
    ) -> None:
        """Have a slot written that holds ``tokens``, and perhaps more. Returns at once.

        ``idle`` is asked on another thread, just before: while the slot has work the child
        would wait, and while it writes it answers nobody.
        """
        if self._shelf.wants(tokens):
            size_bytes = self._cache.of(len(tokens))
            # None of it is in our memory.
            self._shelf.later(0, lambda: idle() and self._save(process, slot, size_bytes))

    def close(self) -> None:
        """Wait a moment for what is to be written, and drop the rest. Before the child's end."""
        self._shelf.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _found(self, tokens: Sequence[int]) -> tuple[Entry, int] | None:
        found = self._shelf.longest(tokens)
        if found and len(found[0].note.tokens) > _LONGEST_RESTORED * len(tokens):
            return None
        return found

    def _save(self, process: LlamaProcess, slot: int, size_bytes: int) -> None:
        """Raises OSError where the folder cannot be written."""
        if self._shelf.stopped() or not self._shelf.has_room(size_bytes):
            return
        self._make_folder()
        saved = self.folder / _SAVED
        try:
            status, _ = _ask(process, f"/slots/{slot}?action=save", {"filename": saved.name})
            if status != HTTPStatus.OK:
                log.info("llama.cpp could not save a prompt: status %d", status)
                return
            # What is in the file, whatever the slot was thought to hold.
            tokens = tokens_in(saved)
        except (OSError, http.client.HTTPException, ValueError) as error:
            log.info("A prompt could not be saved: %s", error)
            return
        else:
            note = Note(kind=PromptKind.TURN, tokens=tokens, cuttable=True, file=_FILE)
            self._shelf.add(note, saved.stat().st_size, lambda path: os.replace(saved, path))
        finally:
            with suppress(OSError):
                saved.unlink()

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)


def tokens_in(path: Path) -> Tokens:
    """Return the tokens that a slot's file holds.

    Raises:
        OSError, ValueError
    """
    with path.open("rb") as file:
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            raise ValueError(f"{path.name} is no slot")
        magic, _, _, mark, version, count = _HEAD.unpack(head)
        packed = file.read(4 * count)
    if (magic, mark, version) != (_MAGIC, _TOKENS_MARK, _TOKENS_VERSION):
        raise ValueError(f"{path.name} is not as this version of llama.cpp should write it")
    if not count or len(packed) < 4 * count:
        raise ValueError(f"{path.name} holds no tokens")
    if _PICTURE in memoryview(packed).cast("I"):
        raise ValueError(f"{path.name} holds a picture, which is not in it")
    return Tokens(packed)


class _NoRoom(Exception):
    """The child has no slot, or no room in its KV cache."""


def _restored(process: LlamaProcess, path: Path) -> bool:
    """Restore a file into the slot that has been idle for longest.

    Raises:
        OSError, HTTPException: the child is gone or too slow.
        _NoRoom
    """
    slots = _slots(process)
    idle = [slot for slot, busy in slots if not busy]
    if not idle:
        raise _NoRoom
    asked = f"/slots/{idle[0]}?action=restore", {"filename": path.name}
    if _ask(process, *asked)[0] == HTTPStatus.OK:
        return True
    # Where slots share one KV cache, what others have left there may be in the way.
    for slot in idle:
        _ask(process, f"/slots/{slot}?action=erase", {})
    if _ask(process, *asked)[0] == HTTPStatus.OK:
        return True
    if len(idle) < len(slots):
        raise _NoRoom  # perhaps: those that run may need it
    return False


def _slots(process: LlamaProcess) -> list[tuple[int, bool]]:
    """Return each slot and whether it is busy: first those that were never used, then by age."""
    status, body = _ask(process, "/slots")
    if status != HTTPStatus.OK:
        raise _NoRoom
    slots = sorted(json.loads(body), key=lambda each: each.get("id_task", -1))
    return [(each["id"], each["is_processing"]) for each in slots]


def _ask(process: LlamaProcess, path: str, body: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Return status and answer. Raises OSError, HTTPException where the child is gone or slow."""
    with closing(LlamaClient(process, timeout_seconds=_SECONDS)) as client:
        answer = client.get(path) if body is None else client.post(path, body)
        said = answer.read()
    if answer.status != HTTPStatus.OK:
        log.info("llama.cpp, asked for %s: %s", path, said[:200].decode(errors="replace"))
    return answer.status, said


def _lend(payload: Path, place: Path) -> None:
    """Show a file under another name, without copying it where the disk can do that."""
    with suppress(FileNotFoundError):
        place.unlink()
    try:
        os.link(payload, place)
    except OSError:
        shutil.copyfile(payload, place)
