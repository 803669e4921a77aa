"""Trains the network on dialogues without end, in three phases; a checkpoint is kept every minute.

    train.py FOLDER [--resume | --start-from LAYOUT] [--eyes LAYOUT]

FOLDER holds tokenizer.json, and gets network.pt and train.log. LAYOUT is the mlx folder of a
finished model.
"""

# torch's types are partly unknown.
# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from ahead import ahead
from batches import Batch, Reader, Row, batch, batches, echoes
from data import Mix
from muon import Muon
from network import Network, Shape, finished
from sight_heard import Eyes
from torch import Tensor, nn
from torch.nn import functional

SEED = 1000  # shard n of the first phase is made from SEED + n, of the second from 2 * SEED + n...
HELD_OUT = 1  # the seed of dialogues that training never sees
SHARD = 12000  # dialogues
BATCH = 4096  # tokens
SAVE_SECONDS = 60
ECHO_EVERY = 20  # steps, after the first ones
ADAM_PART = 0.3  # of Muon's rate: AdamW's
WARM_UP = 50  # steps
TIMES = {"cpu": 1, "cuda": 4}  # as many steps
MAKERS = {"cpu": 0, "cuda": 2}  # processes that make shards meanwhile
HALVES = ("AVX512",)  # CPUs that know bfloat16; others imitate it, ten times as slowly


@dataclass(frozen=True, slots=True)
class Phase:
    layers: int
    steps: int
    rate: float  # Muon's
    decay: float  # last part of the steps, in which the rate falls to nothing
    echoed: int  # first steps, half of which are echoes; 0: there are none at all
    mixes: tuple[Mix, ...]  # of the dialogues, shard after shard; the last holds on


_LESS_AND_LESS = (Mix(copying=0.5), Mix(copying=0.2), Mix(copying=0.05))
# What it knew before it must go on hearing while it learns what is beyond it: thoughts above all,
# and questions that are answered in a form.
_WIDER = Mix(copying=0.05, overasking=0.3, in_form=0.06, thinking=0.3)
# A step of four layers takes two thirds of the time, and four are enough to learn to copy.
PHASES = (
    Phase(layers=4, steps=10200, rate=0.02, decay=0.6, echoed=600, mixes=_LESS_AND_LESS),
    Phase(layers=6, steps=10300, rate=0.01, decay=1.0, echoed=0, mixes=_LESS_AND_LESS[-1:]),
    Phase(layers=6, steps=900, rate=0.001, decay=1.0, echoed=0, mixes=(_WIDER,)),
)
HEARING = 0.3  # weight of chats about pictures, where there are eyes


def shards(folder: Path, phase: int) -> Callable[[int], list[Batch]]:
    """Return what makes the batches of a phase's shard, by its number."""
    reader, mixes = Reader(folder), PHASES[phase].mixes

    def shard(number: int) -> list[Batch]:
        seed = SEED * (phase + 1) + number
        rows = reader.rows(seed, SHARD, mixes[min(number, len(mixes) - 1)])
        return list(batches(rows, BATCH, seed))

    return shard


class Trainer:
    def __init__(self, folder: Path, device: torch.device, eyes: Eyes | None = None) -> None:
        self.folder = folder
        self.eyes = eyes
        self.reader = Reader(folder)
        self.device = device
        self.halves = device.type == "cuda" or torch.backends.cpu.get_cpu_capability() in HALVES
        torch.manual_seed(0)
        shape = Shape(self.reader.tokenizer.get_vocab_size(), layers=PHASES[0].layers)
        self.begin(0, Network(shape))

    def begin(self, phase: int, network: Network) -> None:
        self.phase = phase
        self.network = network.deepened(PHASES[phase].layers).to(self.device)
        self.steps = PHASES[phase].steps * TIMES[self.device.type]
        self.step = 0
        self.shard = 0
        inside: list[Tensor] = [each for each in self.network.layers.parameters() if each.ndim > 1]
        rest = [
            each for each in self.network.parameters() if all(each is not one for one in inside)
        ]
        # Matrices learn from fewer tokens by Muon than by AdamW.
        self.muon = Muon(inside)
        self.adam = torch.optim.AdamW(rest, betas=(0.9, 0.95), weight_decay=0.0)

    def run(self) -> None:
        self.train()
        while self.phase + 1 < len(PHASES):
            self.begin(self.phase + 1, self.network)
            self.train()

    def train(self) -> None:
        """Go through the rest of the phase's steps."""
        count = sum(each.numel() for each in self.network.parameters())
        self.log(f"phase {self.phase}: {count:,} parameters on {self.device}")
        held_out = self.reader.rows(HELD_OUT, 400, replace(PHASES[self.phase].mixes[-1], copying=0))
        began = saved = time.monotonic()
        seen = 0
        for each in self.feed():
            loss = self.learn(each)
            seen += each.tokens.numel()
            if self.step % 50 < 2:  # noqa: PLR2004 - in the beginning every other batch is of echoes
                speed = seen / (time.monotonic() - began)
                self.log(f"step {self.step} loss {loss:.4f} {speed:.0f} tokens/s")
            if self.step % (500 * TIMES[self.device.type]) == 0 or self.step == self.steps:
                self.log(f"step {self.step} {self.report(held_out)}")
            if time.monotonic() - saved > SAVE_SECONDS or self.step == self.steps:
                self.save()
                saved = time.monotonic()
            if self.step >= self.steps:
                return

    def feed(self) -> Iterator[Batch]:
        """Yield batches for ever, from shard after shard."""
        phase = PHASES[self.phase]
        maker = partial(shards, self.folder, self.phase)
        for shard in ahead(maker, self.shard, MAKERS[self.device.type]):
            for each in shard:
                every = 2 if self.step < phase.echoed else ECHO_EVERY
                if phase.echoed and self.step % every == 1:
                    yield echoes(self.network.shape.vocabulary, self.step, BATCH)
                yield each
            self.shard += 1

    def learn(self, each: Batch) -> float:
        self.step += 1
        rate = self.rate()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.halves):
            loss = self.loss(each)
            heard = HEARING * self.eyes.loss(self.network) if self.eyes else 0
        (loss + heard).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.muon.step(rate)
        self.adam.param_groups[0]["lr"] = rate * ADAM_PART
        self.adam.step()
        self.adam.zero_grad()
        return loss.item()

    def loss(self, each: Batch) -> Tensor:
        tokens = each.tokens.to(self.device)
        weights = each.weights.to(self.device)[:, 1:]
        counted = weights > 0
        hidden = self.network.hidden(tokens[:, :-1])
        logits = self.network.logits(hidden[counted])
        wrong = functional.cross_entropy(logits.float(), tokens[:, 1:][counted], reduction="none")
        return (wrong * weights[counted]).sum() / weights.sum()

    def rate(self) -> float:
        phase = PHASES[self.phase]
        left = (self.steps - self.step) / (phase.decay * self.steps)
        return phase.rate * min(1.0, self.step / WARM_UP, max(left, 0.0))

    @torch.no_grad()
    def report(self, rows: list[Row]) -> str:
        """Return, for each kind, how many replies greedy decoding would get right as a whole."""
        right: dict[str, list[bool]] = defaultdict(list)
        for row in rows:
            tokens = batch([row]).tokens.to(self.device)
            best = self.network(tokens[:, :-1]).argmax(-1)
            spoken = torch.tensor(row.spoken[1:], device=self.device)
            right[row.kind].append(bool((best == tokens[:, 1:])[0][spoken].all()))
        if self.eyes:
            right["pictures"] = self.eyes.report(self.network)
        return ", ".join(f"{kind} {sum(each)}/{len(each)}" for kind, each in sorted(right.items()))

    def save(self) -> None:
        state = {
            "phase": self.phase,
            "shape": asdict(self.network.shape),
            "network": self.network.state_dict(),
            "adam": self.adam.state_dict(),
            "muon": self.muon.momenta,
            "step": self.step,
            "shard": self.shard,
        }
        torch.save(state, self.folder / "network.part")
        (self.folder / "network.part").replace(self.folder / "network.pt")

    def resume(self) -> None:
        state = torch.load(self.folder / "network.pt", map_location=self.device)
        self.begin(state["phase"], Network(Shape(**state["shape"])))
        self.network.load_state_dict(state["network"])
        self.adam.load_state_dict(state["adam"])
        self.muon.momenta = state["muon"]
        self.step = state["step"]
        self.shard = state["shard"] + 1  # the rest of that one is left out

    def start_from(self, layout: Path) -> None:
        """Begin the last phase with a finished model, whose vocabulary FOLDER must hold."""
        self.begin(len(PHASES) - 1, finished(layout))

    def log(self, text: str) -> None:
        print(text, flush=True)
        with (self.folder / "train.log").open("a") as file:
            file.write(text + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--start-from", type=Path, metavar="LAYOUT", help="go on from its texts")
    parser.add_argument("--eyes", type=Path, metavar="LAYOUT", help="keep understanding its eyes")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trainer = Trainer(options.folder, device, Eyes(options.eyes, device) if options.eyes else None)
    if options.resume:
        trainer.resume()
    elif options.start_from:
        trainer.start_from(options.start_from)
    trainer.run()


if __name__ == "__main__":
    main()
