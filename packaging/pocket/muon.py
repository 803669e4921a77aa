"""Muon in single precision: torch's own works in bfloat16, which most CPUs only imitate."""

# torch's types are partly unknown.
# pyright: strict, reportUnknownMemberType=false

from collections import defaultdict

import torch
from torch import Tensor

MOMENTUM = 0.95
DECAY = 0.02
_STEPS = 5
_POLYNOMIAL = 3.4445, -4.7750, 2.0315  # https://kellerjordan.github.io/posts/muon


class Muon:
    """Moves matrices along their momentum, with all its singular values made nearly one."""

    def __init__(self, matrices: list[Tensor]) -> None:
        self.matrices = matrices
        self.momenta = [torch.zeros_like(each) for each in matrices]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        alike: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for matrix, momentum in zip(self.matrices, self.momenta, strict=True):
            assert matrix.grad is not None
            momentum.lerp_(matrix.grad, 1 - MOMENTUM)
            alike[matrix.shape].append((matrix, matrix.grad.lerp(momentum, MOMENTUM)))
            matrix.grad = None
        for (height, width), group in alike.items():
            tall = max(1.0, height / width) ** 0.5
            # All of a shape at once: a GPU is as soon done with them as with one.
            moves = _orthogonal(torch.stack([ahead for _, ahead in group]))
            for (matrix, _), move in zip(group, moves, strict=True):
                matrix.mul_(1 - rate * DECAY).sub_(move, alpha=rate * tall)


def _orthogonal(matrices: Tensor) -> Tensor:
    a, b, c = _POLYNOMIAL
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.square().sum((-2, -1), keepdim=True).sqrt() + 1e-7)
    for _ in range(_STEPS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x
