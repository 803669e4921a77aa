"""How long a picture keeps its reader waiting, and others, and whether it leaves memory behind.

    python -m benchmarks.vision [--engines llama mlx] [--model small] [--rounds 3] [--pictures 300]
        [--dtype float32]

First token with a picture of 1,024 x 1,024 pixels: cold, the same chat a second time, and the
same picture in a chat that begins in another way. Then two streams run, and a picture comes: a
step is the median time between two tokens before that. Both engines have a tower of the same size,
ViT-S's of 336 pixels, which makes 576 tokens of a picture. At last a smaller model, of 112 pixels
and 64 tokens, reads so many other pictures, one after the other, and the memory of each process is
looked at meanwhile, with what it keeps of prompts on purpose, up to what the ledger has promised,
and with what MLX holds, which on a GPU is beside the process.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter

import mlx.core as mx
import numpy as np
import psutil
from PIL import Image as Pillow

from app.services import Services, open_everything
from benchmarks import random_projector
from benchmarks.clients import longest_gap
from benchmarks.gaps import Listener, wait
from benchmarks.measure import Runs, machine, print_table
from benchmarks.random_models import SHAPES, Shape, write_gguf
from benchmarks.random_projector import write_projector
from models.chat import GenerateRequest, Image, Message, Origin, SamplingParams, Text

AGAIN_GOAL, GAP_GOAL = 0.10, 3.0
CONTEXT_LENGTH = 2048
_SIDE = 1024
_STREAMS = 2
_WARM_SECONDS = 3.0
_GAPS = 1000  # the number of the first picture that is read beside streams
_FEW_LAYERS, _SMALL_SIDE = 2, 112  # of the tower of the smaller model
_OFTEN = 50  # pictures, after which memory is looked at
_MIB = 1 << 20


@dataclass(frozen=True)
class Seeing:
    """A model that sees: its text model, and the layers of a tower for pictures of so many pixels.

    ``dtype``: of the MLX weights.
    """

    shape: Shape
    layers: int
    side: int
    dtype: str


def write_llama(folder: Path, seeing: Seeing) -> Path:
    write_gguf(folder / "eyes.gguf", seeing.shape, CONTEXT_LENGTH)
    write_projector(folder / "mmproj.gguf", seeing.shape.width, seeing.layers, seeing.side)
    return folder / "eyes.gguf"


def write_mlx(folder: Path, seeing: Seeing) -> Path:
    # mlx_vlm comes with it, which llama.cpp's side has no use for.
    from benchmarks.seeing_configs import CONFIGS, PROCESSORS  # noqa: PLC0415
    from benchmarks.seeing_models import write_seeing  # noqa: PLC0415

    told, shape, side = CONFIGS["llava"], seeing.shape, seeing.side
    text = {
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "intermediate_size": shape.feed_forward,
    }
    tower = {
        "hidden_size": random_projector.WIDTH,
        "num_hidden_layers": seeing.layers,
        "num_attention_heads": random_projector.HEADS,
        "intermediate_size": random_projector.FEED_FORWARD,
        "image_size": side,
    }
    changes = {
        "text_config": {**told["text_config"], **text},
        "vision_config": {**told["vision_config"], **tower},
    }
    size = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    processor = {**PROCESSORS["llava"], **size}
    write_seeing(folder / "eyes", "llava", changes, processor, dtype=seeing.dtype)
    return folder / "eyes"


# Each writes a model that sees into a folder, and says what is to be imported.
MODELS: Mapping[str, Callable[[Path, Seeing], Path]] = {
    "llama": write_llama,
    "mlx": write_mlx,
}


def picture(number: int) -> bytes:
    """Return the file of a picture like no other, and the same for the same number."""
    dots = np.random.default_rng(number).integers(0, 256, (_SIDE // 8, _SIDE // 8, 3), np.uint8)
    drawn = Pillow.fromarray(dots).resize((_SIDE, _SIDE))
    file = io.BytesIO()
    drawn.save(file, "JPEG", quality=90)
    return file.getvalue()


class Asker:
    def __init__(self, services: Services, model: str) -> None:
        self._services = services
        self._model = model

    def start(self, *parts: bytes | str, max_tokens: int | None = 1) -> tuple[Listener, int]:
        listener = Listener()
        made = tuple(Text(each) if isinstance(each, str) else Image(each) for each in parts)
        request = GenerateRequest(
            model=self._model,
            prompt=(Message("user", made),),
            sampling=SamplingParams(temperature=0.0, ignore_eos=True),
            max_tokens=max_tokens,
            context_length=CONTEXT_LENGTH,
        )
        ticket = self._services.residency.submit(request, listener, origin=Origin("command"))
        return listener, ticket

    def seconds(self, *parts: bytes | str) -> float:
        """Return how long the first token took."""
        began = perf_counter()
        listener, _ = self.start(*parts, max_tokens=2)
        wait(listener)
        # Of random weights the first tokens may be such as have no text.
        return (listener.times[0] if listener.times else perf_counter()) - began

    def gap(self, *parts: bytes | str) -> tuple[float, float]:
        """Return the seconds of a step of running streams, and of their longest gap."""
        streams = [self.start(f"Stream {n}", max_tokens=None) for n in range(_STREAMS)]
        while not all(len(each.times) > 2 for each, _ in streams):
            time.sleep(0.01)
        time.sleep(_WARM_SECONDS)
        steps = [after - one for each, _ in streams for one, after in pairwise(each.times)]
        came = perf_counter()
        newcomer, _ = self.start(*parts, max_tokens=2)
        wait(newcomer)
        gap = max(longest_gap(each.times, came, newcomer.times[0]) for each, _ in streams)
        for each, ticket in streams:
            self._services.residency.cancel(ticket)
            wait(each)
        return median(steps), gap

    def memory_mib(self) -> str:
        """Of this process and of its children, of prompts that are kept in them, and of MLX."""
        me = psutil.Process()
        children = sum(each.memory_info().rss for each in me.children(recursive=True))
        residents = self._services.residency.residents()
        prompts = sum(each.counters.prompt_cache_bytes for each in residents)
        arrays = mx.get_active_memory() + mx.get_cache_memory()
        sizes = (me.memory_info().rss, children, prompts, arrays)
        return "{:.0f} + {:.0f} ({:.0f}), {:.0f}".format(*(each / _MIB for each in sizes))


def row(asker: Asker, engine: str, rounds: int) -> list[str]:
    asker.seconds("Hello")  # loads it
    first = Runs([asker.seconds(f"{n}", picture(n), "What is it?") for n in range(rounds)])
    again = Runs([asker.seconds(f"{n}", picture(n), "What is it?") for n in range(rounds)])
    apart = Runs([asker.seconds(f"Other {n}", picture(n), "Why?") for n in range(rounds)])
    found = [asker.gap(f"Gap {n}", picture(_GAPS + n), "What is it?") for n in range(rounds)]
    steps, gaps = (Runs([each[n] * 1000 for each in found]) for n in range(2))
    share, times = again.median / first.median, gaps.median / steps.median
    return [
        engine,
        first.text(),
        again.text(),
        f"{share:.0%}: {'met' if share <= AGAIN_GOAL else 'MISSED'}",
        apart.text(),
        steps.text(digits=1),
        gaps.text(digits=0),
        f"{times:.1f}: {'met' if times <= GAP_GOAL else 'MISSED'}",
    ]


def memory_row(asker: Asker, engine: str, pictures: int) -> list[str]:
    """Look at memory while pictures are read that nobody has seen."""
    asker.seconds("Hello")  # loads it
    found = [engine]
    for number in range(pictures):
        if number % _OFTEN == 0:
            found.append(asker.memory_mib())
        asker.seconds(picture(_GAPS * 2 + number), "What?")
    return [*found, asker.memory_mib()]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what pictures cost.")
    parser.add_argument("--engines", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--model", choices=SHAPES, default="small")
    parser.add_argument("--dtype", default="float32", help="of the MLX weights")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=300)
    asked = parser.parse_args()
    print(f"{machine()}; {mx.default_device()}; median (lowest–highest) of {asked.rounds}\n")
    header = ["engine", "first token, cold, s", "again, s", f"share (goal ≤ {AGAIN_GOAL:.0%})"]
    header += ["in another chat, s", "a step, ms", "longest gap, ms"]
    header += [f"gap / step (goal ≤ {GAP_GOAL:.0f})"]
    counts = [str(each) for each in (*range(0, asked.pictures, _OFTEN), asked.pictures)]
    with tempfile.TemporaryDirectory() as folder, open_everything(Path(folder) / "home") as opened:

        def asker(engine: str, name: str, seeing: Seeing) -> Asker:
            place = Path(folder) / f"{engine}-{name}"
            place.mkdir()
            opened.store.import_path(MODELS[engine](place, seeing), place.name)
            return Asker(opened, place.name)

        layers, side = random_projector.LAYERS, random_projector.SIDE
        whole = Seeing(SHAPES[asked.model], layers, side, asked.dtype)
        if asked.rounds:
            rows = (row(asker(each, "whole", whole), each, asked.rounds) for each in asked.engines)
            print_table(header, rows)
        if asked.pictures:
            print(
                "MiB of Inglenook + of its children (of them prompts), and of MLX's arrays, which"
            )
            print("a GPU has beside the process, so many pictures later:\n")
            small = Seeing(SHAPES["tiny"], _FEW_LAYERS, _SMALL_SIDE, asked.dtype)
            rows = (
                memory_row(asker(each, "small", small), each, asked.pictures)
                for each in asked.engines
            )
            print_table(["engine", *counts], rows)


if __name__ == "__main__":
    main()
