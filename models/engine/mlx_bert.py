"""BERT and its like (RoBERTa, XLM-R) with mlx alone: encoders, of which mlx_lm has none.

Weights have Hugging Face's names (transformers' modeling_bert.py). Nothing here imports mlx:
whoever has it passes it in.
"""

from collections.abc import Callable, Mapping
from math import pi
from types import ModuleType
from typing import Any, TypeAlias

from models.counts import Counts
from models.errors import LoadFailed
from models.facts import first_position
from models.pooling import ROBERTA, ranks

Array: TypeAlias = Any

# Of layers that are for other things than vectors; what is left of those is a cross-encoder's.
_UNUSED = ("cls.", "lm_head.")
_NEVER = -1e9  # a score that softmax makes nothing of, in 16 bit too


class Bert:
    """An encoder, of which ``weights`` need not have been read yet.

    Raises:
        LoadFailed: something in it is not known here, or is missing.
    """

    def __init__(
        self, mx: ModuleType, config: Mapping[str, Any], weights: Mapping[str, Array]
    ) -> None:
        _check(config)
        counts = Counts("config.json", config)
        self._mx = mx
        self._weights = _renamed(weights)
        self._layers = counts.required("num_hidden_layers")
        self._heads = counts.required("num_attention_heads")
        self._eps = float(config.get("layer_norm_eps", 1e-12))
        self._first_position = first_position(str(config["model_type"]))
        self._has_types = counts.optional("type_vocab_size") > 1
        self._ranks = ranks(config)
        self._roberta = config["model_type"] in ROBERTA
        self._activation = _activation(mx, str(config.get("hidden_act", "gelu")))
        quantization: Any = config.get("quantization") or {}
        self._quantized = {key: quantization.get(key) for key in ("group_size", "bits")}
        self._try()

    def _try(self) -> None:
        """Say what a text would go through, which shows what is missing; nothing is read."""
        tokens = self._mx.zeros((1, 1), dtype=self._mx.int32)
        hidden = self.hidden(tokens, tokens == 0)
        if self._ranks:
            self.scores(hidden)

    # -- What is asked of any model while it loads ------------------------------

    def parameters(self) -> dict[str, Array]:
        return self._weights

    def set_dtype(self, dtype: object) -> None:
        mx = self._mx
        for name, array in self._weights.items():
            if mx.issubdtype(array.dtype, mx.floating):
                self._weights[name] = array.astype(dtype)

    # -- A text -----------------------------------------------------------------

    def hidden(self, tokens: Array, mask: Array, separator: int | None = None) -> Array:
        """Return the last layer's output (rows, length, width).

        Args:
            tokens: (rows, length), padded on the right.
            mask: (rows, length), true where there is a token.
            separator: the token between the two texts of a row, where it has two.
        """
        mx = self._mx
        positions = mx.arange(tokens.shape[1]) + self._first_position
        x = self._row("embeddings.word_embeddings", tokens)
        x = x + self._row("embeddings.position_embeddings", positions)
        x = x + self._row("embeddings.token_type_embeddings", self._types(tokens, separator))
        x = self._norm("embeddings.LayerNorm", x)
        bias = mx.where(mask, 0.0, _NEVER).astype(x.dtype)[:, None, None, :]
        for number in range(self._layers):
            x = self._layer(f"encoder.layer.{number}.", x, bias)
        return x

    def scores(self, hidden: Array) -> Array:
        """Return a cross-encoder's scores (rows, 1), of the first token of each row."""
        first = hidden[:, 0]
        if self._roberta:
            return self._linear(
                "classifier.out_proj", self._mx.tanh(self._linear("classifier.dense", first))
            )
        return self._linear("classifier", self._mx.tanh(self._linear("pooler.dense", first)))

    def _types(self, tokens: Array, separator: int | None) -> Array:
        """A second text's tokens are of the second type: those behind the first separator."""
        if separator is None or not self._has_types:
            return self._mx.zeros_like(tokens)
        borders = (tokens == separator).astype(tokens.dtype)
        return self._mx.minimum(borders.cumsum(-1) - borders, 1)

    def _layer(self, name: str, x: Array, bias: Array) -> Array:
        rows, length, width = x.shape
        head = width // self._heads

        def split(part: str) -> Array:
            y = self._linear(f"{name}attention.self.{part}", x)
            return y.reshape(rows, length, self._heads, head).transpose(0, 2, 1, 3)

        y = self._mx.fast.scaled_dot_product_attention(
            split("query"), split("key"), split("value"), scale=head**-0.5, mask=bias
        )
        y = y.transpose(0, 2, 1, 3).reshape(x.shape)
        y = self._linear(f"{name}attention.output.dense", y)
        x = self._norm(f"{name}attention.output.LayerNorm", x + y)
        y = self._activation(self._linear(f"{name}intermediate.dense", x))
        return self._norm(f"{name}output.LayerNorm", x + self._linear(f"{name}output.dense", y))

    # -- Weights, some of them quantised ---------------------------------------

    def _get(self, name: str) -> Array:
        try:
            return self._weights[name]
        except KeyError:
            raise LoadFailed(f"The model's files lack the weights {name}.") from None

    def _row(self, name: str, places: Array) -> Array:
        weight = self._get(f"{name}.weight")[places]
        scales = self._weights.get(f"{name}.scales")
        if scales is None:
            return weight
        biases = self._get(f"{name}.biases")[places]
        return self._mx.dequantize(weight, scales[places], biases, **self._quantized)

    def _linear(self, name: str, x: Array) -> Array:
        weight = self._get(f"{name}.weight")
        scales = self._weights.get(f"{name}.scales")
        if scales is None:
            y = x @ weight.T
        else:
            y = self._mx.quantized_matmul(
                x, weight, scales, self._get(f"{name}.biases"), transpose=True, **self._quantized
            )
        return y + self._get(f"{name}.bias")

    def _norm(self, name: str, x: Array) -> Array:
        weight, bias = self._get(f"{name}.weight"), self._get(f"{name}.bias")
        return self._mx.fast.layer_norm(x, weight, bias, self._eps)


def _renamed(weights: Mapping[str, Array]) -> dict[str, Array]:
    renamed = {_renamed_one(name): array for name, array in weights.items()}
    return {name: array for name, array in renamed.items() if not name.startswith(_UNUSED)}


def _renamed_one(name: str) -> str:
    bare = name.removeprefix("bert.").removeprefix("roberta.")
    # As the first BERT had it, and some that were made of it still do.
    return bare.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
        "LayerNorm.beta", "LayerNorm.bias"
    )


def _check(config: Mapping[str, Any]) -> None:
    kind = config.get("model_type")
    if kind not in ("bert", *ROBERTA):
        raise LoadFailed(
            f"MLX cannot run encoders of this architecture ({kind}) here: look for the model as "
            "a GGUF file."
        )
    positions = config.get("position_embedding_type", "absolute")
    if positions != "absolute":
        raise LoadFailed(f"The model's kind of positions ({positions}) is not known here.")


def _activation(mx: ModuleType, name: str) -> Callable[[Array], Array]:
    match name:
        case "gelu":
            return lambda x: x * (1 + mx.erf(x / 2**0.5)) / 2
        case "gelu_new" | "gelu_pytorch_tanh":
            return lambda x: x * (1 + mx.tanh((2 / pi) ** 0.5 * (x + 0.044715 * x**3))) / 2
        case "relu":
            return lambda x: mx.maximum(x, 0)
        case _:
            raise LoadFailed(f"The model's activation ({name}) is not known here.")
