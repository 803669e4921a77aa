"""The network: Qwen3's architecture, small, with the names that its checkpoints use."""

# torch's types are partly unknown.
# pyright: strict, reportUnknownMemberType=false

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Shape:
    vocabulary: int
    width: int = 192
    layers: int = 4
    heads: int = 6
    key_value_heads: int = 2
    head_width: int = 32
    inner: int = 384
    context: int = 2048
    rope_theta: float = 10000.0
    epsilon: float = 1e-6


class Norm(nn.Module):
    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), self.weight, self.epsilon)


class Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        keys = shape.key_value_heads * shape.head_width
        self.q_proj = nn.Linear(shape.width, shape.heads * shape.head_width, bias=False)
        self.k_proj = nn.Linear(shape.width, keys, bias=False)
        self.v_proj = nn.Linear(shape.width, keys, bias=False)
        self.o_proj = nn.Linear(shape.heads * shape.head_width, shape.width, bias=False)
        self.q_norm = Norm(shape.head_width, shape.epsilon)
        self.k_norm = Norm(shape.head_width, shape.epsilon)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        rows, length, _ = x.shape
        split = (rows, length, -1, self.shape.head_width)
        queries = _turned(self.q_norm(self.q_proj(x).view(split)).transpose(1, 2), turn)
        keys = _turned(self.k_norm(self.k_proj(x).view(split)).transpose(1, 2), turn)
        values = self.v_proj(x).view(split).transpose(1, 2)
        group = self.shape.heads // self.shape.key_value_heads
        mixed = functional.scaled_dot_product_attention(
            queries,
            keys.repeat_interleave(group, 1),
            values.repeat_interleave(group, 1),
            is_causal=True,
        )
        return self.o_proj(mixed.transpose(1, 2).reshape(rows, length, -1))


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
        self.layers = nn.ModuleList([Layer(shape) for _ in range(shape.layers)])
        self.norm = Norm(shape.width, shape.epsilon)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:  # noqa: PLR2004
                nn.init.normal_(weight, 0, 0.02 if "embed" in name else weight.shape[1] ** -0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.logits(self.hidden(tokens))

    def hidden(self, tokens: Tensor) -> Tensor:
        turn = _turn(self.shape, tokens.shape[1], tokens.device)
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x, turn)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden @ self.embed_tokens.weight.T


def _turn(shape: Shape, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    half = torch.arange(0, shape.head_width, 2, device=device).float() / shape.head_width
    angles = torch.outer(torch.arange(length, device=device).float(), shape.rope_theta**-half)
    angles = torch.cat([angles, angles], -1)
    return angles.cos(), angles.sin()


def _turned(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    left, right = x.chunk(2, -1)
    return x * turn[0] + torch.cat([-right, left], -1) * turn[1]
