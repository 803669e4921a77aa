"""Trains the eyes further: so that the text model, which stays as it is, answers after them.

    sight_listen.py FOLDER [--resume]

FOLDER has words.pt, of eyes that make words, and gets sight.pt, once a minute, and sight.log.
"""

# torch's types are partly unknown.
# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import torch
from matplotlib import get_data_path
from network import Network, Shape
from safetensors.torch import load_file
from sight_chat_batches import ChatBatch, ChatReader, Heard
from sight_figures import fonts
from sight_learner import TEXT_MODEL, Learner
from sight_train import POINTING
from torch import Tensor
from torch.nn import functional
from words import Dice

SEED = 6_000_000
HELD_OUT = 2
REPORTED = 120  # chats
BATCH = 16  # chats
STEPS = 1000
MUON_RATE = 0.003  # at twice this, and of Adam's, the eyes forget how to read numbers
ADAM_RATE = 0.0008
WARM_UP = 30


class ListenTrainer:
    def __init__(self, folder: Path, with_fonts: list[str]) -> None:
        self.text = text_model(TEXT_MODEL)
        self.learner = Learner(folder / "sight.pt", self.text.shape.width)
        self.reader = ChatReader(self.learner.sight.shape, with_fonts)

    def run(self) -> None:
        self.learner.run(STEPS, self.learn, self.report)

    def learn(self) -> dict[str, float]:
        step, sight = self.learner.step, self.learner.sight
        batch = self.reader.batch(Dice(SEED + step), BATCH)
        seen = sight.tower(batch.seen.pictures)
        losses = self.learner.pointed(batch.seen, seen)
        pointed = torch.stack(list(losses.values())).sum()
        losses["answers"] = self.answers(batch, sight.projector(seen))
        part = min(step / WARM_UP, 1 - step / STEPS)
        loss = POINTING * pointed + losses["answers"]
        self.learner.move(loss, MUON_RATE * part, ADAM_RATE * part)
        return {name: each.item() for name, each in losses.items()}

    def answers(self, batch: ChatBatch, made: Tensor) -> Tensor:
        """Return how badly the text model, having heard the pictures, says what it is to say."""
        losses: list[Tensor] = []
        for heard, pictures in self.with_pictures(batch, made):
            weights = heard.weights[:, 1:]
            counted = weights > 0
            logits = self.text.logits(self.through(heard, pictures)[counted])
            wanted = heard.tokens[:, 1:][counted]
            wrong = functional.cross_entropy(logits, wanted, reduction="none")
            losses.append((wrong * weights[counted]).sum())
        return torch.stack(losses).sum() / sum(each.weights.sum() for each in batch.heard)

    def with_pictures(self, batch: ChatBatch, made: Tensor) -> Iterator[tuple[Heard, Tensor]]:
        counts = [each.pictures for each in batch.heard]
        return zip(batch.heard, torch.split(made, counts), strict=True)

    def through(self, heard: Heard, pictures: Tensor) -> Tensor:
        x = self.text.embed_tokens(heard.tokens[:, :-1])
        return self.text.through(x.masked_scatter(heard.places[:, :-1, None], pictures))

    @torch.no_grad()
    def report(self) -> str:
        """Return how many replies of each kind of chat would be right as a whole."""
        batch = self.reader.batch(Dice(HELD_OUT), REPORTED)
        right: dict[str, list[bool]] = defaultdict(list)
        rows = iter(batch.rows)
        for heard, pictures in self.with_pictures(batch, self.learner.sight(batch.seen.pictures)):
            best = self.text.logits(self.through(heard, pictures)).argmax(-1)
            good = (best == heard.tokens[:, 1:]) | (heard.weights[:, 1:] == 0)
            for each in good.all(-1):
                right[next(rows).kind].append(bool(each))
        return ", ".join(f"{kind} {sum(each)}/{len(each)}" for kind, each in sorted(right.items()))


def text_model(folder: Path) -> Network:
    """Return the finished text model, whose weights stay what they are."""
    weights = load_file(folder / "model.safetensors")
    layers = 1 + max(int(each.split(".")[2]) for each in weights if ".layers." in each)
    vocabulary = weights["model.embed_tokens.weight"].shape[0]
    network = Network(Shape(vocabulary, layers=layers))
    for name, weight in network.state_dict().items():
        weight.copy_(weights[f"model.{name}"])
    return network.requires_grad_(False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    trainer = ListenTrainer(options.folder, fonts(Path(get_data_path()) / "fonts/ttf"))
    if options.resume:
        trainer.learner.resume()
    else:
        trainer.learner.start_from(options.folder / "words.pt")
    trainer.run()


if __name__ == "__main__":
    main()
