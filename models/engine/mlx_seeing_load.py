"""Loads the folder of a vision model by mlx_vlm and mlx_lm both, and what reads its pictures.

It adapts the ``Library`` that ``Loading`` works with: weights come bit by bit, as any model's.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, cast

from models import projectors
from models.engine.mlx_load import Library, LoadedFolder, MlxTokenizer, Module, is_out_of_memory
from models.engine.mlx_look import Eyes
from models.engine.mlx_processor import Processor
from models.engine.mlx_seeing import Layer, SeeingModel, VisionLibrary
from models.engine.mlx_sight import MlxSight, processor_of, sight_of
from models.errors import LoadFailed
from models.json_file import read_object

log = logging.getLogger(__name__)

EndOfTurn: TypeAlias = int | list[int] | None
"""Of a configuration."""


class SeeingFolder:
    """One folder on its way into memory; ``library`` loads it."""

    def __init__(self, plain: Library, vision: VisionLibrary, folder: Path) -> None:
        self._plain = plain
        self._vision = vision
        self._folder = folder
        self._model: SeeingModel | None = None
        self._processor: Processor | None = None
        self.library = replace(
            plain,
            load_model=self._load_model,
            load_tokenizer=self._load_tokenizer,
            make_prompt_cache=self.new_layers,
        )

    def new_layers(self, model: Module) -> list[Layer]:
        if not isinstance(model, SeeingModel):
            return self._plain.make_prompt_cache(model)
        return [self._as_ours(each) for each in self._plain.make_prompt_cache(model.decoder)]

    def eyes(self, loaded: LoadedFolder, most_bytes: int) -> tuple[Eyes, MlxSight] | None:
        """Return what sees for the model, once it is loaded; None: it only reads texts.

        Args:
            most_bytes: of what the tower makes of pictures, to be kept.
        """
        model, processor = self._model, self._processor
        if model is None or processor is None:
            return None
        try:
            model.check(lambda: self.new_layers(model), loaded.vocabulary_size)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            log.exception("mlx_vlm's side of %s does not run, mlx_lm's does", self._folder)
            return None
        try:
            sight = sight_of(processor, model.vision.config, self._folder)
        except LoadFailed as error:
            log.warning("No pictures: %s", error)
            return None
        return Eyes(self._plain.mx, model, sight.reader, most_bytes), sight

    def _load_model(self, folder: Path, *, lazy: bool) -> tuple[Module, dict[str, Any]]:
        config = dict(read_object(folder / "config.json"))
        try:
            if "model_file" in config:  # mlx_vlm would run it
                raise ValueError("the model comes with a program of its own, which is not run")
            model = self._both_sides(folder, lazy=lazy)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            log.warning("mlx_vlm cannot load %s, which may read texts: %s", folder, error)
            try:
                return self._plain.load_model(folder, lazy=lazy)
            except Exception:
                raise error from None
        self._model = model
        return model, {**_text_of(config), **config}

    def _both_sides(self, folder: Path, *, lazy: bool) -> SeeingModel:
        eyes = projectors.eyes_of(folder)
        apart = eyes != folder  # then they have no language part: that is the folder's own
        vision = self._vision.load_model(eyes, lazy=lazy, strict=not apart)
        text = self._load_text(folder, lazy=lazy)
        if apart and text is None:
            raise ValueError("mlx_lm cannot load it, and mlx_vlm has only its eyes")
        return SeeingModel(
            self._plain.mx,
            self._plain.flatten,
            vision,
            text,
            self._vision.arrays_cache,
            apart=apart,
        )

    def _load_text(self, folder: Path, *, lazy: bool) -> Module | None:
        try:
            return self._plain.load_model(folder, lazy=lazy)[0]
        except Exception as error:
            log.info("mlx_lm cannot load %s: its rows decode one by one: %s", folder, error)
            return None

    def _load_tokenizer(
        self, folder: Path, options: Mapping[str, Any], *, eos_token_ids: EndOfTurn
    ) -> MlxTokenizer:  # on a thread of its own
        tokenizer = self._plain.load_tokenizer(folder, options, eos_token_ids=eos_token_ids)
        if self._model is not None:
            try:
                eyes = projectors.eyes_of(folder)
                self._processor = processor_of(self._vision, eyes, options)
            except Exception as error:
                log.warning("%s has no processor that works here: %s", folder, error)
        return tokenizer

    def _as_ours(self, layer: Layer) -> Layer:
        """Return mlx_lm's cache for one of mlx_vlm's, which is empty."""
        name = type(layer).__name__
        own = self._vision.cache_classes.get(name)
        if own is None or isinstance(layer, own):
            return layer
        match name:
            case "RotatingKVCache":
                return own(layer.max_size, layer.keep)
            case "ArraysCache":
                return own(len(layer.cache))
            case _:
                return own()


def _text_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the configuration says of its language part alone."""
    text = config.get("text_config")
    found = cast("dict[str, Any]", text) if isinstance(text, dict) else {}
    return {"vocab_size": found["vocab_size"]} if "vocab_size" in found else {}
