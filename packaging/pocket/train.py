"""Trains the network on dialogues without end; a checkpoint is kept every minute.

    train.py FOLDER [--steps N] [--resume | --start-from LAYOUT]

FOLDER holds tokenizer.json, and gets network.pt and train.log.
"""

# torch's types are partly unknown.
# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from batches import Batch, Reader, Row, batch, batches, echoes
from muon import Muon
from network import Network, Shape
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

SEED = 1000  # shard n is made from SEED + n
HELD_OUT = 1  # the seed of dialogues that training never sees
SHARD = 12000  # dialogues
BATCH = 4096  # tokens
STEPS = {"cpu": 10200, "cuda": 40000}
SAVE_SECONDS = 60
ECHOED = 600  # first steps, half of which are echoes
ECHO_EVERY = 20  # steps, after that
COPYING = (0.5, 0.2, 0.05)  # part of the dialogues that only copy, shard after shard
RATE = 0.02  # Muon's
ADAM_PART = 0.3  # of that rate: AdamW's
WARM_UP = 50  # steps
DECAY = 0.6  # last part of the steps, in which the rate falls to nothing


class Trainer:
    def __init__(self, folder: Path, steps: int, device: torch.device) -> None:
        self.folder = folder
        self.steps = steps
        self.step = 0
        self.shard = 0
        self.reader = Reader(folder)
        self.device = device
        torch.manual_seed(0)
        vocabulary = self.reader.tokenizer.get_vocab_size()
        # A GPU affords a network of all the size that we ship: 12 MB in both layouts.
        large = Shape(vocabulary, width=256, heads=4, inner=384)
        shape = large if device.type == "cuda" else Shape(vocabulary)
        self.network = Network(shape).to(device)
        inside = [each for each in self.network.layers.parameters() if each.ndim > 1]
        rest = [
            each for each in self.network.parameters() if all(each is not one for one in inside)
        ]
        self.muon = Muon(inside)
        self.adam = torch.optim.AdamW(rest, betas=(0.9, 0.95), weight_decay=0.0)

    def run(self) -> None:
        count = sum(each.numel() for each in self.network.parameters())
        self.log(f"{count:,} parameters on {self.device}")
        held_out = self.reader.rows(HELD_OUT, 400)
        began = saved = time.monotonic()
        seen = 0
        for each in self.feed():
            loss = self.learn(each)
            seen += each.tokens.numel()
            if self.step % 50 < 2:  # noqa: PLR2004 - in the beginning every other batch is of echoes
                speed = seen / (time.monotonic() - began)
                self.log(f"step {self.step} loss {loss:.4f} {speed:.0f} tokens/s")
            if self.step % 500 == 0:
                self.log(f"step {self.step} {self.report(held_out)}")
            if time.monotonic() - saved > SAVE_SECONDS or self.step == self.steps:
                self.save()
                saved = time.monotonic()
            if self.step >= self.steps:
                return

    def feed(self) -> Iterator[Batch]:
        """Yield batches for ever, from shard after shard."""
        while True:
            copying = COPYING[min(self.shard, len(COPYING) - 1)]
            rows = self.reader.rows(SEED + self.shard, SHARD, copying)
            for each in batches(rows, BATCH, SEED + self.shard):
                if self.step % (2 if self.step < ECHOED else ECHO_EVERY) == 1:
                    yield echoes(self.network.shape.vocabulary, self.step, BATCH)
                yield each
            self.shard += 1

    def learn(self, each: Batch) -> float:
        self.step += 1
        rate = self.rate()
        loss = self.loss(each)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for group in self.adam.param_groups:
            group["lr"] = rate * ADAM_PART
        self.adam.step()
        self.adam.zero_grad()
        self.muon.step(rate, decay=0.02)
        return loss.item()

    def loss(self, each: Batch) -> Tensor:
        tokens = each.tokens.to(self.device)
        weights = each.weights.to(self.device)[:, 1:]
        counted = weights > 0
        with torch.autocast(self.device.type, torch.bfloat16):
            hidden = self.network.hidden(tokens[:, :-1])
            logits = self.network.logits(hidden[counted])
        wrong = functional.cross_entropy(logits.float(), tokens[:, 1:][counted], reduction="none")
        return (wrong * weights[counted]).sum() / weights.sum()

    def rate(self) -> float:
        left = (self.steps - self.step) / (DECAY * self.steps)
        return RATE * min(1.0, self.step / WARM_UP, max(left, 0.0))

    @torch.no_grad()
    def report(self, rows: list[Row]) -> str:
        """Return, for each kind, how many replies greedy decoding would get right as a whole."""
        right: dict[str, list[bool]] = defaultdict(list)
        for row in rows:
            tokens = batch([row]).tokens.to(self.device)
            best = self.network(tokens[:, :-1]).argmax(-1)
            spoken = torch.tensor(row.spoken[1:], device=self.device)
            right[row.kind].append(bool((best == tokens[:, 1:])[0][spoken].all()))
        return ", ".join(f"{kind} {sum(each)}/{len(each)}" for kind, each in sorted(right.items()))

    def save(self) -> None:
        state = {
            "shape": asdict(self.network.shape),
            "network": self.network.state_dict(),
            "adam": self.adam.state_dict(),
            "muon": self.muon.averages,
            "step": self.step,
            "shard": self.shard,
        }
        torch.save(state, self.folder / "network.part")
        (self.folder / "network.part").replace(self.folder / "network.pt")

    def resume(self) -> None:
        state = torch.load(self.folder / "network.pt", map_location=self.device)
        self.network.load_state_dict(state["network"])
        self.adam.load_state_dict(state["adam"])
        self.muon.averages = state["muon"]
        self.step = state["step"]
        self.shard = state["shard"] + 1  # the rest of that one is left out

    def start_from(self, layout: Path) -> None:
        """Begin with the weights of a finished model, whose vocabulary FOLDER must hold."""
        weights = load_file(layout / "model.safetensors")
        for name, weight in self.network.state_dict().items():
            weight.copy_(weights[f"model.{name}"])

    def log(self, text: str) -> None:
        print(text, flush=True)
        with (self.folder / "train.log").open("a") as file:
            file.write(text + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, help=f"{STEPS} where nothing else is said")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--start-from", type=Path, help="the mlx folder of a finished model")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trainer = Trainer(options.folder, options.steps or STEPS[device.type], device)
    if options.resume:
        trainer.resume()
    elif options.start_from:
        trainer.start_from(options.start_from)
    trainer.run()


if __name__ == "__main__":
    main()
