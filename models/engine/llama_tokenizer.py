"""The tokenizer of a GGUF file, in the child process that has the model."""

import http.client
import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cached_property
from typing import cast

from models.engine.llama_client import LlamaClient
from models.engine.llama_process import LlamaProcess
from models.engine.tokenizer import Joint, joint_of, pieces
from models.gguf import TemplateSource

_SECONDS = 60.0  # for one piece of a text; a child that takes longer is stuck

# llama.cpp splits a text for byte-pair vocabularies with std::regex, which goes one call
# deeper for each character that one alternative takes: some 20,000 fill the 8 MB stack of a
# thread, and 1,200 the 512 KB that macOS gives one. So no run of one kind is longer.
_LONGEST_RUN = 400
_RUNS = re.compile(
    "|".join(
        f"(?:{kind}){{{_LONGEST_RUN + 1},}}"
        for kind in (
            r"[^\W\d_]|[^\x00-\x7f\W\d]",  # letters and marks, as of Hindi and Thai
            r"\d",
            r"\s",
            r"[^\w\s]|_",  # punctuation and symbols
        )
    )
)
# Some take everything up to a space or one of a few marks for one word.
_WIDE_SPLITTERS = {"bloom", "gpt3-finnish", "poro-chat", "viking"}
# With the full stops and commas of Chinese, Hindi and Arabic.
_WIDE_RUNS = re.compile(
    rf"[^\s.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c]{{{_LONGEST_RUN + 1},}}"
    rf"|\s{{{_LONGEST_RUN + 1},}}"
)
_BLOCK = 1 << 14  # characters looked through at a time: other threads wait for no more

# Vocabularies that have a token for every byte: no text is shorter than its bytes allow.
_WITH_BYTES = {"gpt2", "llama", "gemma4", "rwkv"}


class LlamaTokenizer:
    """A ``Tokenizer``, over HTTP to llama.cpp."""

    def __init__(self, process: LlamaProcess, source: TemplateSource) -> None:
        self._process = process
        self._bos_token = source.bos_token
        self._byte_pairs = source.tokenizer_model == "gpt2"
        self._runs = _WIDE_RUNS if source.pre_tokenizer in _WIDE_SPLITTERS else _RUNS
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

    @cached_property
    def _joint(self) -> Joint:
        return joint_of(lambda texts: self._ask(texts, add_special=False))

    def encode(self, text: str) -> list[int]:
        tokens: list[int] = []
        joint = self._joint if len(text) > _BLOCK else Joint.NONE
        for piece in pieces(text, joint):
            parts = list(self._short_runs(piece)) if self._byte_pairs else [piece]
            tokens += self._ask(parts, add_special=False)
        return tokens

    def _short_runs(self, text: str) -> Iterator[str]:
        """Cut runs that llama.cpp would not survive."""
        start = at = 0
        while at < len(text):
            found = self._runs.search(text, at, at + _BLOCK)
            if found is None:
                # A run may begin at the end of the block.
                at = max(at + 1, at + _BLOCK - _LONGEST_RUN)
                continue
            at = found.start() + _LONGEST_RUN
            yield text[start:at]
            start = at
        yield text[start:]

    def _ask(self, texts: Sequence[str], *, add_special: bool) -> list[int]:
        """Raises ModelCrashed."""
        body = {"content": list(texts), "add_special": add_special, "parse_special": True}
        with closing(LlamaClient(self._process, timeout_seconds=_SECONDS)) as client:
            try:
                client.connect()
                return cast("list[int]", json.load(client.post("/tokenize", body))["tokens"])
            except (OSError, http.client.HTTPException, ValueError, KeyError):
                raise self._process.end_and_explain() from None
