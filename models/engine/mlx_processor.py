"""What a model's own processor makes of a picture: its tokens, and what its vision tower reads.

Processors are transformers' and mlx_vlm's; they give numpy arrays here, so any thread may have
one work. One picture at a time, and each by itself: so it is done once for all the turns of a
chat.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.errors import InvalidRequest
from models.images import Picture

log = logging.getLogger(__name__)

# Of a picture, beyond which it is shrunk: what Qwen's towers make 4,096 tokens of.
_MOST_PIXELS = 4096 * 28 * 28
_KEPT_BYTES = 64 << 20  # of what towers are still to read, or have read lately
_MOST_TEXTS = 256  # of pictures whose tokens are known

_TYPES = ("mm_token_type_ids", "token_type_ids")  # of tokens: which are a picture's

PilImage: TypeAlias = Any
"""A PIL.Image.Image."""

Arrays: TypeAlias = Mapping[str, NDArray[Any]]


class Processor(Protocol):
    """One of transformers or mlx_vlm."""

    tokenizer: Any

    def __call__(
        self, *, text: list[str], images: list[PilImage], return_tensors: str
    ) -> Mapping[str, ArrayLike]: ...


@dataclass(frozen=True, slots=True)
class Run:
    """What stands for one picture in a prompt."""

    text: str
    tokens: tuple[int, ...]
    count: int  # of them, those that the picture's own features take the place of
    grid: tuple[int, ...] = ()  # time, height and width in patches, where positions need them
    types: Mapping[str, int] = field(default_factory=dict[str, int])  # that its tokens have


class PictureReader:
    """Args:
    image_token: the id that a picture's features take the place of.
    mark: what stands for a picture in the text that the processor is given.
    """

    def __init__(self, processor: Processor, image_token: int, mark: str) -> None:
        self.image_token = image_token
        self.mark = mark
        self._processor = processor
        self._working = threading.Lock()  # one at a time: it takes memory
        self._lock = threading.Lock()  # protects what follows
        self._runs: OrderedDict[str, Run] = OrderedDict()  # by digest, as the next
        self._arrays: OrderedDict[str, Arrays] = OrderedDict()
        self._bytes = 0

    def run(self, picture: Picture) -> Run:
        """Return a picture's tokens. Raises InvalidRequest."""
        with self._lock:
            if known := self._runs.get(picture.digest):
                self._runs.move_to_end(picture.digest)
                return known
        return self._read(picture)[0]

    def arrays(self, picture: Picture) -> Arrays:
        """Return what its tower reads of a picture. Raises InvalidRequest."""
        with self._lock:
            if known := self._arrays.get(picture.digest):
                return known
        return self._read(picture)[1]

    def _read(self, picture: Picture) -> tuple[Run, Arrays]:
        with self._working:
            try:
                made = self._made(picture)
            except Exception as error:
                log.exception("The processor failed")
                raise InvalidRequest(
                    f"The model's processor cannot read the picture: {error}"
                ) from None
        tokens = tuple(int(each) for each in np.asarray(made.pop("input_ids")).ravel())
        made.pop("attention_mask", None)
        bos = self._processor.tokenizer.bos_token_id
        if bos is not None and tokens[:1] == (bos,):
            tokens = tokens[1:]
        count = tokens.count(self.image_token)
        if not count:
            raise InvalidRequest("The model's processor has no tokens for the picture.")
        text: str = self._processor.tokenizer.decode(list(tokens), skip_special_tokens=False)
        place = tokens.index(self.image_token)
        types = {name: int(made.pop(name).ravel()[place]) for name in _TYPES if name in made}
        grid = tuple(int(each) for each in made.get("image_grid_thw", np.zeros(0)).ravel())
        run = Run(text, tokens, count, grid, types)
        self._keep(picture.digest, run, made)
        return run, made

    def _made(self, picture: Picture) -> dict[str, NDArray[Any]]:
        from PIL import Image  # noqa: PLC0415 (no start needs Pillow)

        with Image.open(BytesIO(picture.png)) as opened:
            image = opened.convert("RGB")
        surplus = image.width * image.height / _MOST_PIXELS
        if surplus > 1:
            share = surplus**-0.5
            image = image.resize((int(image.width * share), int(image.height * share)))
        made = self._processor(text=[self.mark], images=[image], return_tensors="np")
        return {name: np.asarray(value) for name, value in made.items()}

    def _keep(self, digest: str, run: Run, arrays: Arrays) -> None:
        with self._lock:
            self._runs[digest] = run
            if len(self._runs) > _MOST_TEXTS:
                self._runs.popitem(last=False)
            self._bytes += _size(arrays) - _size(self._arrays.pop(digest, {}))
            self._arrays[digest] = arrays
            while self._bytes > _KEPT_BYTES and len(self._arrays) > 1:
                self._bytes -= _size(self._arrays.popitem(last=False)[1])


def _size(arrays: Arrays) -> int:
    return sum(each.nbytes for each in arrays.values())
