"""Prompts of an MLX model on the disk: the layers of its KV cache as a safetensors file, and back.

Written is what ``mlx_lm.models.cache.save_prompt_cache`` would write, and its
``load_prompt_cache`` reads it; but the threads that write and check call nothing of mlx, and the
lane's thread copies nothing: it lends the arrays' own memory.
"""

import json
import logging
import threading
from collections.abc import Callable, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.engine.backend import LoadSpec
from models.engine.mlx_load import Library, is_out_of_memory
from models.engine.prefix_cache import Hit
from models.engine.prompt_owner import owner_of
from models.prompt_entry import Entry, Note, PromptKind, Stopped, Tokens
from models.prompt_files import PromptFiles, Shelf

log = logging.getLogger(__name__)

Layer: TypeAlias = Any
"""A cache of mlx_lm (mlx_lm/models/cache.py): of one layer, for one sequence."""

_FILE = "layers.safetensors"
_BIT_BYTES = 16 << 20  # that are read between two steps of others
# Of mlx's types, those that a cache has: how safetensors calls them.
_TYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "int8": "I8",
    "int32": "I32",
    "int64": "I64",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
}


def open_mlx_disk(
    files: PromptFiles,
    library: Library,
    spec: LoadSpec,
    chunk_tokens: int,
    wake: Callable[[], None],
) -> "MlxDisk":
    """``chunk_tokens``: a prompt is read in chunks of so many. ``wake``: see ``Fetch``."""
    owner = owner_of(
        spec,
        packages=("mlx", "mlx-lm"),
        device=str(library.mx.default_device()),
        chunk=str(chunk_tokens),
    )
    return MlxDisk(library, files.shelf(owner, spec.context_length), wake)


class MlxDisk:
    """What one loaded model has on the disk. Only its lane's thread calls it."""

    def __init__(self, library: Library, shelf: Shelf, wake: Callable[[], None]) -> None:
        self._library = library
        self._shelf = shelf
        self._wake = wake

    def longest(self, tokens: Sequence[int], grid: int | None = None) -> int:
        """Return how many tokens of a prompt ``fetch`` would spare, if nothing is damaged."""
        found = self._shelf.longest(tokens, grid)
        return found[1] if found else 0

    def fetch(self, tokens: Sequence[int], grid: int | None = None) -> "Fetch | None":
        """Begin to bring layers that hold the beginning of a prompt; None: there are none."""
        found = self._shelf.longest(tokens, grid)
        return Fetch(self._library, self._shelf, *found, self._wake) if found else None

    def keep(self, tokens: Sequence[int], layers: Sequence[Layer], kind: str, exact: int) -> None:
        """Have the layers written that hold ``tokens``; ``kind`` is a ``PromptKind``.

        Returns at once. It is for the shelf to say whether it is worth a file.
        """
        if not self._shelf.wants(tokens, exact):
            return
        layers = [_without_room(layer) for layer in layers]
        try:
            content = _Content.of(self._library, layers)
        except (KeyError, TypeError, ValueError) as error:
            log.warning("A prompt of %s cannot be kept: %r", self._shelf.owner.name, error)
            return
        note = Note(
            kind=PromptKind(kind),
            tokens=Tokens.of(tokens),
            cuttable=all(layer.is_trimmable() for layer in layers),
            file=_FILE,
            exact=exact,
        )
        self._shelf.put(note, content.size_bytes, partial(content.write, self._shelf.stopped))

    def close(self) -> None:
        """Wait a moment for what is to be written, and let go of the rest."""
        self._shelf.close()


class Fetch:
    """An entry on its way into memory, the layers its caller's own.

    A thread of its own reads and checks the file; only then does the lane's thread load it, some
    megabytes at a time, for others are to have their turns. ``wake`` is called on the former
    when it is ``ready`` for the latter.
    """

    def __init__(
        self,
        library: Library,
        shelf: Shelf,
        entry: Entry,
        length: int,
        wake: Callable[[], None],
    ) -> None:
        self.found: Hit | None = None
        self._library = library
        self._shelf = shelf
        self._entry = entry
        self._length = length
        self._wake = wake
        self._layers: list[Layer] | None = None
        self._left: list[Any] = []  # of their arrays, those that are not in memory
        self._payload: Path | None = None
        self._checked = threading.Event()
        self._cancelled = False
        threading.Thread(target=self._check, name="prompt-check", daemon=True).start()

    @property
    def ready(self) -> bool:
        return self._checked.is_set()

    def go_on(self) -> bool:
        """Load some more; return whether it is over, and ``found`` says what came of it."""
        if self._payload is None:
            return True
        try:
            self._load_some(self._payload)
        except Exception as error:
            log.warning("A remembered prompt cannot be loaded: %s", error)
            self._layers, self._left = None, []
            if is_out_of_memory(error):
                self._shelf.pass_over(self._entry)
            else:
                self._shelf.drop(self._entry)
            return True
        if self._left:
            return False
        self.found = self._cut(self._layers or [])
        return True

    def cancel(self) -> None:
        self._cancelled = True

    def _load_some(self, payload: Path) -> None:
        if self._layers is None:
            self._layers = self._library.load_layers(str(payload))
            values = [value for _, value in self._library.flatten([e.state for e in self._layers])]
            self._left = [each for each in values if isinstance(each, self._library.mx.array)]
            return
        some: list[Any] = []
        while self._left and sum(each.nbytes for each in some) < _BIT_BYTES:
            some.append(self._left.pop())
        self._library.mx.eval(some)

    def _cut(self, layers: list[Layer]) -> Hit:
        note = self._entry.note
        if surplus := len(note.tokens) - self._length:
            for layer in layers:
                layer.trim(surplus)
        return Hit(layers, self._length, min(note.exact, self._length))

    def _check(self) -> None:  # on a thread of its own
        try:
            self._payload = self._shelf.whole(self._entry, lambda: self._cancelled)
        except Stopped:
            pass
        finally:
            self._checked.set()
            self._wake()


def _without_room(layer: Layer) -> Layer:
    """A copy whose arrays hold its own tokens alone: not the room that they have for more,
    nor the tokens of a longer prompt whose arrays they are."""
    own = copy(layer)
    match type(layer).__name__:
        case "CacheList":
            own.caches = tuple(_without_room(each) for each in layer.caches)
        case "KVCache" if layer.keys is not None:
            own.keys, own.values = layer.keys_and_values()
        case _:
            pass
    return own


@dataclass(frozen=True, slots=True)
class _Content:
    arrays: dict[str, tuple[str, NDArray[Any]]]  # type and numbers, by name
    metadata: dict[str, str]

    @classmethod
    def of(cls, library: Library, layers: list[Layer]) -> "_Content":
        """On the lane's thread. Raises KeyError where a type has no name here."""
        arrays: dict[str, tuple[str, NDArray[Any]]] = {}
        plain: list[str | tuple[str, str]] = [""]  # values that are no arrays; never empty
        for name, value in library.flatten([layer.state for layer in layers]):
            if isinstance(value, library.mx.array):
                arrays[name] = _lent(library, value)
                continue
            word, array = _as_array(value)
            plain.append((name, word))
            arrays[name] = (_TYPES[array.dtype.name], array)
        classes = [type(layer).__name__ for layer in layers]
        metadata = dict(library.flatten([{}, classes, plain]))
        return cls(arrays, metadata)

    @property
    def size_bytes(self) -> int:
        return sum(array.nbytes for _, array in self.arrays.values())

    def write(self, stopped: Callable[[], bool], path: Path) -> None:
        """On the writing thread. Raises OSError, Stopped."""
        header: dict[str, object] = {"__metadata__": self.metadata}
        place = 0
        for name, (kind, array) in self.arrays.items():
            end = place + array.nbytes
            header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": (place, end)}
            place = end
        raw = json.dumps(header).encode()
        raw += b" " * (-len(raw) % 8)
        with path.open("xb") as file:
            file.write(len(raw).to_bytes(8, "little") + raw)
            for _, array in self.arrays.values():
                if stopped():
                    raise Stopped
                file.write(np.ascontiguousarray(array).data)


def _lent(library: Library, array: Any) -> tuple[str, NDArray[Any]]:  # noqa: ANN401 - mx.array
    """The array's own memory. It waits for the array to be computed."""
    # A handle of our own: whoever writes to the other one gets new memory, and this stays.
    array = deepcopy(array)
    name = str(array.dtype).removeprefix("mlx.core.").rstrip("_")
    if name == "bfloat16":  # which numpy does not know
        array = array.view(library.mx.uint16)
    return _TYPES[name], np.array(array, copy=False)


def _as_array(value: object) -> tuple[str, NDArray[Any]]:
    """What is no array, as ``load_prompt_cache`` expects it, and its word for it."""
    match value:
        case None:
            return "none", np.zeros(0, np.float32)
        case bool():
            return "scalar", np.array(value)
        case int():
            return "scalar", np.array(value, np.int32)
        case float():
            return "scalar", np.array(value, np.float32)
        case str():
            return "string", np.array([ord(char) for char in value], np.int32)
        case _:
            raise TypeError(f"{type(value).__name__} cannot be written")
