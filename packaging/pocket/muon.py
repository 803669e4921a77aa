"""Muon in single precision: torch's own works in bfloat16, which most CPUs only imitate."""

# torch's types are partly unknown.
# pyright: strict, reportUnknownMemberType=false

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
        for matrix, momentum in zip(self.matrices, self.momenta, strict=True):
            assert matrix.grad is not None
            momentum.lerp_(matrix.grad, 1 - MOMENTUM)
            ahead = matrix.grad.lerp(momentum, MOMENTUM)
            matrix.mul_(1 - rate * DECAY)
            tall = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
            matrix.sub_(_orthogonal(ahead), alpha=rate * tall)
            matrix.grad = None


def _orthogonal(matrix: Tensor) -> Tensor:
    a, b, c = _POLYNOMIAL
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.mT if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(_STEPS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x
