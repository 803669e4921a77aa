"""One backend on a real model, asked directly: no lane, no residency."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from models.chat import SamplingParams
from models.engine.backend import Backend, Decoded, OpenBackend, Output, SequenceFailed, Work
from models.events import TokenLogprob
from models.model import Adapter, Files, Kind
from tests.fakes import a_model, a_spec

POCKET = Path(__file__).parents[1] / "resources/pocket"
POCKET_GGUF = POCKET / "gguf/pocket.gguf"
POCKET_MLX = POCKET / "mlx"
GREEDY = SamplingParams(temperature=0.0)


class Running:
    """A loaded backend. Every call must come from the thread that made it."""

    def __init__(
        self,
        open_backend: OpenBackend,
        path: Path,
        *,
        kind: Kind,
        max_sequences: int = 4,
        shared_tokens: int | None = None,
        adapters: Sequence[Adapter] = (),
    ) -> None:
        whole = a_model(path.stem, kind=kind, context_length=2048, kv_bytes_per_token=1024)
        files = Files(path, "") if path.is_dir() else Files(path.parent, path.name)
        spec = a_spec(replace(whole, files=files), context_length=2048, max_sequences=max_sequences)
        spec = replace(spec, shared_tokens=shared_tokens, adapters=tuple(adapters))
        self._changed = threading.Event()
        self._tickets = count()
        self.backend: Backend = open_backend(spec, self._changed.set)
        try:
            while not self.backend.load():
                if not self.backend.has_work():
                    self._wait()
        except BaseException:
            self.backend.close()
            raise

    def encode(self, text: str) -> list[int]:
        return self.backend.prompter.tokenizer.encode(text)

    def run(self, *works: Work) -> list[list[Output]]:
        """Return what comes of each, to its end."""
        outputs: dict[int, list[Output]] = {next(self._tickets): [] for _ in works}
        for ticket, work in zip(outputs, works, strict=True):
            self.backend.insert({ticket: work})
        running = set(outputs)
        while running:
            if not self.backend.has_work():
                self._wait()
            for output in self.backend.step():
                outputs[output.ticket].append(output)
                if isinstance(output, SequenceFailed) or getattr(output, "finish", None):
                    running.discard(output.ticket)
        return list(outputs.values())

    def answer(self, tokens: Sequence[int], max_tokens: int = 20, **asked: Any) -> list[Output]:
        """Return what comes of one, drawn greedily unless ``asked`` has a ``sampling``."""
        asked = {"sampling": GREEDY, "max_tokens": max_tokens} | asked
        return self.run(Work(tokens=tuple(tokens), **asked))[0]

    def close(self) -> None:
        self.backend.close()

    def _wait(self) -> None:
        assert self._changed.wait(60), "nothing comes"
        self._changed.clear()


def decoded(outputs: Sequence[Output]) -> list[Decoded]:
    for output in outputs:
        if isinstance(output, SequenceFailed):
            raise output.error
    return [each for each in outputs if isinstance(each, Decoded)]


def text_of(outputs: Sequence[Output]) -> str:
    return b"".join(each.piece for each in decoded(outputs)).decode(errors="replace")


def ids_of(outputs: Sequence[Output]) -> list[int]:
    """Raises AssertionError where they are not all known."""
    ids: list[int] = []
    for each in decoded(outputs):
        assert each.ids is not None
        ids += each.ids
    return ids


def logprobs_of(outputs: Sequence[Output]) -> list[TokenLogprob]:
    return [token for each in decoded(outputs) for token in each.logprobs]
