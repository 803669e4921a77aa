"""Trains the eyes: to say of a picture, in embeddings, what a text would say of it in words.

    sight_train.py FOLDER [--resume]

FOLDER gets words.pt, once a minute, and words.log. The text model is the finished one in
resources/pocket: of it nothing changes, and only its embeddings are needed.
"""

# torch's types are partly unknown.
# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false

import argparse
from pathlib import Path

import torch
from matplotlib import get_data_path
from safetensors.torch import load_file
from sight_batches import SightBatch, SightReader
from sight_figures import fonts
from sight_learner import TEXT_MODEL, Learner
from torch import Tensor
from torch.nn import functional
from words import Dice

SEED = 5_000_000
HELD_OUT = 1
BATCH = 32  # pictures
POINTING_STEPS = 700  # at first only what is at each patch is learned
STEPS = POINTING_STEPS + 3000
MUON_RATE = 0.02
ADAM_RATE = 0.003
WARM_UP = 30
DECAY = 0.6  # last part of the steps, in which the rate falls to nothing
POINTING = 0.3  # weight of what is at each patch, once it speaks
NEAR = 0.1  # of the distance between two words: what counts as near


class SightTrainer:
    def __init__(self, folder: Path, with_fonts: list[str]) -> None:
        weights = load_file(TEXT_MODEL / "model.safetensors")
        self.words = weights["model.embed_tokens.weight"].float()
        self.learner = Learner(folder / "words.pt", self.words.shape[1])
        shape = self.learner.sight.shape
        self.reader = SightReader(TEXT_MODEL / "tokenizer.json", shape, with_fonts)

    def run(self) -> None:
        self.learner.run(STEPS, self.learn, self.report)

    def learn(self) -> dict[str, float]:
        step, sight = self.learner.step, self.learner.sight
        batch = self.reader.batch(Dice(SEED + step), BATCH)
        seen = sight.tower(batch.pictures)
        losses = self.learner.pointed(batch, seen)
        loss = torch.stack(list(losses.values())).sum()
        if step > POINTING_STEPS:
            losses["said"] = self.said(batch, sight.projector(seen))
            loss = POINTING * loss + losses["said"]
        part = min(1.0, step / WARM_UP, (STEPS - step) / (DECAY * STEPS))
        self.learner.move(loss, MUON_RATE * part, ADAM_RATE * part)
        return {name: each.item() for name, each in losses.items()}

    def said(self, batch: SightBatch, made: Tensor) -> Tensor:
        """Return how far the embeddings are from those of the words, and how near to others."""
        wanted = batch.said.flatten()
        made = made.flatten(0, 1)
        spread = self.words.var(0).sum()
        nearness = -torch.cdist(made, self.words).square() / (2 * NEAR * spread)
        distance = (made - self.words[wanted]).square().sum(-1).mean() / spread
        return functional.cross_entropy(nearness, wanted) + distance

    @torch.no_grad()
    def report(self) -> str:
        """Return how many words are right, and of how many pictures all are."""
        batch = self.reader.batch(Dice(HELD_OUT), 2 * BATCH)
        best = torch.cdist(self.learner.sight(batch.pictures), self.words).argmin(-1)
        right = best == batch.said
        return f"words {right.float().mean():.3f} pictures {right.all(-1).float().mean():.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    trainer = SightTrainer(options.folder, fonts(Path(get_data_path()) / "fonts/ttf"))
    if options.resume:
        trainer.learner.resume()
    trainer.run()


if __name__ == "__main__":
    main()
