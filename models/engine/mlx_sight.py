"""A model's processor as its folder has it, and how it takes in pictures with that: a ``Sight``."""

import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy

from models import facts, projectors
from models.engine.mlx_library import import_vision
from models.engine.mlx_processor import PictureReader, Processor
from models.engine.mlx_seeing import VisionLibrary
from models.engine.tokenizer import Tokenizer
from models.errors import InferenceError, InvalidRequest, LoadFailed
from models.images import Picture
from models.json_file import read_object

Config: TypeAlias = Any
"""A ``ModelConfig`` of mlx_vlm's."""


class MlxSight:
    """A ``Sight`` over a processor.

    Args:
        by_template: whether the model's chat template writes its mark.
    """

    def __init__(self, reader: PictureReader, *, by_template: bool) -> None:
        self.reader = reader
        self._by_template = by_template

    @property
    def marker(self) -> str:
        return self.reader.mark

    @property
    def by_template(self) -> bool:
        return self._by_template

    def tokens(
        self, pieces: Sequence[str], pictures: Sequence[Picture], tokenizer: Tokenizer
    ) -> list[int]:
        """As ``Sight.tokens``. The text is tokenised as a whole, as the processor does it."""
        runs = [self.reader.run(each) for each in pictures]
        text = pieces[0]
        for run, piece in zip(runs, pieces[1:], strict=True):
            text += run.text + piece
        tokens = tokenizer.encode(text)
        if tokens.count(self.reader.image_token) != sum(run.count for run in runs):
            raise InvalidRequest(
                "A message has the model's own mark for a picture in its text: leave it out."
            )
        return tokens


class CountingSight:
    """The same for a model that is not loaded: its processor is, with the first picture.

    That takes some seconds. Its properties may raise LoadFailed too.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()  # protects what follows
        self._loaded: MlxSight | None = None

    @property
    def marker(self) -> str:
        return self._sight().marker

    @property
    def by_template(self) -> bool:
        return self._sight().by_template

    def tokens(
        self, pieces: Sequence[str], pictures: Sequence[Picture], tokenizer: Tokenizer
    ) -> list[int]:
        return self._sight().tokens(pieces, pictures, tokenizer)

    def _sight(self) -> MlxSight:
        with self._lock:
            if self._loaded is None:
                try:
                    self._loaded = self._load()
                except InferenceError:
                    raise
                except Exception as error:
                    raise LoadFailed(f"The model's processor cannot be used: {error}") from None
            return self._loaded

    def _load(self) -> MlxSight:
        library = import_vision()
        eyes = projectors.eyes_of(self._folder)
        read = dict(read_object(eyes / "config.json"))
        family = library.family(dict(read))[0]
        read.setdefault("text_config", read.pop("llm_config", {}))
        processor = processor_of(
            library, eyes, {"local_files_only": True, "trust_remote_code": False}
        )
        return sight_of(processor, family.ModelConfig.from_dict(read), self._folder)


def processor_of(library: VisionLibrary, folder: Path, options: Mapping[str, Any]) -> Processor:
    """Load a folder's processor; mlx_vlm's part for its family is to be imported before.

    It reckons with numpy where it would with mlx, which only the lane may call.
    """
    processor = library.load_processor(folder, add_detokenizer=False, **options)
    for part in (processor, getattr(processor, "image_processor", None)):
        names = vars(sys.modules[type(part).__module__])
        if getattr(names.get("mx"), "__name__", "") == "mlx.core":
            names["mx"] = numpy
    return processor


def sight_of(processor: Processor, config: Config, folder: Path) -> MlxSight:
    """Raises LoadFailed where the model has no token for pictures."""
    names = ("image_token_id", "image_token_index")
    found = [getattr(config, name) for name in names if getattr(config, name, None) is not None]
    if not found:
        raise LoadFailed(f"{folder.name} has no token for pictures.")
    mark, by_template = _mark(processor, facts.mlx_chat_template(folder) or "")
    return MlxSight(PictureReader(processor, int(found[0]), mark), by_template=by_template)


def _mark(processor: Processor, template: str) -> tuple[str, bool]:
    """Return what stands for a picture in a text, and whether the chat template writes it."""
    names = ("boi_token", "image_token")
    marks = [getattr(processor, name, None) for name in names]
    known = [mark for mark in marks if isinstance(mark, str) and mark]
    for mark in known:
        if mark in template:
            return mark, True
    return (known or ["<image>"])[0], False
