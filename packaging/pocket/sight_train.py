"""Trains the eyes: to say of a picture, in embeddings, what a text would say of it in words.

    sight_train.py FOLDER [--resume]

FOLDER gets sight.pt, once a minute, and sight.log. The text model is the finished one in
resources/pocket: of it nothing changes, and only its embeddings are needed.
"""

# torch's types are partly unknown.
# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false

import argparse
import time
from dataclasses import asdict
from pathlib import Path

import torch
from matplotlib import get_data_path
from muon import Muon
from safetensors.torch import load_file
from sight_batches import KNOWN, SightBatch, SightReader
from sight_figures import fonts
from sight_network import Sight, SightShape
from torch import Tensor, nn
from torch.nn import functional
from words import Dice

ROOT = Path(__file__).parents[2]
TEXT_MODEL = ROOT / "resources/pocket/mlx"
SEED = 5_000_000
HELD_OUT = 1
BATCH = 32  # pictures
POINTING_STEPS = 700  # at first only what is at each patch is learned
STEPS = POINTING_STEPS + 3000
MUON_RATE = 0.02
ADAM_RATE = 0.003
WARM_UP = 30
DECAY = 0.6  # last part of the steps, in which the rate falls to nothing
SAVE_SECONDS = 60
POINTING = 0.3  # weight of what is at each patch, once it speaks
NEAR = 0.1  # of the distance between two words: what counts as near


class SightTrainer:
    def __init__(self, folder: Path, with_fonts: list[str]) -> None:
        torch.manual_seed(0)
        self.folder = folder
        self.words = load_file(TEXT_MODEL / "model.safetensors")[
            "model.embed_tokens.weight"
        ].float()
        shape = SightShape(self.words.shape[1])
        self.reader = SightReader(TEXT_MODEL / "tokenizer.json", shape, with_fonts)
        self.sight = Sight(shape)
        nn.init.zeros_(self.sight.projector.linear_2.weight)
        self.pointer = nn.Linear(shape.width, sum(map(len, KNOWN.values())))
        # Matrices learn from fewer pictures by Muon than by AdamW.
        inside = [each for each in self.sight.tower.layers.parameters() if each.ndim > 1]
        known = {id(each) for each in inside}
        everything = [*self.sight.parameters(), *self.pointer.parameters()]
        rest = [each for each in everything if id(each) not in known]
        self.muon = Muon(inside)
        self.adam = torch.optim.AdamW(rest, betas=(0.9, 0.95), weight_decay=0.0)
        self.step = 0

    def run(self) -> None:
        saved = time.monotonic()
        smooth: dict[str, float] = {}
        while self.step < STEPS:
            self.step += 1
            batch = self.reader.batch(Dice(SEED + self.step), BATCH)
            for name, loss in self.learn(batch).items():
                smooth[name] = 0.95 * smooth.get(name, loss) + 0.05 * loss
            if self.step % 50 == 0:
                losses = " ".join(f"{name} {each:.3f}" for name, each in smooth.items())
                self.log(f"step {self.step} {losses} {self.report()} cpu {time.process_time():.0f}")
            if time.monotonic() - saved > SAVE_SECONDS or self.step == STEPS:
                self.save()
                saved = time.monotonic()

    def part(self) -> float:
        """Return the part of the full rate that this step has."""
        return min(1.0, self.step / WARM_UP, (STEPS - self.step) / (DECAY * STEPS))

    def learn(self, batch: SightBatch) -> dict[str, float]:
        seen = self.sight.tower(batch.pictures)
        losses = self.pointed(batch, seen)
        loss = torch.stack(list(losses.values())).sum()
        if self.step > POINTING_STEPS:
            losses["said"] = self.said(batch, self.sight.projector(seen))
            loss = POINTING * loss + losses["said"]
        loss.backward()
        nn.utils.clip_grad_norm_(self.sight.parameters(), 1.0)
        self.muon.step(MUON_RATE * self.part())
        self.adam.param_groups[0]["lr"] = ADAM_RATE * self.part()
        self.adam.step()
        self.adam.zero_grad()
        return {name: each.item() for name, each in losses.items()}

    def pointed(self, batch: SightBatch, seen: Tensor) -> dict[str, Tensor]:
        """Return how badly each thing that is known at a patch can be told from what is seen."""
        parts = self.pointer(seen).split([len(each) for each in KNOWN.values()], -1)
        return {
            name: functional.cross_entropy(part.flatten(0, 1), batch.known[..., index].flatten())
            for index, (name, part) in enumerate(zip(KNOWN, parts, strict=True))
        }

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
        best = torch.cdist(self.sight(batch.pictures), self.words).argmin(-1)
        right = best == batch.said
        return f"words {right.float().mean():.3f} pictures {right.all(-1).float().mean():.3f}"

    def save(self) -> None:
        state = {
            "shape": asdict(self.sight.shape),
            "sight": self.sight.state_dict(),
            "pointer": self.pointer.state_dict(),
            "adam": self.adam.state_dict(),
            "muon": self.muon.momenta,
            "step": self.step,
        }
        torch.save(state, self.folder / "sight.part")
        (self.folder / "sight.part").replace(self.folder / "sight.pt")

    def resume(self) -> None:
        state = torch.load(self.folder / "sight.pt")
        self.sight.load_state_dict(state["sight"])
        self.pointer.load_state_dict(state["pointer"])
        self.adam.load_state_dict(state["adam"])
        self.muon.momenta = state["muon"]
        self.step = state["step"]

    def log(self, text: str) -> None:
        print(text, flush=True)
        with (self.folder / "sight.log").open("a") as file:
            file.write(text + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    trainer = SightTrainer(options.folder, fonts(Path(get_data_path()) / "fonts/ttf"))
    if options.resume:
        trainer.resume()
    trainer.run()


if __name__ == "__main__":
    main()
