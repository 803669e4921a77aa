"""What an MLX model keeps of the tokens that it has read, as mlx_lm's caches do.

The rules are those of ``make_cache`` in mlx_lm/models. Where a model has rules of its own that
are not told here, every layer counts as one that keeps every token: rather too much than too
little.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from models.cache_facts import CacheFacts, Layer, of_layers
from models.counts import Counts

# How the configurations that mlx_lm reads (mlx_lm/models) spell the same number.
_LAYERS = ("num_hidden_layers", "num_layers", "n_layers", "n_layer", "num_transformer_layers")
WIDTH = ("hidden_size", "n_embd", "d_model", "model_dim", "dim")
_HEADS = ("num_attention_heads", "n_heads", "n_head", "num_heads", "num_query_heads")
_KV_HEADS = ("num_key_value_heads", "num_kv_heads", "n_kv_heads", "multi_query_group_num")
_HEAD_WIDTH = ("head_dim", "kv_channels", "hidden_size_per_head")
_KERNEL = ("linear_conv_kernel_dim", "mamba_d_conv", "conv_kernel", "d_conv")
_STATE = ("mamba_d_state", "ssm_state_size", "state_size", "d_state")
_STATE_HEADS = ("mamba_n_heads", "mamba_num_heads", "num_heads")
_STATE_HEAD_WIDTH = ("mamba_d_head", "mamba_head_dim", "head_dim")
_GROUPS = ("mamba_n_groups", "n_groups")
_USUAL_KERNEL = 4  # of a convolution, where the configuration does not tell

# Of so many layers in a row the last sees everything, the others a window.
_WINDOW_PATTERNS = {
    "cohere2": 4,
    "gemma3": 6,
    "gemma3_text": 6,
    "gemma4": 5,
    "gemma4_text": 5,
    "gpt_oss": 2,
    "llama4": 4,
    "llama4_text": 4,
    "olmo3": 4,
}
_USUAL_WINDOWS = {"gpt_oss": 128, "cohere2": 4096, "llama4": 8192, "llama4_text": 8192}
_OTHER_USUAL_WINDOW = 512  # tokens: Gemma's
# Their configuration tells windows, and mlx_lm keeps every token.
_NO_WINDOW = ("gemma2", "qwen2", "qwen3", "qwen2_moe", "qwen3_moe", "phi3")
# Their projections are made whole again before they are kept.
_UNFOLDED = ("deepseek_v2", "minicpm3")
_KEEPS_INDEX = ("deepseek_v32", "glm_moe_dsa")
_STATES_ALONE = ("mamba", "mamba2", "falcon_mamba")
_STATES_BESIDE = ("falcon_h1",)
_STATE_PATTERNS = {"qwen3_next": 4, "qwen3_5": 4, "qwen3_5_moe": 4}
_STATE_WORDS = ("linear_attention", "conv", "mamba", "recurrent")


def cache_facts(counts: Counts, kind: str, config: Mapping[str, Any]) -> CacheFacts:
    """Return nothing but zeros where the configuration does not tell enough.

    Raises LoadFailed where a count makes no sense.
    """
    layers = counts.layers(*_LAYERS)
    own = layers - min(layers, counts.optional("num_kv_shared_layers"))
    words = _words(counts, kind, config, layers)
    state = _state(counts, kind) if any(word in _STATE_WORDS for word in words) else 0
    found: list[Layer] = []
    for layer, word in enumerate(words[:own]):
        windowed = word in ("sliding_attention", "chunked_attention")
        kv = _kv(counts, kind, layer, layers, windowed=windowed)
        if word not in _STATE_WORDS:
            found.append(Layer(kv=kv if word else 0, windowed=windowed))
        else:
            found.append(Layer(kv=kv if kind in _STATES_BESIDE else 0, state=state))
    window = counts.optional("sliding_window", "sliding_window_size", "attention_chunk_size")
    return of_layers(found, window or _USUAL_WINDOWS.get(kind, _OTHER_USUAL_WINDOW))


def _words(counts: Counts, kind: str, config: Mapping[str, Any], layers: int) -> Sequence[str]:
    """Return what each layer is, in transformers' words for ``layer_types``; "": keeps nothing."""
    if kind in (*_STATES_ALONE, *_STATES_BESIDE):
        return ["mamba"] * layers
    if kind in _NO_WINDOW:
        return ["full_attention"] * layers
    told = _list(config.get("layer_types")) or _list(config.get("block_types"))
    if told and len(told) >= layers:
        return [str(each) for each in told[:layers]]
    pattern = config.get("hybrid_override_pattern")
    if isinstance(pattern, str) and kind == "nemotron_h":
        words = {"M": "mamba", "*": "full_attention"}
        return [words.get(each, "") for each in pattern[:layers]]
    if "full_attn_idxs" in config:
        full = set(counts.each("full_attn_idxs"))
        return ["full_attention" if layer in full else "conv" for layer in range(layers)]
    if period := counts.optional("attn_layer_period"):
        offset = counts.optional("attn_layer_offset")
        return [
            "full_attention" if layer % period == offset else "mamba" for layer in range(layers)
        ]
    if kind in _STATE_PATTERNS:
        period = counts.optional("full_attention_interval") or _STATE_PATTERNS[kind]
        return _last_is_full(layers, period, "linear_attention")
    return _by_window(counts, kind, config, layers)


def _by_window(counts: Counts, kind: str, config: Mapping[str, Any], layers: int) -> Sequence[str]:
    letters = config.get("sliding_window_pattern")
    if isinstance(letters, str) and letters:  # exaone4: "LLLG"
        windowed = [letters[layer % len(letters)] == "L" for layer in range(layers)]
        return ["sliding_attention" if each else "full_attention" for each in windowed]
    if kind not in _WINDOW_PATTERNS:
        return ["full_attention"] * layers
    period = counts.optional("sliding_window_pattern") or _WINDOW_PATTERNS[kind]
    if kind == "gpt_oss":
        period = 2
    return _last_is_full(layers, period, "sliding_attention")


def _last_is_full(layers: int, period: int, others: str) -> Sequence[str]:
    return ["full_attention" if (layer + 1) % period == 0 else others for layer in range(layers)]


def _list(value: object) -> Sequence[object]:
    return cast("list[object]", value) if isinstance(value, list) else ()


def _kv(counts: Counts, kind: str, layer: int, layers: int, *, windowed: bool) -> int:
    """Return the numbers that one layer keeps of a token."""
    heads = _of_layer(counts.each(*_HEADS), layer, layers)
    if latent := counts.optional("kv_lora_rank"):
        rope = counts.optional("qk_rope_head_dim")
        if kind in _UNFOLDED:
            return heads * (counts.optional("qk_nope_head_dim") + rope + _values(counts))
        index = 2 * counts.optional("index_head_dim") if kind in _KEEPS_INDEX else 0
        return latent + rope + index
    kv_heads = _of_layer(counts.each(*_KV_HEADS) or [heads], layer, layers)
    width = counts.optional(*_HEAD_WIDTH) or counts.optional(*WIDTH) // max(1, heads)
    if not windowed:
        width = counts.optional("global_head_dim") or width
        if counts.optional("attention_k_eq_v"):
            kv_heads = counts.optional("num_global_key_value_heads") or kv_heads
    return kv_heads * 2 * width


def _values(counts: Counts) -> int:
    return counts.optional("v_head_dim") or counts.optional("qk_nope_head_dim")


def _of_layer(values: Sequence[int], layer: int, layers: int) -> int:
    if len(values) == layers:
        return values[layer]
    return max(values, default=0)


def _state(counts: Counts, kind: str) -> int:
    """Return the numbers of one layer's state: of its convolution, and what it carries on."""
    if length := counts.optional("conv_L_cache"):
        return (length - 1) * counts.optional(*WIDTH)
    before = (counts.optional(*_KERNEL) or _USUAL_KERNEL) - 1
    if heads := counts.optional("linear_num_value_heads"):
        key, value = (
            counts.optional("linear_key_head_dim"),
            counts.optional("linear_value_head_dim"),
        )
        keys = counts.optional("linear_num_key_heads") * key
        return before * (2 * keys + heads * value) + heads * value * key
    size = counts.optional(*_STATE)
    if kind in ("mamba", "falcon_mamba", "jamba"):
        inner = counts.optional("mamba_expand") * counts.optional(*WIDTH)
        inner = inner or counts.optional("intermediate_size", "d_inner")
        return before * inner + inner * size
    inner = counts.optional(*_STATE_HEADS) * counts.optional(*_STATE_HEAD_WIDTH)
    groups = counts.optional(*_GROUPS) or 1
    return before * (inner + 2 * groups * size) + inner * size
