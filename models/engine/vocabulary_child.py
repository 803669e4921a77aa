"""llama.cpp in a child process, with the vocabulary of a GGUF file and next to no model."""

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from models import gguf
from models.engine.llama_process import LlamaProcess
from models.engine.llama_tokenizer import LlamaTokenizer
from models.engine.tokenizer import PIECE_CHARACTERS, Joint, around_of, no_such_token, pieces
from models.errors import InferenceError, LoadFailed
from models.model import Model
from models.spelling import Spelled
from models.worker import Command

_START_SECONDS = 30.0


class VocabularyChild(LlamaTokenizer):
    """A ``SpellingTokenizer``. Raises LoadFailed, OutOfMemory."""

    def __init__(self, model: Model, vocabulary: Path, command: Command) -> None:
        changed = threading.Event()
        config = {
            "model": str(vocabulary),
            "context_length": 256,
            "max_sequences": 1,
            "prompt_cache_bytes": 0,
            "pooling": "",
        }
        self._child = LlamaProcess(
            config, model_name=str(model.name), on_change=changed.set, command=command
        )
        try:
            while not self._child.ready():
                if not changed.wait(_START_SECONDS):
                    raise LoadFailed(f"The tokenizer of '{model.name}' does not start: try again.")
                changed.clear()
        except InferenceError:
            self._child.close()
            vocabulary.unlink(missing_ok=True)  # it may be what is wrong
            raise
        source = gguf.read_template(vocabulary)
        self._size = source.vocabulary_size
        super().__init__(self._child, source)

    def close(self) -> None:
        self._child.close()

    def spell(self, text: str, *, add_special: bool, parse_special: bool) -> list[Spelled]:
        front, behind = self._spelled_around if add_special else ((), ())
        joint = self._joint if len(text) > PIECE_CHARACTERS else Joint.NONE
        said = [*front]
        for piece in pieces(text, joint):
            said += self._spell(self._parts(piece), parse_special=parse_special)
        return [*said, *behind]

    def text_of(self, ids: Sequence[int]) -> str:
        for id in ids:  # llama.cpp would end its process over one
            if not 0 <= id < self._size:
                raise no_such_token(id)
        return self.post("/detokenize", {"tokens": list(ids)})["content"]

    @cached_property
    def _spelled_around(self) -> tuple[Sequence[Spelled], Sequence[Spelled]]:
        return around_of(self._spell(["a"], add_special=True), self._spell(["a"]))

    def _spell(
        self, texts: Sequence[str], *, add_special: bool = False, parse_special: bool = True
    ) -> list[Spelled]:
        body: dict[str, Any] = {
            "content": list(texts),
            "add_special": add_special,
            "parse_special": parse_special,
            "with_pieces": True,
        }
        return [
            Spelled(token["id"], _bytes(token["piece"]))
            for token in self.post("/tokenize", body)["tokens"]
        ]


def _bytes(piece: str | list[int]) -> bytes:
    """llama.cpp gives the text, or the bytes where they are none."""
    return piece.encode() if isinstance(piece, str) else bytes(piece)
