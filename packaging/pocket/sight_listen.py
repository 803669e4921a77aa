"""Trains the eyes further: so that the text model, which stays as it is, answers after them.

    sight_listen.py FOLDER [--resume]

FOLDER has words.pt, of eyes that make words, and gets sight.pt, once a minute, and sight.log.
"""

# torch's types are partly unknown.
# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false

import argparse
from functools import partial
from pathlib import Path

import torch
from ahead import ahead
from network import finished
from sight_heard import answers, chat_batches, right_answers
from sight_learner import MAKERS, TEXT_MODEL, TIMES, Learner
from sight_train import POINTING

SEED = 6_000_000
HELD_OUT = 2
REPORTED = 120  # chats
BATCH = 16  # chats
STEPS = 1000
MUON_RATE = 0.003  # at twice this, and of Adam's, the eyes forget how to read numbers
ADAM_RATE = 0.0008
WARM_UP = 30


class ListenTrainer:
    def __init__(self, folder: Path) -> None:
        text = finished(TEXT_MODEL).requires_grad_(False)
        self.learner = Learner(folder / "sight.pt", text.shape.width)
        self.text = text.to(self.learner.device)
        self.steps = STEPS * TIMES[self.learner.device.type]

    def run(self) -> None:
        maker = partial(chat_batches, self.learner.sight.shape, SEED, BATCH)
        self.batches = ahead(maker, self.learner.step + 1, MAKERS[self.learner.device.type])
        self.learner.run(self.steps, self.learn, self.report)

    def learn(self) -> dict[str, float]:
        step, sight = self.learner.step, self.learner.sight
        batch = next(self.batches)
        seen = sight.tower(batch.seen.pictures.to(self.learner.device))
        losses = self.learner.pointed(batch.seen, seen)
        pointed = torch.stack(list(losses.values())).sum()
        losses["answers"] = answers(self.text, batch, sight.projector(seen))
        part = min(step / WARM_UP, 1 - step / self.steps)
        loss = POINTING * pointed + losses["answers"]
        self.learner.move(loss, MUON_RATE * part, ADAM_RATE * part)
        return {name: each.item() for name, each in losses.items()}

    @torch.no_grad()
    def report(self) -> str:
        """Return how many replies of each kind of chat would be right as a whole."""
        batch = chat_batches(self.learner.sight.shape, HELD_OUT, REPORTED)(0)
        made = self.learner.sight(batch.seen.pictures.to(self.learner.device))
        right = right_answers(self.text, batch, made)
        return ", ".join(f"{kind} {sum(each)}/{len(each)}" for kind, each in sorted(right.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    trainer = ListenTrainer(options.folder)
    if options.resume:
        trainer.learner.resume()
    else:
        trainer.learner.start_from(options.folder / "words.pt")
    trainer.run()


if __name__ == "__main__":
    main()
