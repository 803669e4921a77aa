"""The tokenizer of a GGUF model, asked of the child process that has it."""

import http.client
import json
from contextlib import closing
from typing import cast

from models.engine.llama_client import LlamaClient, Process

_SECONDS = 60.0  # for any prompt; a child that takes longer is stuck


class LlamaTokenizer:
    def __init__(self, process: Process, bos_token: str) -> None:
        self._process = process
        self._bos_token = bos_token

    def encode(self, text: str) -> list[int]:
        """Raises ModelCrashed."""
        has_bos = bool(self._bos_token) and text.startswith(self._bos_token)
        body = {"content": text, "add_special": not has_bos, "parse_special": True}
        with closing(LlamaClient(self._process, timeout_seconds=_SECONDS)) as client:
            try:
                client.connect()
                return cast("list[int]", json.load(client.post("/tokenize", body))["tokens"])
            except (OSError, http.client.HTTPException, ValueError, KeyError):
                raise self._process.end_and_explain() from None
