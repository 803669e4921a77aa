"""How a GGUF model with a projector takes in pictures: as texts and PNG files, in its child.

llama.cpp's server takes no ids beside pictures, but a text with a marker for each. The ids that
stand for it here are those that the child makes of it; where a picture is, each is a number that
no vocabulary has and that the picture's pixels choose, as often as the child counts.
"""

import base64
import secrets
import struct
import zlib
from collections.abc import Callable, Sequence

from models.engine.backend import Work
from models.engine.counted import all_tokens, readable
from models.engine.llama_client import JSON
from models.engine.llama_tokenizer import LlamaTokenizer
from models.engine.prepared import FIRST_PLACE
from models.engine.tokenizer import Tokenizer
from models.errors import InvalidRequest
from models.images import Picture
from models.model import Model
from models.picture_tokens import likely_tokens

_COUNTING = "/v1/chat/completions/input_tokens"
_DIGITS = 8  # of a digest: 32 bits
# A message with nothing but a picture is put between these (``llama_worker.py``: chatml).
_AROUND = ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n")


class LlamaSight:
    """A ``Sight``.

    Args:
        count: says how many tokens a picture of some width and height has.
        survives: whether the child can read a text in one piece.
    """

    by_template = False

    def __init__(
        self,
        marker: str,
        tokenizer: Tokenizer,
        bos_token: str,
        count: Callable[[int, int], int],
        survives: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self.marker = marker
        self._tokenizer = tokenizer
        self._bos_token = bos_token
        self._count = count
        self._survives = survives

    def tokens(
        self, pieces: Sequence[str], pictures: Sequence[Picture], tokenizer: Tokenizer
    ) -> list[int]:
        pieces = self._as_read(pieces)
        if not all(map(self._survives, pieces)):
            raise InvalidRequest(
                "Beside a picture no text may go on for 800 characters without a space or a mark: "
                "break it up, or leave the picture out."
            )
        tokens = [] if tokenizer.bos is None else [tokenizer.bos]
        tokens += all_tokens(tokenizer, pieces[0])
        for picture, piece in zip(pictures, pieces[1:], strict=True):
            tokens += [place_of(picture)] * self._count(picture.width, picture.height)
            tokens += all_tokens(tokenizer, piece)
        return tokens

    def prompt(self, work: Work) -> JSON:
        """Return what the child is given of work with pictures, in place of its ids."""
        return {
            "prompt_string": self.marker.join(self._as_read(work.pieces)),
            "multimodal_data": [base64.b64encode(each.png).decode() for each in work.pictures],
        }

    def _as_read(self, pieces: Sequence[str]) -> list[str]:
        """Without the BOS, which the child adds, and with something behind the last picture: a
        prompt that ends with one would end the child."""
        first, *others = [readable(each) for each in pieces]
        if self._bos_token and self._tokenizer.bos is not None:
            first = first.removeprefix(self._bos_token)
        if others and not others[-1]:
            others[-1] = "\n"
        return [first, *others]


class PictureCount:
    """What the child counts for a picture of some size: it makes no difference what is seen."""

    def __init__(self, tokenizer: LlamaTokenizer) -> None:
        self._tokenizer = tokenizer
        self._counted: dict[tuple[int, int], int] = {}

    def __call__(self, width: int, height: int) -> int:
        """Raises InvalidRequest, ModelCrashed."""
        if (width, height) not in self._counted:
            self._counted[width, height] = self._asked(width, height)
        return self._counted[width, height]

    def _asked(self, width: int, height: int) -> int:
        parts = [{"type": "image_url", "image_url": {"url": _blank(width, height)}}]
        said = self._tokenizer.post(_COUNTING, {"messages": [{"role": "user", "content": parts}]})
        count = said.get("input_tokens")
        if not isinstance(count, int):
            raise InvalidRequest(f"The model cannot take a picture of {width} x {height} pixels.")
        around = sum(len(self._tokenizer.encode(each)) for each in _AROUND)
        return count - around - (self._tokenizer.bos is not None)


def sight_of(
    model: Model, tokenizer: LlamaTokenizer, bos_token: str, marker: str
) -> LlamaSight | None:
    """Return how a model that is loaded takes in pictures; None: it takes none."""
    if not model.files.projector:
        return None
    count = PictureCount(tokenizer)
    return LlamaSight(marker, tokenizer, bos_token, count, tokenizer.survives)


def guessed_sight(model: Model, tokenizer: Tokenizer, bos_token: str) -> LlamaSight | None:
    """The same for one that is not: what a picture counts is told by its size alone, nearly.

    Raises:
        LoadFailed: its projector cannot be read.
    """
    if not model.files.projector:
        return None
    marker = f"<picture {secrets.token_hex(16)}>"
    return LlamaSight(marker, tokenizer, bos_token, likely_tokens(model.files))


def place_of(picture: Picture) -> int:
    """Return the number that stands where a picture is: another one for most others."""
    return FIRST_PLACE | int(picture.digest[:_DIGITS], 16)


def _blank(width: int, height: int) -> str:
    """Return a black picture of this size, as a data URL."""
    rows = bytes(height * (1 + width))  # each begins with the kind of its filter
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0),
        b"IDAT": zlib.compress(rows, 1),
        b"IEND": b"",
    }
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks.items()
    )
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
