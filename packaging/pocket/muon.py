"""Muon: momentum whose update is made orthogonal, for the matrices inside the network.

Matrices learn from fewer tokens by it than by AdamW (https://kellerjordan.github.io/posts/muon);
torch's own works in bfloat16, which most processors are slow at.
"""

# torch's types are partly unknown.
# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Iterable

import torch
from torch import Tensor


class Muon:
    def __init__(self, weights: Iterable[Tensor], momentum: float = 0.95) -> None:
        self.weights = list(weights)
        self.momentum = momentum
        self.averages = [torch.zeros_like(each) for each in self.weights]

    @torch.no_grad()
    def step(self, rate: float, decay: float) -> None:
        for weight, average in zip(self.weights, self.averages, strict=True):
            if weight.grad is None:
                continue
            average.lerp_(weight.grad, 1 - self.momentum)
            update = orthogonal(weight.grad.lerp(average, self.momentum))
            tall = max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5
            weight.mul_(1 - rate * decay).add_(update, alpha=-rate * tall)
            weight.grad = None


def orthogonal(matrix: Tensor, rounds: int = 5) -> Tensor:
    """Return nearly the nearest matrix whose singular values are 1 (Newton-Schulz)."""
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(rounds):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.T if tall else x
