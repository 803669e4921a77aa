"""Trains the eyes further: so that the text model, which stays as it is, answers after them.

    sight_listen.py FOLDER [--resume]

FOLDER has words.pt, of eyes that make words, and gets sight.pt, once a minute, and sight.log.
"""

# torch's types are partly unknown.
# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false

import argparse
from pathlib import Path

import torch
from matplotlib import get_data_path
from network import finished
from sight_chat_batches import ChatReader
from sight_figures import fonts
from sight_heard import answers, right_answers
from sight_learner import TEXT_MODEL, Learner
from sight_train import POINTING
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
        self.text = finished(TEXT_MODEL).requires_grad_(False)
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
        losses["answers"] = answers(self.text, batch, sight.projector(seen))
        part = min(step / WARM_UP, 1 - step / STEPS)
        loss = POINTING * pointed + losses["answers"]
        self.learner.move(loss, MUON_RATE * part, ADAM_RATE * part)
        return {name: each.item() for name, each in losses.items()}

    @torch.no_grad()
    def report(self) -> str:
        """Return how many replies of each kind of chat would be right as a whole."""
        batch = self.reader.batch(Dice(HELD_OUT), REPORTED)
        right = right_answers(self.text, batch, self.learner.sight(batch.seen.pictures))
        return ", ".join(f"{kind} {sum(each)}/{len(each)}" for kind, each in sorted(right.items()))


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
