"""How well a text model answers after pictures: while its eyes learn, or while it learns itself."""

# torch's types are partly unknown.
# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from ahead import ahead
from matplotlib import get_data_path
from network import Network
from safetensors.torch import load_file
from sight_chat_batches import ChatBatch, ChatReader, Heard
from sight_export import mlx_name
from sight_figures import fonts
from sight_network import Sight, SightShape
from torch import Tensor
from torch.nn import functional
from words import Dice

SEED = 8_000_000
HELD_OUT = 3
REPORTED = 200  # chats
BATCH = 8  # chats
MAKERS = {"cpu": 0, "cuda": 4}  # processes that draw pictures meanwhile


class Eyes:
    """Finished eyes, which stay as they are: a text model that learns must go on hearing them.

    Args:
        layout: the mlx folder of a model with eyes.
    """

    def __init__(self, layout: Path, device: torch.device) -> None:
        weights = load_file(layout / "vision/model.safetensors")
        text_width = weights[mlx_name("projector.linear_2.bias")].shape[0]
        self._sight = Sight(SightShape(text_width)).requires_grad_(False)
        for name, weight in self._sight.state_dict().items():
            weight.copy_(weights[mlx_name(name)])
        self._sight.to(device)
        self._device = device
        maker = partial(chat_batches, self._sight.shape, SEED, BATCH)
        self._batches = ahead(maker, 0, MAKERS[device.type])

    def loss(self, text: Network) -> Tensor:
        """Return how badly the text model answers in some chats, others each time."""
        batch = next(self._batches)
        return answers(text, batch, self._seen(batch))

    def report(self, text: Network) -> list[bool]:
        """Return which of some replies would be right as a whole."""
        batch = chat_batches(self._sight.shape, HELD_OUT, REPORTED)(0)
        right = right_answers(text, batch, self._seen(batch))
        return [each for kind in right.values() for each in kind]

    @torch.no_grad()
    def _seen(self, batch: ChatBatch) -> Tensor:
        return self._sight(batch.seen.pictures.to(self._device))


def chat_batches(shape: SightShape, seed: int, size: int) -> Callable[[int], ChatBatch]:
    """Return what makes batches of so many chats, by their numbers."""
    reader = ChatReader(shape, fonts(Path(get_data_path()) / "fonts/ttf"))
    return lambda number: reader.batch(Dice(seed + number), size)


def answers(text: Network, batch: ChatBatch, made: Tensor) -> Tensor:
    """Return how badly the text model, having heard the pictures, says what it is to say."""
    losses: list[Tensor] = []
    for heard, pictures in _with_pictures(batch, made):
        weights = heard.weights[:, 1:].to(made.device)
        counted = weights > 0
        logits = text.logits(_through(text, heard, pictures)[counted]).float()
        wanted = heard.tokens[:, 1:].to(made.device)[counted]
        wrong = functional.cross_entropy(logits, wanted, reduction="none")
        losses.append((wrong * weights[counted]).sum())
    return torch.stack(losses).sum() / sum(each.weights.sum() for each in batch.heard)


@torch.no_grad()
def right_answers(text: Network, batch: ChatBatch, made: Tensor) -> dict[str, list[bool]]:
    """Return which replies of each kind of chat would be right as a whole."""
    right: dict[str, list[bool]] = defaultdict(list)
    rows = iter(batch.rows)
    for heard, pictures in _with_pictures(batch, made):
        best = text.logits(_through(text, heard, pictures)).argmax(-1).cpu()
        good = (best == heard.tokens[:, 1:]) | (heard.weights[:, 1:] == 0)
        for each in good.all(-1):
            right[next(rows).kind].append(bool(each))
    return right


def _with_pictures(batch: ChatBatch, made: Tensor) -> Iterator[tuple[Heard, Tensor]]:
    counts = [each.pictures for each in batch.heard]
    return zip(batch.heard, torch.split(made, counts), strict=True)


def _through(text: Network, heard: Heard, pictures: Tensor) -> Tensor:
    x = text.embed_tokens(heard.tokens[:, :-1].to(pictures.device))
    places = heard.places[:, :-1, None].to(pictures.device)
    return text.through(x.masked_scatter(places, pictures.float()))
