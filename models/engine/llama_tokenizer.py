"""The tokenizer of a GGUF file, in the child process that has the model."""

import http.client
import json
import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cached_property
from typing import Any, cast

from models.engine.llama_client import LlamaClient
from models.engine.llama_process import LlamaProcess
from models.engine.tokenizer import PIECE_CHARACTERS, Around, Joint, around_of, joint_of, pieces
from models.gguf import TemplateSource

# A number among the texts of a question comes back among their tokens, of which none is it.
_BORDER = -1
_SECONDS = 60.0  # for one piece of a text; a child that takes longer is stuck

# llama.cpp splits a text for byte-pair vocabularies with std::regex, which goes one call
# deeper for each character that one alternative takes: some 20,000 fill the 8 MB stack of a
# thread, and 1,200 the 512 KB that macOS gives one. So no run of one kind is longer.
_LONGEST_RUN = 400

# What one alternative may take, by the letters that ``_Kinds`` gives: letters and marks;
# numbers; everything but letters, numbers and spaces; spaces; and what some take behind a
# punctuation mark.
_RUNS = re.compile(
    "|".join(
        f"(?<!{kind}){kind}{{{_LONGEST_RUN + 1},}}"
        for kind in ("[LM]", "N", "[PM/]", "[SR]", "[R/]")
    )
)

# Some take everything up to a space or one of a few marks for one word: full stops and
# commas, with those of Chinese, Hindi and Arabic.
_WIDE_SPLITTERS = {"bloom", "gpt3-finnish", "poro-chat", "viking"}
_WIDE_RUNS = re.compile(
    "|".join(
        f"(?<!{kind}){kind}{{{_LONGEST_RUN + 1},}}"
        for kind in (r"[^\s.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c]", r"\s")
    )
)
# Vocabularies that have a token for every byte: no text is shorter than its bytes allow.
_WITH_BYTES = {"gpt2", "llama", "gemma4", "rwkv"}


class LlamaTokenizer:
    """A ``Tokenizer``, over HTTP to llama.cpp."""

    def __init__(self, process: LlamaProcess, source: TemplateSource) -> None:
        self._process = process
        self._bos_token = source.bos_token
        self._byte_pairs = source.tokenizer_model == "gpt2"
        self._wide = source.pre_tokenizer in _WIDE_SPLITTERS
        bounded = source.longest_token_bytes and source.tokenizer_model in _WITH_BYTES
        self.longest_token_bytes = source.longest_token_bytes if bounded else sys.maxsize

    @property
    def cuts_cleanly(self) -> bool:
        return self._joint is Joint.SPACE_STAYS

    @property
    def bos(self) -> int | None:
        return self._bos

    @cached_property
    def _bos(self) -> int | None:
        added = self._ask([""], add_special=True)
        token = self._ask([self._bos_token], add_special=False)
        # What is added may be an EOS alone, or both.
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
        tokens: list[int] = []
        joint = self._joint if len(text) > PIECE_CHARACTERS else Joint.NONE
        for piece in pieces(text, joint):
            tokens += self._ask(self._parts(piece), add_special=False)
        return tokens

    def encode_each(self, texts: Sequence[str]) -> list[list[int]]:
        found: list[list[int]] = []
        asked: list[str | int] = []
        size = 0
        for text in texts:
            asked += [_BORDER, *self._parts(text)]
            size += len(text)
            if size > PIECE_CHARACTERS:
                found += _divided(self._ask(asked, add_special=False))
                asked, size = [], 0
        if asked:
            found += _divided(self._ask(asked, add_special=False))
        return found

    def survives(self, text: str) -> bool:
        """Whether llama.cpp may be given the text as it stands: no run in it is too long."""
        return all(len(part) > _LONGEST_RUN for part in self._parts(text)[1:-1])

    def _parts(self, text: str) -> list[str]:
        return list(self._short_runs(text)) if self._byte_pairs else [text]

    def _short_runs(self, text: str) -> Iterator[str]:
        """Cut runs that llama.cpp would not survive."""
        runs = _WIDE_RUNS if self._wide else _RUNS
        start = 0
        for at in range(0, len(text), PIECE_CHARACTERS):  # other threads wait for no more
            block = text[at : at + PIECE_CHARACTERS]
            for found in runs.finditer(block if self._wide else block.translate(_KINDS)):
                for cut in range(found.start() + _LONGEST_RUN, found.end(), _LONGEST_RUN):
                    yield text[start : at + cut]
                    start = at + cut
        yield text[start:]

    def _ask(self, texts: Sequence[str | int], *, add_special: bool) -> list[int]:
        """Raises ModelCrashed."""
        body = {"content": list(texts), "add_special": add_special, "parse_special": True}
        return cast("list[int]", self.post("/tokenize", body)["tokens"])

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Raises ModelCrashed."""
        with closing(LlamaClient(self._process, timeout_seconds=_SECONDS)) as client:
            try:
                client.connect()
                return json.load(client.post(path, body))
            except (OSError, http.client.HTTPException, ValueError, KeyError):
                raise self._process.end_and_explain() from None


def _divided(tokens: Sequence[int]) -> Iterator[list[int]]:
    start = 1
    for end in range(1, len(tokens) + 1):
        if end == len(tokens) or tokens[end] == _BORDER:
            yield list(tokens[start:end])
            start = end + 1


class _Kinds(dict[int, str]):
    """For ``str.translate``: a letter for what kind of character each is."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if character in "\r\n":
            kind = "R"
        elif character == "/":
            kind = "/"
        elif character.isspace():
            kind = "S"
        else:
            category = unicodedata.category(character)[0]
            kind = category if category in "LMN" else "P"
        self[code] = kind
        return kind


_KINDS = _Kinds()
