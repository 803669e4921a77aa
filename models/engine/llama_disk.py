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
from models.prompt_entry import Note, PromptKind, Tokens
from models.prompt_files import PromptFiles, Shelf

log = logging.getLogger(__name__)

_FILE = "slot.bin"
_SECONDS = 20.0  # for the child to write or read one: it answers nobody else meanwhile
# llama.cpp/include/llama.h: LLAMA_STATE_SEQ_MAGIC, then a version and a count of numbers.
# tools/server/server-common.cpp (server_tokens): a negative number, a version, the count of
# tokens, and the tokens.
_MAGIC = b"qsgg"
_HEAD = struct.Struct("<4sIIiII")
_TOKENS_MARK, _TOKENS_VERSION = -1, 1


class LlamaDisk:
    """What one loaded model has on the disk.

    ``folder`` is for the child alone, and made when it is first needed.
    """

    def __init__(self, files: PromptFiles, spec: LoadSpec) -> None:
        owner = owner_of(spec, packages=("xllamacpp",), cache="f16")
        self.folder = files.folder.work_path()
        self._shelf: Shelf = files.shelf(owner, spec.context_length - 1)
        self._token_bytes = spec.model.details.kv_bytes_per_token

    def longest(self, tokens: Sequence[int]) -> int:
        """Return how many tokens of a prompt ``restore`` would spare, if nothing is damaged."""
        found = self._shelf.longest(tokens)
        return found[1] if found else 0

    def restore(self, process: LlamaProcess, slot: int, tokens: Sequence[int]) -> bool:
        """Put the longest beginning of a prompt that is remembered into a slot that is idle.

        Waits for the disk and for the child: not for the lane's thread.
        """
        while found := self._shelf.longest(tokens):
            entry, _ = found
            payload = self._shelf.whole(entry)
            if payload is None:
                continue
            lent = self.folder / _FILE.replace("slot", f"restore-{slot}")
            try:
                self._make_folder()
                _lend(payload, lent)
                status = _ask(process, slot, "restore", lent)
            except ConnectionRefusedError:  # the child is gone already
                return False
            except (OSError, http.client.HTTPException) as error:
                log.warning("A remembered prompt could not be restored: %s", error)
                self._shelf.drop(entry)  # it may be what has ended the child
                return False
            finally:
                with suppress(OSError):
                    lent.unlink()
            if status == HTTPStatus.OK:
                return True
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
            size_bytes = len(tokens) * self._token_bytes
            # None of it is in our memory.
            self._shelf.later(0, lambda: idle() and self._save(process, slot, size_bytes))

    def close(self) -> None:
        """Wait a moment for what is to be written, and drop the rest. Before the child's end."""
        self._shelf.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _save(self, process: LlamaProcess, slot: int, size_bytes: int) -> None:
        """Raises OSError where the folder cannot be written."""
        if self._shelf.stopped() or not self._shelf.has_room(size_bytes):
            return
        self._make_folder()
        saved = self.folder / _FILE.replace("slot", f"save-{slot}")
        try:
            status = _ask(process, slot, "save", saved)
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
    return Tokens(packed)


def _ask(process: LlamaProcess, slot: int, action: str, path: Path) -> int:
    """Return the status. Raises OSError, HTTPException where the child is gone or too slow."""
    with closing(LlamaClient(process, timeout_seconds=_SECONDS)) as client:
        answer = client.post(f"/slots/{slot}?action={action}", {"filename": path.name})
        body = answer.read()
    if answer.status != HTTPStatus.OK:
        with suppress(ValueError):
            log.info("llama.cpp on a slot to %s: %s", action, json.loads(body))
    return answer.status


def _lend(payload: Path, place: Path) -> None:
    """Show a file under another name, without copying it where the disk can do that."""
    with suppress(FileNotFoundError):
        place.unlink()
    try:
        os.link(payload, place)
    except OSError:
        shutil.copyfile(payload, place)
