"""The eyes while they learn: what moves them, what is kept of them, what is told of it."""

# torch's types are partly unknown.
# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from muon import Muon
from sight_batches import KNOWN, SightBatch
from sight_network import Sight, SightShape
from torch import Tensor, nn
from torch.nn import functional

ROOT = Path(__file__).parents[2]
TEXT_MODEL = ROOT / "resources/pocket/mlx"
SAVE_SECONDS = 60
TOLD_STEPS = 50  # from one line of the log to the next
TIMES = {"cpu": 1, "cuda": 2}  # as many steps
MAKERS = {"cpu": 0, "cuda": 8}  # processes that draw pictures meanwhile


class Learner:
    """The eyes, and a pointer that tells what is at each patch, from what is seen there.

    Args:
        file: where they are kept, with a log beside it.
    """

    def __init__(self, file: Path, text_width: int) -> None:
        torch.manual_seed(0)
        self._file = file
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        shape = SightShape(text_width)
        self.sight = Sight(shape)
        nn.init.zeros_(self.sight.projector.linear_2.weight)
        self.sight.to(self.device)
        self.pointer = nn.Linear(shape.width, sum(map(len, KNOWN.values()))).to(self.device)
        # Matrices learn from fewer pictures by Muon than by AdamW.
        inside: list[Tensor] = [
            each for each in self.sight.tower.layers.parameters() if each.ndim > 1
        ]
        known = {id(each) for each in inside}
        everything = [*self.sight.parameters(), *self.pointer.parameters()]
        rest = [each for each in everything if id(each) not in known]
        self._muon = Muon(inside)
        self._adam = torch.optim.AdamW(rest, betas=(0.9, 0.95), weight_decay=0.0)
        self.step = 0

    def run(
        self, steps: int, learn: Callable[[], dict[str, float]], report: Callable[[], str]
    ) -> None:
        """Call ``learn`` once a step, which returns how bad what was."""
        saved = time.monotonic()
        smooth: dict[str, float] = {}
        while self.step < steps:
            self.step += 1
            for name, loss in learn().items():
                smooth[name] = 0.95 * smooth.get(name, loss) + 0.05 * loss
            if self.step % TOLD_STEPS == 0:
                losses = " ".join(f"{name} {each:.3f}" for name, each in smooth.items())
                self._log(f"step {self.step} {losses} {report()} cpu {time.process_time():.0f}")
            if time.monotonic() - saved > SAVE_SECONDS or self.step == steps:
                self._save()
                saved = time.monotonic()

    def pointed(self, batch: SightBatch, seen: Tensor) -> dict[str, Tensor]:
        """Return how badly each thing that is known at a patch can be told from what is seen."""
        parts = self.pointer(seen).split([len(each) for each in KNOWN.values()], -1)
        known = batch.known.to(self.device)
        return {
            name: functional.cross_entropy(part.flatten(0, 1), known[..., index].flatten())
            for index, (name, part) in enumerate(zip(KNOWN, parts, strict=True))
        }

    def move(self, loss: Tensor, muon_rate: float, adam_rate: float) -> None:
        loss.backward()
        nn.utils.clip_grad_norm_(self.sight.parameters(), 1.0)
        self._muon.step(muon_rate)
        self._adam.param_groups[0]["lr"] = adam_rate
        self._adam.step()
        self._adam.zero_grad()

    def start_from(self, file: Path) -> None:
        """Take what another training has made."""
        state = torch.load(file, map_location=self.device)
        self.sight.load_state_dict(state["sight"])
        self.pointer.load_state_dict(state["pointer"])

    def resume(self) -> None:
        self.start_from(self._file)
        state = torch.load(self._file, map_location=self.device)
        self._adam.load_state_dict(state["adam"])
        self._muon.momenta = state["muon"]
        self.step = state["step"]

    def _save(self) -> None:
        state = {
            "shape": asdict(self.sight.shape),
            "sight": self.sight.state_dict(),
            "pointer": self.pointer.state_dict(),
            "adam": self._adam.state_dict(),
            "muon": self._muon.momenta,
            "step": self.step,
        }
        part = self._file.with_suffix(".part")
        torch.save(state, part)
        part.replace(self._file)

    def _log(self, text: str) -> None:
        print(text, flush=True)
        with self._file.with_suffix(".log").open("a") as file:
            file.write(text + "\n")
