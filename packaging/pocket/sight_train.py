"""Trains the eyes: to say of a picture, in embeddings, what a text would say of it in words.

    sight_train.py FOLDER [--resume]

FOLDER gets words.pt, once a minute, and words.log. The text model is the finished one in
resources/pocket: of it nothing changes, and only its embeddings are needed.
"""

# torch's types are partly unknown.
# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from ahead import ahead
from matplotlib import get_data_path
from safetensors.torch import load_file
from sight_batches import SightBatch, SightReader
from sight_figures import fonts
from sight_learner import MAKERS, TEXT_MODEL, TIMES, Learner
from sight_network import SightShape
from torch import Tensor
from torch.nn import functional
from words import Dice

SEED = 5_000_000
HELD_OUT = 1
BATCH = 32  # pictures
POINTING_STEPS = 700  # at first only what is at each patch is learned
STEPS = POINTING_STEPS + 3000  # in all
MUON_RATE = 0.02
ADAM_RATE = 0.003
WARM_UP = 30
DECAY = 0.6  # last part of the steps, in which the rate falls to nothing
POINTING = 0.3  # weight of what is at each patch, once it speaks
NEAR = 0.1  # of the distance between two words: what counts as near


def pictures(shape: SightShape, seed: int, size: int) -> Callable[[int], SightBatch]:
    """Return what makes batches of so many pictures, by their numbers."""
    with_fonts = fonts(Path(get_data_path()) / "fonts/ttf")
    reader = SightReader(TEXT_MODEL / "tokenizer.json", shape, with_fonts)
    return lambda number: reader.batch(Dice(seed + number), size)


class SightTrainer:
    def __init__(self, folder: Path) -> None:
        weights = load_file(TEXT_MODEL / "model.safetensors")
        words = weights["model.embed_tokens.weight"].float()
        self.learner = Learner(folder / "words.pt", words.shape[1])
        self.words = words.to(self.learner.device)
        self.times = TIMES[self.learner.device.type]

    def run(self) -> None:
        maker = partial(pictures, self.learner.sight.shape, SEED, BATCH)
        self.batches = ahead(maker, self.learner.step + 1, MAKERS[self.learner.device.type])
        self.learner.run(STEPS * self.times, self.learn, self.report)

    def learn(self) -> dict[str, float]:
        step, sight = self.learner.step, self.learner.sight
        batch = next(self.batches)
        seen = sight.tower(batch.pictures.to(self.learner.device))
        losses = self.learner.pointed(batch, seen)
        loss = torch.stack(list(losses.values())).sum()
        if step > POINTING_STEPS * self.times:
            losses["said"] = self.said(batch, sight.projector(seen))
            loss = POINTING * loss + losses["said"]
        done = step / (STEPS * self.times)
        part = min(1.0, step / WARM_UP, (1 - done) / DECAY)
        self.learner.move(loss, MUON_RATE * part, ADAM_RATE * part)
        return {name: each.item() for name, each in losses.items()}

    def said(self, batch: SightBatch, made: Tensor) -> Tensor:
        """Return how far the embeddings are from those of the words, and how near to others."""
        wanted = batch.said.flatten().to(self.learner.device)
        made = made.flatten(0, 1)
        spread = self.words.var(0).sum()
        nearness = -torch.cdist(made, self.words).square() / (2 * NEAR * spread)
        distance = (made - self.words[wanted]).square().sum(-1).mean() / spread
        return functional.cross_entropy(nearness, wanted) + distance

    @torch.no_grad()
    def report(self) -> str:
        """Return how many words are right, and of how many pictures all are."""
        batch = pictures(self.learner.sight.shape, HELD_OUT, 2 * BATCH)(0)
        made = self.learner.sight(batch.pictures.to(self.learner.device))
        right = torch.cdist(made, self.words).argmin(-1).cpu() == batch.said
        return f"words {right.float().mean():.3f} pictures {right.all(-1).float().mean():.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    trainer = SightTrainer(options.folder)
    if options.resume:
        trainer.learner.resume()
    trainer.run()


if __name__ == "__main__":
    main()
