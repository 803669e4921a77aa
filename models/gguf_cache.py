"""What a GGUF model keeps of the tokens that it has read, as llama.cpp sets memory aside.

The names and the rules are its own (src/llama-hparams.cpp, and ``load_arch_hparams`` of each
architecture in src/models). For one that has rules of its own, and that is not in the tables
here, every layer counts as one that keeps every token: rather too much than too little.
"""

from collections.abc import Mapping, Sequence

from models.cache_facts import CacheFacts, Layer, of_layers
from models.counts import Counts
from models.gguf_header import Value

# Of so many layers in a row the last sees everything, the others a window.
_WINDOW_PATTERNS = {
    "afmoe": 4,
    "cohere2": 4,
    "exaone-moe": 4,
    "exaone4": 4,
    "gemma-embedding": 6,
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "gpt-oss": 2,
    "llama4": 4,
    "olmo2": 4,
    "smallthinker": 4,
}
_FULL_IS_FIRST = ("smallthinker",)
_USUAL_WINDOWS = {"gemma2": 4096, "llama4": 8192, "smallthinker": 4096}
# The metadata tells a window, and llama.cpp sets memory aside for every token.
_NO_WINDOW = ("phi3", "llama", "qwen2")
# Its later layers read what the earlier ones keep.
_LAYERS_THAT_KEEP = {"gemma3n": 20}
# They have a state in every layer, and in some nothing else.
_STATES_ALONE = ("mamba", "mamba2", "rwkv6", "rwkv7", "rwkv6qwen2", "arwkv7")
_STATES_BESIDE = ("falcon-h1",)
# Of so many layers in a row the last keeps tokens, the others a state.
_STATE_PATTERNS = {"qwen3next": 4, "qwen35": 4, "qwen35moe": 4, "alice-ai": 4}


def cache_facts(counts: Counts, architecture: str, metadata: Mapping[str, Value]) -> CacheFacts:
    """Raises LoadFailed where a count makes no sense."""
    counts.required("block_count")
    layers = counts.layers("block_count")
    own = layers - min(layers, counts.optional("nextn_predict_layers"))
    windowed = _windowed(counts, architecture, metadata, layers)
    has_state = _stateful(counts, architecture, layers)
    shared = counts.optional("attention.shared_kv_layers")
    keeping = min(own - min(own, shared), _LAYERS_THAT_KEEP.get(architecture, own))
    state = _state(counts)
    kv = [_kv(counts, layer, layers, swa=windowed[layer]) for layer in range(layers)]
    beside = architecture in _STATES_BESIDE
    found = (
        Layer(
            kv=0 if layer >= keeping or (has_state[layer] and not beside) else kv[layer],
            windowed=windowed[layer],
            state=state if has_state[layer] else 0,
        )
        for layer in range(own)
    )
    window = counts.optional("attention.sliding_window") or _USUAL_WINDOWS.get(architecture, 0)
    return of_layers(found, window)


def _kv(counts: Counts, layer: int, layers: int, *, swa: bool) -> int:
    """Return the numbers that one layer keeps of a token."""
    heads = _of_layer(counts.each("attention.head_count"), layer, layers)
    kv_heads = _of_layer(counts.each("attention.head_count_kv") or [heads], layer, layers)
    fallback = counts.required("embedding_length") // max(1, heads)
    key = counts.optional("attention.key_length") or fallback
    value = counts.optional("attention.value_length") or fallback
    if swa:
        key = counts.optional("attention.key_length_swa") or key
        value = counts.optional("attention.value_length_swa") or value
    if counts.optional("attention.key_length_mla"):  # the values are a part of the keys
        value = 0
    return kv_heads * (key + value)


def _of_layer(values: Sequence[int], layer: int, layers: int) -> int:
    if len(values) == layers:
        return values[layer]
    return max(values, default=0)


def _windowed(
    counts: Counts, architecture: str, metadata: Mapping[str, Value], layers: int
) -> Sequence[bool]:
    if architecture in _NO_WINDOW:
        return [False] * layers
    told = metadata.get(f"{architecture}.attention.sliding_window_pattern")
    if isinstance(told, tuple) and told:
        return [bool(told[layer % len(told)]) for layer in range(layers)]
    period = counts.optional("attention.sliding_window_pattern")
    period = period or _WINDOW_PATTERNS.get(architecture, 1)
    full = 0 if architecture in _FULL_IS_FIRST else period - 1
    return [layer % period != full for layer in range(layers)]


def _stateful(counts: Counts, architecture: str, layers: int) -> Sequence[bool]:
    """Which layers keep a state."""
    if architecture in (*_STATES_ALONE, *_STATES_BESIDE):
        return [True] * layers
    told = counts.each("attention.recurrent_layers")
    if len(told) == layers:
        return [bool(each) for each in told]
    if architecture in _STATE_PATTERNS:
        period = counts.optional("full_attention_interval") or _STATE_PATTERNS[architecture]
        return [(layer + 1) % period != 0 for layer in range(layers)]
    kv_heads = counts.each("attention.head_count_kv")
    if len(kv_heads) != layers or not _state(counts):
        return [False] * layers
    feed_forward = counts.each("feed_forward_length")
    return [
        not kv_heads[layer]
        # In nemotron_h a layer is one of three: attention, feed-forward, or this.
        and not (architecture.startswith("nemotron_h") and _of_layer(feed_forward, layer, layers))
        for layer in range(layers)
    ]


def _state(counts: Counts) -> int:
    """Return the numbers of one layer's state: ``n_embd_r`` and ``n_embd_s``."""
    width = counts.optional("embedding_length")
    if head := counts.optional("wkv.head_size"):
        return (counts.optional("token_shift_count") or 2) * width + width * head
    if length := counts.optional("shortconv.l_cache"):
        return width * (length - 1)
    kernel = counts.optional("ssm.conv_kernel")
    if head := counts.optional("kda.head_dim"):
        heads = counts.optional("ssm.group_count", "attention.head_count")
        return 3 * max(0, kernel - 1) * heads * head + heads * head * head
    inner, state = counts.optional("ssm.inner_size"), counts.optional("ssm.state_size")
    groups = counts.optional("ssm.group_count")
    return max(0, kernel - 1) * (inner + 2 * groups * state) + state * inner
