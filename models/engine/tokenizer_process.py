"""A Hugging Face tokenizer in a child process of its own.

To load a large one stops every thread of the process that does it for a second.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from models.engine.pieces import spelling_of
from models.engine.tokenizer import (
    PIECE_CHARACTERS,
    Around,
    Joint,
    around_of,
    joint_of,
    no_such_token,
    pieces,
)
from models.errors import LoadFailed, ModelCrashed
from models.spelling import Spelled
from models.worker import PYTHON, Command

_WORKER = Path(__file__).with_name("tokenizer_worker.py")


class TokenizerProcess:
    """A ``SpellingTokenizer``. A vocabulary of 152,000 tokens takes some 100 MB of the child.

    Raises:
        LoadFailed: ``file`` is no tokenizer.json that the library can read.
    """

    # It counts whole texts, and is never asked whether one can fit.
    longest_token_bytes = sys.maxsize

    def __init__(
        self, file: Path, *, bos_token: str, model_name: str, command: Command = PYTHON
    ) -> None:
        self._bos_token = bos_token
        self._model_name = model_name
        self._lock = threading.Lock()  # one question and its answer at a time
        self._child = subprocess.Popen(
            [*command, str(_WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # a Ctrl-C in the terminal is meant for us alone
        )
        try:
            answer = self._exchange({"file": str(file)})
        except ModelCrashed as error:
            answer = {"error": str(error)}
        if "error" in answer:
            self.close()
            raise LoadFailed(f"The model's file {file.name} cannot be used: {answer['error']}.")
        self._spelling = spelling_of(answer["decoder"]) if answer["decoder"] else None

    @property
    def cuts_cleanly(self) -> bool:
        return self._joint is Joint.SPACE_STAYS

    @property
    def bos(self) -> int | None:
        return self._bos

    @cached_property
    def _bos(self) -> int | None:
        added = self._ask([""], add_special=True)
        token = self._ask([self._bos_token], add_special=False) if self._bos_token else []
        return added[0] if added and added[:1] == token else None

    @property
    def around(self) -> Around:
        return self._around

    @cached_property
    def _around(self) -> Around:
        return around_of(self._ask(["a"], add_special=True), self._ask(["a"], add_special=False))

    @cached_property
    def _joint(self) -> Joint:
        return joint_of(lambda texts: self._ask(texts, add_special=False))

    def encode(self, text: str) -> list[int]:
        joint = self._joint if len(text) > PIECE_CHARACTERS else Joint.NONE
        tokens: list[int] = []
        for piece in pieces(text, joint):
            tokens += self._ask([piece], add_special=False)
        return tokens

    def encode_each(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(each) for each in texts]

    def close(self) -> None:
        """End the child. Harmless when it is gone."""
        self._child.kill()  # it has nothing to write and nothing to keep
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe:
                with suppress(OSError):  # a question that it never read
                    pipe.close()

    def spell(self, text: str, *, add_special: bool, parse_special: bool) -> list[Spelled]:
        front, behind = self.around if add_special else ((), ())
        joint = self._joint if len(text) > PIECE_CHARACTERS else Joint.NONE
        ids = [*front]
        for piece in pieces(text, joint):
            ids += self._ask([piece], add_special=False, parse_special=parse_special)
        ids += behind
        return self._spelled(ids)

    def text_of(self, ids: Sequence[int]) -> str:
        return b"".join(each.piece for each in self._spelled(ids)).decode("utf-8", "replace")

    def _spelled(self, ids: Sequence[int]) -> list[Spelled]:
        """Raises InvalidRequest, ModelCrashed."""
        found: list[Spelled] = []
        for id, token in zip(ids, self._exchange({"ids": list(ids)}), strict=True):
            if token is None:
                raise no_such_token(id)
            written, added, decoded = token
            if added:
                piece = str(written).encode()
            else:
                piece = self._spelling(written) if self._spelling else str(decoded).encode()
            found.append(Spelled(id, piece))
        return found

    def _ask(
        self, texts: Sequence[str], *, add_special: bool, parse_special: bool = True
    ) -> list[int]:
        asked = {"add_special": add_special, "parse_special": parse_special}
        return self._exchange({"texts": list(texts), **asked})

    def _exchange(self, question: dict[str, Any]) -> Any:  # noqa: ANN401  # JSON
        """Raises ModelCrashed."""
        with self._lock:
            try:
                stdin, stdout = self._child.stdin, self._child.stdout
                assert stdin is not None and stdout is not None, "made with PIPE"
                stdin.write(json.dumps(question) + "\n")
                stdin.flush()
                return json.loads(stdout.readline())
            except (OSError, ValueError):
                raise ModelCrashed(
                    f"The tokenizer of '{self._model_name}' has crashed: please try again."
                ) from None
