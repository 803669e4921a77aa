"""The network: Llama's architecture, small, with the names that its checkpoints use.

Llama and not a later one for its biases on queries and keys: by them the heads of the first
layer are born looking a few tokens back, which copying begins with, and which otherwise is
what takes longest to learn. Qwen2 has them too, but transformers 5 gives every model of that
name Qwen2's own rules for splitting a text, whatever its tokenizer.json says.
"""

# torch's types are partly unknown.
# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

LOOK_BACK = 6.0  # makes the one token some fifty times as heavy as its neighbours


@dataclass(frozen=True, slots=True)
class Shape:
    vocabulary: int
    width: int = 192
    layers: int = 4
    heads: int = 3
    inner: int = 384
    context: int = 2048
    rope_theta: float = 100000.0
    epsilon: float = 1e-6

    @property
    def head_width(self) -> int:
        return self.width // self.heads


class Norm(nn.Module):
    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x.float(), (x.shape[-1],), self.weight, self.epsilon)


class Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.q_proj = nn.Linear(shape.width, shape.width)
        self.k_proj = nn.Linear(shape.width, shape.width)
        self.v_proj = nn.Linear(shape.width, shape.width)
        self.o_proj = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        rows, length, _ = x.shape
        split = (rows, length, -1, self.shape.head_width)
        queries = _turned(self.q_proj(x).view(split).transpose(1, 2), turn)
        keys = _turned(self.k_proj(x).view(split).transpose(1, 2), turn)
        values = self.v_proj(x).view(split).transpose(1, 2)
        # Written out, since torch's fused attention makes a step on a CPU a fifth slower.
        scores = queries @ keys.mT * self.shape.head_width**-0.5
        ahead = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        mixed = scores.masked_fill(ahead, float("-inf")).softmax(-1).to(values.dtype) @ values
        return self.o_proj(mixed.transpose(1, 2).reshape(rows, length, -1))

    @torch.no_grad()
    def look_back(self) -> None:
        """Let head n look n + 1 tokens back, and nearly nowhere else."""
        cosines, sines = _turn(self.shape, self.shape.heads + 1, self.q_proj.bias.device)
        half = self.shape.head_width // 2
        bias = torch.cat([cosines[1:, :half], -sines[1:, half:]], -1)
        self.q_proj.bias.copy_(LOOK_BACK * bias.flatten())
        self.k_proj.bias.view(-1, 2, half).copy_(torch.tensor([[LOOK_BACK], [0.0]]))
        for weight in (self.q_proj.weight, self.k_proj.weight):
            weight.mul_(0.1)  # what the tokens are comes second


class Mlp(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.inner, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.inner, bias=False)
        self.down_proj = nn.Linear(shape.inner, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = Norm(shape.width, shape.epsilon)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = Norm(shape.width, shape.epsilon)
        self.mlp = Mlp(shape)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), turn)
        return x + self.mlp(self.post_attention_layernorm(x))


class Network(nn.Module):
    """Token ids (rows, length) to logits (rows, length, vocabulary)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        layers = [Layer(shape) for _ in range(shape.layers)]
        self.layers = nn.ModuleList(layers)
        self.norm = Norm(shape.width, shape.epsilon)
        for name, weight in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(weight)
            elif weight.ndim == 2:  # noqa: PLR2004
                nn.init.normal_(weight, 0, weight.shape[1] ** -0.5)
        layers[0].self_attn.look_back()

    @torch.no_grad()
    def deepened(self, layers: int) -> "Network":
        """Return a network of as many layers or more that still says the same.

        The new ones stand between the old: each is a copy of the one before it, silent at first.
        """
        deeper = Network(replace(self.shape, layers=layers))
        last = None
        for index, layer in enumerate(cast("list[Layer]", list(deeper.layers))):
            old = round(index * (self.shape.layers - 1) / (layers - 1))
            layer.load_state_dict(self.layers[old].state_dict())
            if old == last:
                layer.self_attn.o_proj.weight.zero_()
                layer.mlp.down_proj.weight.zero_()
            last = old
        deeper.embed_tokens.load_state_dict(self.embed_tokens.state_dict())
        deeper.norm.load_state_dict(self.norm.state_dict())
        return deeper

    def forward(self, tokens: Tensor) -> Tensor:
        return self.logits(self.hidden(tokens))

    def hidden(self, tokens: Tensor) -> Tensor:
        return self.through(self.embed_tokens(tokens))

    def through(self, x: Tensor) -> Tensor:
        """Return what becomes of embeddings (rows, length, width): of tokens, or of a picture."""
        turn = _turn(self.shape, x.shape[1], x.device)
        for layer in self.layers:
            x = layer(x, turn)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden @ self.embed_tokens.weight.T


def finished(layout: Path) -> Network:
    """Return the text model in the mlx folder of a finished one."""
    weights = load_file(layout / "model.safetensors")
    layers = 1 + max(int(each.split(".")[2]) for each in weights if ".layers." in each)
    vocabulary = weights["model.embed_tokens.weight"].shape[0]
    network = Network(Shape(vocabulary, layers=layers))
    for name, weight in network.state_dict().items():
        weight.copy_(weights[f"model.{name}"])
    return network


def _turn(shape: Shape, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    half = torch.arange(0, shape.head_width, 2, device=device).float() / shape.head_width
    angles = torch.outer(torch.arange(length, device=device).float(), shape.rope_theta**-half)
    angles = torch.cat([angles, angles], -1)
    return angles.cos(), angles.sin()


def _turned(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    left, right = x.chunk(2, -1)
    return x * turn[0] + torch.cat([-right, left], -1) * turn[1]
