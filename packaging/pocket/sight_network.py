"""The eyes: a small SigLIP tower and LLaVA's projector, with the names of their checkpoints.

Not CLIP's tower: its class token stands before the patches in transformers and behind them in
llama.cpp, which then sees all patches moved by one.
"""

# torch's types are partly unknown.
# pyright: strict, reportUnknownMemberType=false

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

AROUND = [(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1) if x or y]
LOOKING_LAYERS = 2
LOOK_AROUND = 2.4  # makes the one patch some fifty times as heavy as the next


@dataclass(frozen=True, slots=True)
class SightShape:
    text_width: int
    side: int = 60  # pixels
    patch: int = 10  # pixels; a patch is a token
    width: int = 128
    layers: int = 4
    heads: int = 8
    inner: int = 512
    epsilon: float = 1e-5

    @property
    def across(self) -> int:
        return self.side // self.patch

    @property
    def patches(self) -> int:
        return self.across**2


class Attention(nn.Module):
    def __init__(self, shape: SightShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.q_proj = nn.Linear(shape.width, shape.width)
        self.k_proj = nn.Linear(shape.width, shape.width)
        self.v_proj = nn.Linear(shape.width, shape.width)
        self.out_proj = nn.Linear(shape.width, shape.width)

    def forward(self, x: Tensor) -> Tensor:
        rows, length, width = x.shape
        split = (rows, length, self.heads, -1)
        queries = self.q_proj(x).view(split).transpose(1, 2)
        keys = self.k_proj(x).view(split).transpose(1, 2)
        values = self.v_proj(x).view(split).transpose(1, 2)
        weights = (queries @ keys.mT * (width // self.heads) ** -0.5).softmax(-1)
        return self.out_proj((weights @ values).transpose(1, 2).reshape(x.shape))


class Mlp(nn.Module):
    def __init__(self, shape: SightShape) -> None:
        super().__init__()
        self.fc1 = nn.Linear(shape.width, shape.inner)
        self.fc2 = nn.Linear(shape.inner, shape.width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(x)
        return self.fc2(x * (1.702 * x).sigmoid())


class Layer(nn.Module):
    def __init__(self, shape: SightShape) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(shape.width, shape.epsilon)
        self.self_attn = Attention(shape)
        self.layer_norm2 = nn.LayerNorm(shape.width, shape.epsilon)
        self.mlp = Mlp(shape)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Embeddings(nn.Module):
    def __init__(self, shape: SightShape) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv2d(3, shape.width, shape.patch, shape.patch)
        self.position_embedding = nn.Embedding(shape.patches, shape.width)
        nn.init.normal_(self.position_embedding.weight, 0, 0.3)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.patch_embedding(pictures).flatten(2).mT + self.position_embedding.weight


class Tower(nn.Module):
    """Pictures (rows, 3, side, side) to what is seen at each patch (rows, patches, width)."""

    def __init__(self, shape: SightShape) -> None:
        super().__init__()
        self.embeddings = Embeddings(shape)
        self.layers = nn.ModuleList([Layer(shape) for _ in range(shape.layers)])
        for name, weight in self.layers.named_parameters():
            if name.endswith("weight") and weight.ndim > 1:
                nn.init.normal_(weight, 0, weight.shape[1] ** -0.5)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)
        self.look_around(shape)

    @torch.no_grad()
    def look_around(self, shape: SightShape) -> None:
        """Let each head of the first layers look at one of the eight patches around its own.

        A patch's place is told by waves, two of each length, across and down; a head turns them
        by one patch, and so finds its neighbour. What is seen is written beside the waves.
        """
        waves = torch.arange(1, shape.width // shape.heads // 4 + 1) * torch.pi / shape.across
        steps = torch.arange(shape.across)[:, None] * waves
        told = torch.cat([steps.cos(), steps.sin()], -1)
        across = told.repeat(shape.across, 1)
        down = told.repeat_interleave(shape.across, 0)
        places = torch.cat([across, down], -1)
        count = places.shape[1]
        positions = self.embeddings.position_embedding.weight
        nn.init.normal_(positions, 0, 0.02)
        positions[:, :count] = places
        self.embeddings.patch_embedding.weight[:count] = 0
        for layer in cast("list[Layer]", list(self.layers)):
            layer.self_attn.out_proj.weight[:count] = 0
            layer.mlp.fc2.weight[:count] = 0
        for index, layer in enumerate(cast("list[Layer]", list(self.layers))[:LOOKING_LAYERS]):
            for name, moved in (("q_proj", True), ("k_proj", False)):
                weight = getattr(layer.self_attn, name).weight
                weight.mul_(0.1)  # what the patches show comes second
                for part, (x, y) in zip(weight.chunk(shape.heads), AROUND, strict=True):
                    turns = [_turned(waves * (each if moved else 0)) for each in (x, y)]
                    part[:, :count] = LOOK_AROUND * (1 + index / 2) * torch.block_diag(*turns)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.embeddings(pictures)
        for layer in self.layers:
            x = layer(x)
        return x


def _turned(angles: Tensor) -> Tensor:
    """Return the matrix that turns (cosines, sines) by these angles."""
    cosines, sines = angles.cos().diag(), angles.sin().diag()
    return torch.cat([torch.cat([cosines, -sines], 1), torch.cat([sines, cosines], 1)])


class Projector(nn.Module):
    def __init__(self, shape: SightShape) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(shape.width, shape.text_width)
        self.linear_2 = nn.Linear(shape.text_width, shape.text_width)

    def forward(self, seen: Tensor) -> Tensor:
        return self.linear_2(functional.gelu(self.linear_1(seen)))


class Sight(nn.Module):
    """Pictures to embeddings that stand among those of a text's tokens."""

    def __init__(self, shape: SightShape) -> None:
        super().__init__()
        self.shape = shape
        self.tower = Tower(shape)
        self.projector = Projector(shape)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.projector(self.tower(pictures))
