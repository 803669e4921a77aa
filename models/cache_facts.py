"""What a sequence keeps in memory of the tokens that it has read, told by the kinds of layers.

Most layers keep keys and values of every token; some only of the last few (a sliding window);
some a state that is as large after a million tokens as after one.
"""

from collections.abc import Iterable
from typing import NamedTuple

KV_BYTES = 2  # of a number in a 16-bit KV cache
STATE_BYTES = 4  # of one in a state: both libraries keep most of it in 32 bits


class CacheFacts(NamedTuple):
    """The fields of ``Details`` of the same names."""

    kv_bytes_per_token: int = 0
    window_bytes_per_token: int = 0
    window_tokens: int = 0
    state_bytes: int = 0


class Layer(NamedTuple):
    """What one layer keeps, in numbers."""

    kv: int = 0  # of a token: keys and values
    windowed: bool = False  # only of the last tokens
    state: int = 0


def of_layers(layers: Iterable[Layer], window_tokens: int) -> CacheFacts:
    every = windowed = state = 0
    for layer in layers:
        state += layer.state
        if layer.windowed and window_tokens:
            windowed += layer.kv
        else:
            every += layer.kv
    return CacheFacts(
        every * KV_BYTES, windowed * KV_BYTES, window_tokens if windowed else 0, state * STATE_BYTES
    )
