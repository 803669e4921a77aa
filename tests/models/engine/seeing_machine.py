"""A backend with a vision model, and what mlx_vlm by itself says of the same folder."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.seeing_configs import AFTER, BEFORE, END_OF_TURN
from models.chat import SamplingParams
from models.engine.backend import Decoded, LoadSpec, Output, Prefilled, SequenceFailed, Work
from models.engine.mlx import open_mlx
from models.engine.mlx_library import import_vision
from models.images import Picture
from models.ledger import Need
from models.model import Details, Files, Kind, Model
from models.names import ModelName

TOKENS = 10


def picture(number: int, width: int = 90, height: int = 70) -> Picture:
    """A picture unlike those of other numbers."""
    pixels = np.random.default_rng(number).random((height, width, 3)) * 255
    file = BytesIO()
    Image.fromarray(pixels.astype("uint8")).save(file, "PNG")
    return Picture(file.getvalue(), width, height, f"{number}-{width}-{height}")


class Machine:
    """A backend on a thread of its own, and mlx_vlm's own way with the same folder."""

    def __init__(self, thread: ThreadPoolExecutor, folder: Path, **options: Any) -> None:
        self._thread = thread
        self.folder = folder
        details = Details(
            architecture=folder.name,
            parameter_count=1_000_000,
            quantization="F32",
            context_length=2048,
            embedding_length=64,
            kv_bytes_per_token=1024,
            chat=True,
            vision=True,
        )
        model = Model(
            name=ModelName.parse(folder.name),
            kind=Kind.MLX,
            files=Files(folder, ""),
            size_bytes=1_000_000,
            digest=folder.name,
            modified_at=datetime.now(UTC),
            details=details,
        )
        values: dict[str, Any] = {"prompt_cache_bytes": 64 << 20, "features_bytes": 8 << 20}
        spec = LoadSpec(
            model=model,
            context_length=2048,
            max_sequences=4,
            need=Need(weights_bytes=0, cache_bytes=256 << 20, working_bytes=0),
            **values | options,
        )
        self.backend: Any = self.call(open_mlx, spec, lambda: None)
        while not self.call(self.backend.load):
            pass
        self.running = self.backend._loaded

    def call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return self._thread.submit(function, *arguments, **options).result()

    def tokens(self, text: str, pictures: tuple[Picture, ...] = ()) -> tuple[int, ...]:
        sight = self.running.prompter.sight
        return tuple(
            sight.tokens(self._around(text).split("@"), pictures, self.running.prompter.tokenizer)
        )

    def _around(self, text: str) -> str:
        """The text with what Qwen's templates write around a picture."""
        return text.replace("@", f"{BEFORE}@{AFTER}") if "qwen" in self.folder.name else text

    def start(
        self,
        ticket: int,
        text: str,
        pictures: tuple[Picture, ...] = (),
        max_tokens: int = TOKENS,
        **sampling: Any,
    ) -> None:
        sampling = {"temperature": 0.0} | sampling
        work = Work(
            tokens=self.tokens(text, pictures),
            pictures=pictures,
            max_tokens=max_tokens,
            sampling=SamplingParams(**sampling),
        )
        self.call(self.backend.insert, {ticket: work})

    def run(self, until: Callable[[list[Output]], bool] = lambda _: False) -> list[Output]:
        outputs: list[Output] = []
        while self.backend.has_work() and not until(outputs):
            outputs += self.call(self.backend.step)
        return outputs

    def answer(self, text: str, pictures: tuple[Picture, ...] = (), **more: Any) -> list[int]:
        self.start(99, text, pictures, **more)
        return said(self.run(), 99)

    def by_itself(self, text: str, pictures: tuple[Picture, ...] = ()) -> list[int]:
        """What mlx_vlm says."""
        return self.call(self._by_itself, text, pictures)

    def processor(self) -> Any:
        return import_vision().load_processor(
            self.folder, add_detokenizer=False, trust_remote_code=False
        )

    def _by_itself(self, text: str, pictures: tuple[Picture, ...]) -> list[int]:
        mx = import_module("mlx.core")
        library = import_vision()
        model = library.load_model(self.folder)
        processor = self.processor()
        mark = self.running.prompter.sight.marker
        images = [Image.open(BytesIO(each.png)) for each in pictures]
        made = processor(
            text=[self._around(text).replace("@", mark)], images=images or None, return_tensors="np"
        )
        inputs = {name: _as_arrays(mx, value) for name, value in made.items()}
        ids = inputs.pop("input_ids")
        pixels = inputs.pop("pixel_values", None)
        steps = import_module("mlx_vlm.generate.ar").generate_step(
            ids,
            model,
            pixels,
            inputs.pop("attention_mask"),
            max_tokens=TOKENS,
            temperature=0.0,
            **inputs,
        )
        return until_the_end([token for token, _ in steps])


def _as_arrays(mx: Any, value: Any) -> Any:
    try:
        return mx.array(np.asarray(value))
    except ValueError:  # pictures of several sizes
        return [mx.array(np.asarray(each)) for each in value]


def until_the_end(tokens: list[int]) -> list[int]:
    if END_OF_TURN not in tokens:
        return tokens
    return tokens[: tokens.index(END_OF_TURN) + 1]


def said(outputs: list[Output], ticket: int) -> list[int]:
    failed = [each for each in outputs if isinstance(each, SequenceFailed)]
    assert not failed
    return [
        token
        for each in outputs
        if isinstance(each, Decoded) and each.ticket == ticket
        for token in each.ids or ()
    ]


def cached(outputs: list[Output], ticket: int) -> int:
    (found,) = [e for e in outputs if isinstance(e, Prefilled) and e.ticket == ticket]
    return found.cached_tokens
