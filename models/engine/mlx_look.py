"""How an MLX model reads a prompt with pictures: seen one by one, then read chunk by chunk.

What a tower makes of a picture is kept by the picture's digest, so a chat pays for it once.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

from models.engine.mlx_places import Places, places_of
from models.engine.mlx_processor import PictureReader
from models.engine.mlx_seeing import SeeingModel
from models.engine.mlx_tower import Tower, Way
from models.errors import InvalidRequest
from models.images import Picture

Array: TypeAlias = Any
"""An mlx.core.array."""

Layer: TypeAlias = Any
"""A cache of mlx_lm.models.cache."""

# What mlx_vlm's ``InputEmbeddingsFeatures`` may have of one picture, and can be put together for
# a prompt with several.
_BY_PICTURE = {
    "inputs_embeds",
    "position_ids",
    "rope_deltas",
    "visual_pos_masks",
    "deepstack_visual_embeds",
    "per_layer_inputs",
    "attention_mask_4d",  # which no language part reads
}


@dataclass(frozen=True, slots=True)
class Features:
    """What a tower has made of one picture."""

    rows: Array  # (1, tokens, width)
    per_layer: Array | None = None  # (1, tokens, …)
    deepstack: tuple[Array, ...] = ()  # for the first layers, each (tokens, width)

    @property
    def arrays(self) -> list[Array]:
        more = [] if self.per_layer is None else [self.per_layer]
        return [self.rows, *more, *self.deepstack]

    @property
    def size_bytes(self) -> int:
        return sum(each.nbytes for each in self.arrays)


class Eyes:
    """The vision tower of one loaded model. Only its lane's thread calls it.

    ``most_bytes``: of features that are kept.
    """

    def __init__(
        self, mx: ModuleType, model: SeeingModel, reader: PictureReader, most_bytes: int
    ) -> None:
        self.mx = mx
        self.model = model
        self.reader = reader
        self.kept_bytes = 0
        self.seen_pictures = 0  # that went through the tower
        self._most_bytes = most_bytes
        self._tower = Tower(mx, model.vision)
        self._kept: OrderedDict[str, Features] = OrderedDict()
        # Of those that somebody waits for: two who wait for the same one share it.
        self._ways: WeakValueDictionary[str, Way[Features]] = WeakValueDictionary()

    def look(self, tokens: Sequence[int], pictures: Sequence[Picture]) -> "Look":
        """Raises InvalidRequest."""
        counts = [(each.digest, self.reader.run(each).count) for each in pictures]
        try:
            places = places_of(tokens, self.reader.image_token, counts)
        except ValueError:
            raise InvalidRequest("The prompt was cut within its pictures.") from None
        return Look(self, tokens, pictures, places)

    def known(self, picture: Picture) -> Features | None:
        if features := self._kept.get(picture.digest):
            self._kept.move_to_end(picture.digest)
            return features
        return None

    def way(self, picture: Picture) -> Way[Features]:
        """Return a picture's way through the tower.

        Raises:
            InvalidRequest: it is no picture for this model.
        """
        way = self._ways.get(picture.digest)
        if way is None:
            way = self._tower.lay_out(lambda: self._features(picture), lambda made: made.arrays)
            self._ways[picture.digest] = way
            self.seen_pictures += 1
        return way

    def keep(self, picture: Picture, features: Features) -> None:
        self.mx.clear_cache()
        if picture.digest in self._kept or features.size_bytes > self._most_bytes:
            return
        self._kept[picture.digest] = features
        self.kept_bytes += features.size_bytes
        while self.kept_bytes > self._most_bytes:
            self.kept_bytes -= self._kept.popitem(last=False)[1].size_bytes

    def embed(self, tokens: Sequence[int], inputs: dict[str, Array]) -> dict[str, Array]:
        """Return what mlx_vlm makes of tokens, and of the picture that they are of."""
        mx, vision = self.mx, self.model.vision
        ids = mx.array([list(tokens)])
        pixels = inputs.pop("pixel_values", None)
        made = vision.get_input_embeddings(ids, pixels, mask=mx.ones_like(ids), **inputs)
        return {name: value for name, value in made.to_dict().items() if value is not None}

    def _features(self, picture: Picture) -> Features:
        mx, run = self.mx, self.reader.run(picture)
        inputs = {name: mx.array(each) for name, each in self.reader.arrays(picture).items()}
        made = self.embed(run.tokens, inputs)
        if made.keys() - _BY_PICTURE:
            raise InvalidRequest("This kind of vision model cannot be used here yet.")
        token = self.reader.image_token
        where = mx.array([place for place, each in enumerate(run.tokens) if each == token])
        return Features(
            made["inputs_embeds"][:, where],
            made["per_layer_inputs"][:, where] if "per_layer_inputs" in made else None,
            tuple(made.get("deepstack_visual_embeds", ())),
        )


class Look:
    """One prompt with pictures on its way through a model."""

    def __init__(
        self, eyes: Eyes, tokens: Sequence[int], pictures: Sequence[Picture], places: Places
    ) -> None:
        self.places = places
        self._eyes = eyes
        self._tokens = tokens
        self._pictures = pictures
        self._features: dict[str, Features] = {}  # by digest
        self._way: Way[Features] | None = None  # of the picture that is being seen
        self._inputs: dict[str, Array] | None = None  # of the whole prompt
        self._positions: tuple[Array, Array] | None = None

    def again(self, tokens: Sequence[int]) -> "Look":
        """For a prompt that begins with this one."""
        return Look(self._eyes, tokens, self._pictures, self.places)

    def see_some(self, done: int) -> bool:
        """See a part of the next picture that is not read yet; return whether there was one.

        The last part takes a turn too: a chunk is not read on top of it.

        Raises:
            InvalidRequest: as ``Eyes.way``.
        """
        for picture, place in zip(self._pictures, self.places.found, strict=True):
            if place.end <= done or picture.digest in self._features:
                continue
            if known := self._eyes.known(picture):
                self._have(picture, known)
                continue
            self._way = self._way or self._eyes.way(picture)
            if made := self._way.go_on():
                self._eyes.keep(picture, made)
                self._have(picture, made)
            return True
        return False

    def _have(self, picture: Picture, features: Features) -> None:
        self._features[picture.digest] = features
        self._way = None  # it was this picture's, whoever came to its end

    @property
    def may_see_ahead(self) -> bool:
        """Whether tokens of a picture may see those behind them, as models have it that want
        such prompts whole."""
        model = self._eyes.model
        return callable(getattr(model.language, "chunked_prefill_policy", None)) or bool(
            getattr(model.vision, "no_chunked_prefill", False)
        )

    @property
    def in_one_piece(self) -> bool:
        """Whether what is left of it must be read so."""
        if not self.may_see_ahead:
            return False
        policy = getattr(self._eyes.model.language, "chunked_prefill_policy", None)
        return not (callable(policy) and policy(prefill_kwargs=self._whole()))

    @property
    def shift(self) -> int:
        """What the positions of tokens behind its pictures are to be corrected by."""
        if not self._eyes.model.shifts or not self._grids():
            return 0
        return int(self._placed()[1].reshape(-1)[0].item())

    def read(self, begin: int, end: int, layers: list[Layer]) -> Array:
        """Return the logits of some tokens, and have ``layers`` remember them."""
        inputs = self._whole()
        more = {name: value for name, value in inputs.items() if name != "inputs_embeds"}
        for name in self._types:
            more[name] = more[name][:, :end]  # as long as the mask that is made of it
        return self._eyes.model.read(
            self._eyes.mx.array([list(self._tokens[begin:end])]),
            layers,
            inputs_embeds=inputs["inputs_embeds"][:, begin:end],
            n_to_process=end - begin,
            **more,
        )

    # -- What mlx_vlm's language part is given of the prompt, beside its tokens ----------

    def _whole(self) -> dict[str, Array]:
        if self._inputs is None:
            self._inputs = self._together()
        return self._inputs

    def _together(self) -> dict[str, Array]:
        eyes, mx = self._eyes, self._eyes.mx
        inputs = eyes.embed(self._tokens, {})
        for features, place in zip(self._seen(), self.places.found, strict=True):
            if features:
                where = mx.array(place.places)
                _put(inputs["inputs_embeds"], where, features.rows)
                if features.per_layer is not None:
                    _put(inputs["per_layer_inputs"], where, features.per_layer)
        inputs |= self._deepstack()
        for name, number in self._types.items():
            inputs[name] = self._shown() * number
        if eyes.model.shifts and self._grids():
            inputs["position_ids"], inputs["rope_deltas"] = self._placed()
        return inputs

    def _seen(self) -> list[Features | None]:
        """None: the picture was read before."""
        return [self._features.get(each.digest) for each in self._pictures]

    def _deepstack(self) -> dict[str, Any]:
        mx, seen = self._eyes.mx, self._seen()
        example = next((each.deepstack for each in seen if each and each.deepstack), None)
        if example is None:
            return {}
        layers: list[Array] = []
        for number, layer in enumerate(example):
            rows: list[Array] = []
            for features, place in zip(seen, self.places.found, strict=True):
                nothing = (len(place.places), layer.shape[-1])
                rows.append(
                    features.deepstack[number] if features else mx.zeros(nothing, layer.dtype)
                )
            layers.append(mx.concatenate(rows))
        return {"deepstack_visual_embeds": layers, "visual_pos_masks": self._shown() == 1}

    def _shown(self) -> Array:
        """Return 1 for each token of a picture, else 0: (1, tokens)."""
        shown = self._eyes.mx.zeros((1, len(self._tokens)), self._eyes.mx.int32)
        shown[:, self._eyes.mx.array([at for each in self.places.found for at in each.places])] = 1
        return shown

    @property
    def _types(self) -> Mapping[str, int]:
        return self._eyes.reader.run(self._pictures[0]).types

    def _grids(self) -> list[tuple[int, ...]]:
        runs = [self._eyes.reader.run(each) for each in self._pictures]
        return [run.grid for run in runs if run.grid]

    def _placed(self) -> tuple[Array, Array]:
        """Return the positions (3, 1, tokens), and by how much later ones are shifted."""
        positions = self._positions
        if positions is None:
            mx = self._eyes.mx
            ids = mx.array([list(self._tokens)])
            positions = self._eyes.model.language.get_rope_index(
                ids, mx.array(self._grids()), None, mx.ones_like(ids)
            )
            self._positions = positions
        return positions


def _put(array: Array, where: Array, rows: Array) -> None:
    array[:, where] = rows.astype(array.dtype)
