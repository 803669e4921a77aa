"""The tokenizer of an MLX folder, in this process.

Nothing here imports transformers or tokenizers: whoever has loaded one passes it in.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Protocol, cast

from models.engine.tokenizer import (
    PIECE_CHARACTERS,
    Around,
    Joint,
    Tokenizer,
    around_of,
    joint_of,
    pieces,
)
from models.fill_in import FillIn, find

# What a normaliser may make of a text: at the most, so many times fewer bytes. NFC joins a
# letter and its marks, as the three parts of a Korean syllable. What is not here may take any
# number of characters away.
_SHORTENED = {"NFC": 3, "NFD": 1, "Prepend": 1, "Sequence": 1}


class Encoding(Protocol):
    ids: list[int]


class Component(Protocol):
    """A normaliser, a model or a decoder."""

    def __getstate__(self) -> bytes:
        """Return it as JSON, the way tokenizer.json has it."""
        ...


class Tokenizers(Protocol):
    """tokenizers.Tokenizer."""

    normalizer: Component | None
    decoder: Component | None
    model: Any

    def encode_batch_fast(
        self, input: list[str], *, add_special_tokens: bool
    ) -> Sequence[Encoding]: ...

    def no_truncation(self) -> None: ...

    def no_padding(self) -> None: ...

    def get_vocab_size(self) -> int: ...

    def id_to_token(self, id: int) -> str | None: ...

    def token_to_id(self, token: str) -> int | None: ...


class Slow(Protocol):
    """A tokenizer of transformers: those in Rust have a ``backend_tokenizer`` besides."""

    bos_token: str | None

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...


class HfTokenizer:
    """A ``Tokenizer`` over Hugging Face's.

    ``bos_token`` is how the BOS is written; "": the model has none.
    """

    def __init__(self, fast: Tokenizers, *, bos_token: str | None) -> None:
        self._fast = fast
        self._bos_token = bos_token

    @property
    def longest_token_bytes(self) -> int:
        return self._longest_token_bytes

    @cached_property
    def _longest_token_bytes(self) -> int:
        shortened = _shortened_by(self._fast)
        if shortened is None:
            return sys.maxsize
        # One call a token: a whole vocabulary at once would stop every thread for half a second.
        longest = 1
        for token in range(self._fast.get_vocab_size()):
            longest = max(longest, len((self._fast.id_to_token(token) or "").encode()))
        return longest * shortened

    @property
    def cuts_cleanly(self) -> bool:
        return self._joint is Joint.SPACE_STAYS

    @property
    def bos(self) -> int | None:
        return self._bos

    @cached_property
    def _bos(self) -> int | None:
        if not self._bos_token:
            return None
        added = self._fast.encode_batch_fast([""], add_special_tokens=True)[0].ids
        # What is added may be an EOS alone, or both.
        return added[0] if added[:1] == self._encode_all([self._bos_token]) else None

    @property
    def around(self) -> Around:
        return self._around

    @cached_property
    def _around(self) -> Around:
        (whole,) = self._fast.encode_batch_fast(["a"], add_special_tokens=True)
        return around_of(whole.ids, self._encode_all(["a"]))

    @cached_property
    def _joint(self) -> Joint:
        return joint_of(self._encode_all)

    def encode(self, text: str) -> list[int]:
        joint = self._joint if len(text) > PIECE_CHARACTERS else Joint.NONE
        return self._encode_all(pieces(text, joint))

    def encode_each(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(each) for each in texts]

    def _encode_all(self, texts: Iterable[str]) -> list[int]:
        tokens: list[int] = []
        for text in texts:
            # Of several names for one thing, the one that gives up the GIL; and a piece at a
            # time, since to free the result of a long text takes it for as long again.
            (encoding,) = self._fast.encode_batch_fast([text], add_special_tokens=False)
            tokens += encoding.ids
        return tokens


class SlowTokenizer:
    """A ``Tokenizer`` over one of transformers' own, in Python, of which there are few."""

    longest_token_bytes = sys.maxsize  # there is no saying what it leaves out

    def __init__(self, slow: Slow) -> None:
        self._slow = slow

    @property
    def cuts_cleanly(self) -> bool:
        return False

    @property
    def bos(self) -> int | None:
        written = self._slow.bos_token
        added = self._slow.encode("", add_special_tokens=True)
        return added[0] if written and added[:1] == self.encode(written) else None

    @property
    def around(self) -> Around:
        return around_of(self._slow.encode("a", add_special_tokens=True), self.encode("a"))

    def encode(self, text: str) -> list[int]:
        return self._slow.encode(text, add_special_tokens=False)

    def encode_each(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(each) for each in texts]


def tokenizer_of(loaded: Slow, *, whole: bool = False) -> Tokenizer:
    """Return the tokenizer that transformers has loaded.

    ``whole``: those of embedding models are told to cut texts and to fill them up, to a length
    that is not the model's; ours leaves them as they are.
    """
    fast: Tokenizers | None = getattr(loaded, "backend_tokenizer", None)
    if fast and whole:
        fast.no_truncation()
        fast.no_padding()
    return HfTokenizer(fast, bos_token=loaded.bos_token) if fast else SlowTokenizer(loaded)


def fill_in_of(loaded: Slow) -> FillIn | None:
    """Return the tokens of fill-in-the-middle of what transformers has loaded; None: none."""
    fast: Tokenizers | None = getattr(loaded, "backend_tokenizer", None)
    return find(fast.token_to_id) if fast else None


def _shortened_by(fast: Tokenizers) -> int | None:
    """Return how many times fewer bytes a text may become; None: there is no saying."""
    if not _has_bytes(fast):
        return None
    shortened = 1
    for step in _steps(fast.normalizer, "normalizers"):
        match step:
            case {"type": "Replace", "pattern": {"String": str(before)}, "content": str(after)}:
                if len(after.encode()) < len(before.encode()):
                    return None
            case {"type": str(kind)} if kind in _SHORTENED:
                shortened *= _SHORTENED[kind]
            case _:
                return None
    return shortened


def _has_bytes(fast: Tokenizers) -> bool:
    """Whether every byte has a token, so that none is passed over."""
    if type(fast.model).__name__ != "BPE":
        return False
    kinds = {step.get("type") for step in _steps(fast.decoder, "decoders")}
    return "ByteLevel" in kinds or bool(fast.model.byte_fallback)


def _steps(component: Component | None, several: str) -> list[dict[str, Any]]:
    if component is None:
        return []
    whole: dict[str, Any] = json.loads(component.__getstate__())
    return cast("list[dict[str, Any]]", whole.get(several, [whole]))
