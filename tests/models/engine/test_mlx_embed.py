"""Embeddings and scores by MLX: encoders made of GGUF files, and decoders."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from models import facts
from models.chat import (
    EmbedRequest,
    GenerateRequest,
    LoadRequest,
    Overflow,
    Request,
    RerankRequest,
)
from models.engine.installed import has_mlx
from models.engine.llama import open_llama
from models.engine.mlx import open_mlx
from models.engine.mlx_embed import Pool
from models.engine.mlx_library import end_thread
from models.engine.roster import Runner
from models.errors import ContextOverflow, InferenceError, InvalidRequest, LoadFailed, NotAble
from models.events import Embedded, Failed, Finished, Last, Loaded, Reranked, TextDelta
from models.model import Kind, Model
from models.residency import Residency
from tests.bert_models import EXAMPLE, HAPPY, WIDTH, cosine, write_gguf, write_mlx, write_modules
from tests.fakes import A_TEST, a_model, find_among
from tests.listener import Listener

pytestmark = pytest.mark.skipif(
    not has_mlx(), reason="MLX is not installed: pip install -e '.[mlx]'"
)

POCKET = Path(__file__).parents[3] / "resources/pocket"


def model_at(path: Path, name: str) -> Model:
    found = facts.read(path)
    return replace(a_model(name, kind=found.kind), files=found.files, details=found.details)


Open = Callable[..., Residency]


@pytest.fixture
def open_residency() -> Iterator[Open]:
    opened: list[Residency] = []

    def open_residency(**paths: Path) -> Residency:
        models = [model_at(path, name) for name, path in paths.items()]
        runners = {Kind.LLAMA: Runner(open_llama), Kind.MLX: Runner(open_mlx, end_thread)}
        opened.append(Residency(find_among(*models), runners))
        return opened[-1]

    yield open_residency
    for each in opened:
        each.close()


def ask(residency: Residency, request: Request) -> Last:
    listener = Listener()
    residency.submit(request, listener, origin=A_TEST)
    return listener.end()


def embedded(
    residency: Residency, *inputs: str | tuple[int, ...], model: str = "bert", **changes: Any
) -> Embedded:
    values: dict[str, Any] = {"model": model, "inputs": inputs, **changes}
    end = ask(residency, EmbedRequest(**values))
    assert isinstance(end, Embedded), end
    return end


def refused(
    residency: Residency, *inputs: str | tuple[int, ...], model: str = "bert", **changes: Any
) -> InferenceError:
    values: dict[str, Any] = {"model": model, "inputs": inputs, **changes}
    end = ask(residency, EmbedRequest(**values))
    assert isinstance(end, Failed), end
    return end.error


def change_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def weights_of(folder: Path) -> dict[str, Any]:
    return load_file(folder / "model.safetensors")


def write_weights(folder: Path, weights: dict[str, Any]) -> None:
    save_file(weights, folder / "model.safetensors", metadata={"format": "mlx"})


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A random encoder, that takes the mean."""
    write_gguf(tmp_path / "bert.gguf", gguf.PoolingType.MEAN)
    write_mlx(tmp_path / "bert", tmp_path / "bert.gguf")
    return tmp_path / "bert"


def test_the_vectors_are_those_of_sentence_transformers(
    open_residency: Open, testdata: Path, tmp_path: Path
):
    source = testdata / "models/all-MiniLM-L6-v2-Q8_0.gguf"
    write_mlx(tmp_path / "minilm", source)
    (tmp_path / "minilm/sentence_bert_config.json").write_text('{"max_seq_length": 256}')
    residency = open_residency(mlx=tmp_path / "minilm", llama=source)

    ours = embedded(residency, *HAPPY, EXAMPLE, model="mlx")
    theirs = embedded(residency, *HAPPY, EXAMPLE, model="llama")

    happy, very_happy, sunny, example = ours.vectors
    assert cosine(happy, very_happy) == pytest.approx(0.943, abs=0.01)
    assert cosine(happy, sunny) == pytest.approx(0.257, abs=0.01)
    assert example[:4] == pytest.approx((0.06766, 0.06350, 0.04871, 0.07930), abs=0.004)
    assert ours.prompt_tokens == theirs.prompt_tokens
    for one, other in zip(ours.vectors, theirs.vectors, strict=True):
        assert cosine(one, other) > 0.999
    error = refused(residency, "dog " * 300, model="mlx")
    assert isinstance(error, ContextOverflow)
    assert (error.prompt_tokens, error.context_length) == (302, 256)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_the_pooling_is_the_models_own_on_both_engines(
    open_residency: Open, tmp_path: Path, pooling: str
):
    write_gguf(tmp_path / "random.gguf", gguf.PoolingType[pooling.upper()])
    write_mlx(tmp_path / "folder", tmp_path / "random.gguf", pooling=pooling)
    residency = open_residency(mlx=tmp_path / "folder", llama=tmp_path / "random.gguf")
    texts = ("a b c", "hello", "x " * 100)

    ours = embedded(residency, *texts, model="mlx").vectors
    theirs = embedded(residency, *texts, model="llama").vectors

    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, abs=1e-3)


def test_each_of_many_inputs_has_the_vector_that_it_has_alone(open_residency: Open, bert: Path):
    residency = open_residency(bert=bert)
    texts = [" ".join("abcdefghij" * 3)[: 1 + place % 57] for place in range(200)]

    found = embedded(residency, *texts)

    for place in (0, 42, 56, 199):
        (alone,) = embedded(residency, texts[place]).vectors
        assert found.vectors[place] == pytest.approx(alone, abs=1e-5)


def test_a_folder_without_its_pooling_takes_the_mean(open_residency: Open, bert: Path):
    residency = open_residency(bert=bert)
    before = embedded(residency, "a b c").vectors
    residency.close()
    (bert / "1_Pooling/config.json").unlink()

    assert embedded(open_residency(bert=bert), "a b c").vectors == before
    (bert / "modules.json").unlink()
    assert embedded(open_residency(bert=bert), "a b c").vectors == before


def test_quantised_weights_make_nearly_the_same_vectors(open_residency: Open, bert: Path):
    (before,) = embedded(open_residency(bert=bert), "a b c d e").vectors
    quantised(bert)

    (after,) = embedded(open_residency(bert=bert), "a b c d e").vectors

    assert after != pytest.approx(before, abs=1e-4)
    assert cosine(before, after) > 0.99


def quantised(folder: Path) -> None:
    """Make the matrices of a folder 8-bit, as mlx_lm.convert does."""
    mx = import_module("mlx.core")
    weights: dict[str, Any] = {}
    for name, array in mx.load(str(folder / "model.safetensors")).items():
        if array.ndim == 2 and array.shape[1] % 32 == 0:
            stem = name.removesuffix(".weight")
            packed, scales, biases = mx.quantize(array, group_size=32, bits=8)
            weights |= {name: packed, f"{stem}.scales": scales, f"{stem}.biases": biases}
        else:
            weights[name] = array
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    change_config(folder, quantization={"group_size": 32, "bits": 8})


def test_what_is_too_long_is_refused_with_the_counts_or_cut(open_residency: Open, bert: Path):
    residency = open_residency(bert=bert)
    error = refused(residency, "b", "a " * 300)
    (cut,) = embedded(residency, "a " * 300, overflow=Overflow.TRUNCATE).vectors
    (fits,) = embedded(residency, "a " * 126).vectors

    assert isinstance(error, ContextOverflow)
    assert (error.prompt_tokens, error.context_length) == (302, 128)
    assert cut == pytest.approx(fits, abs=1e-5)


@pytest.mark.parametrize("tokens", [(1 << 40,), (5, 1000), (-1,)])
def test_tokens_that_it_does_not_know_are_refused(
    open_residency: Open, bert: Path, tokens: tuple[int, ...]
):
    residency = open_residency(bert=bert)

    error = refused(residency, tokens)

    assert isinstance(error, InvalidRequest)
    assert "token numbers" in str(error)
    assert embedded(residency, (2, 5, 3), "a").vectors


def test_an_encoder_writes_nothing(open_residency: Open, bert: Path):
    end = ask(open_residency(bert=bert), GenerateRequest(model="bert", prompt="a"))

    assert isinstance(end, Failed)
    assert isinstance(end.error, NotAble)


def test_roberta_begins_at_its_third_position(open_residency: Open, bert: Path, tmp_path: Path):
    (before,) = embedded(open_residency(bert=bert), "a b c").vectors
    weights = weights_of(bert)
    name = "embeddings.position_embeddings.weight"
    weights[name] = np.concatenate([np.full((2, WIDTH), 9.0, np.float32), weights[name]])
    write_weights(bert, {f"roberta.{name}": array for name, array in weights.items()})
    change_config(bert, model_type="xlm-roberta", max_position_embeddings=130)
    residency = open_residency(bert=bert)

    (after,) = embedded(residency, "a b c").vectors

    assert after == pytest.approx(before, abs=1e-6)
    error = refused(residency, "a " * 300)
    assert isinstance(error, ContextOverflow)
    assert error.context_length == 128


def test_a_decoder_made_for_vectors_has_them_without_model_in_its_names(
    open_residency: Open, tmp_path: Path
):
    folder = shutil.copytree(POCKET / "mlx", tmp_path / "decoder")
    weights = weights_of(folder)
    assert all(name.startswith("model.") for name in weights)
    write_weights(folder, {name.removeprefix("model."): array for name, array in weights.items()})
    write_modules(folder, "last")
    residency = open_residency(decoder=folder, pocket=POCKET / "mlx")
    long = "London is a city. " * 60

    ours = embedded(residency, "Paris", long, "Rome is one too", model="decoder").vectors
    theirs = embedded(residency, "Paris", long, "Rome is one too", model="pocket").vectors

    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


@pytest.mark.parametrize("pooling", ["mean", "max", "cls"])
def test_what_a_decoder_read_in_chunks_is_pooled_as_if_it_were_read_at_once(pooling: str):
    mx = import_module("mlx.core")
    hidden = mx.random.normal((3, 20, 8))
    lengths = [20, 7, 1]
    whole = Pool(mx, pooling, lengths)
    whole.add(hidden)
    parts = Pool(mx, pooling, lengths)
    for start in range(0, 20, 6):
        parts.add(hidden[:, start : start + 6])

    for one, other in zip(whole.vectors(), parts.vectors(), strict=True):
        assert one == pytest.approx(other, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"num_hidden_layers": 3}, "lack the weights encoder.layer.2"),
        ({"position_embedding_type": "relative_key"}, "kind of positions (relative_key)"),
        ({"hidden_act": "snake"}, "activation (snake)"),
        ({"model_type": "modernbert"}, "this architecture (modernbert)"),
    ],
)
def test_an_encoder_that_cannot_be_run_is_one_sentence(
    open_residency: Open, bert: Path, changes: dict[str, object], named: str
):
    change_config(bert, **changes)

    end = ask(open_residency(bert=bert), LoadRequest(model="bert"))

    assert isinstance(end, Failed)
    assert isinstance(end.error, LoadFailed)
    assert named in str(end.error)


def test_documents_are_ranked_by_their_vectors(open_residency: Open, bert: Path):
    residency = open_residency(bert=bert)
    query, near, far = embedded(residency, "a b c", "a b", "x y z").vectors

    end = ask(residency, RerankRequest(model="bert", query="a b c", documents=("a b", "x y z")))

    assert isinstance(end, Reranked)
    assert end.by == "embeddings"
    assert end.scores == pytest.approx((cosine(query, near), cosine(query, far)), abs=1e-5)


def test_a_cross_encoder_scores_each_document(open_residency: Open, tmp_path: Path):
    write_gguf(tmp_path / "rank.gguf", gguf.PoolingType.RANK)
    write_mlx(
        tmp_path / "rank",
        tmp_path / "rank.gguf",
        architectures=["BertForSequenceClassification"],
    )
    residency = open_residency(rank=tmp_path / "rank")
    assert isinstance(ask(residency, LoadRequest(model="rank")), Loaded)

    end = ask(residency, RerankRequest(model="rank", query="a b", documents=("c", "d e", "c")))

    assert isinstance(end, Reranked)
    assert end.by == "cross-encoder"
    first, second, third = end.scores
    assert first == pytest.approx(third, abs=1e-4)
    assert first != pytest.approx(second, abs=1e-3)
    assert isinstance(refused(residency, "a", model="rank"), NotAble)


def test_a_model_that_writes_embeds_meanwhile_in_chunks(open_residency: Open):
    residency = open_residency(pocket=POCKET / "mlx")
    writing = Listener()
    ticket = residency.submit(
        GenerateRequest(model="pocket", prompt="Once upon a time"), writing, origin=A_TEST
    )
    writing.until(TextDelta)
    long = "London is a city and Paris is one too. " * 12

    found = embedded(residency, "Paris", long, "Paris", long, model="pocket")
    residency.cancel(ticket)

    assert found.vectors[0] == pytest.approx(found.vectors[2], abs=1e-5)
    assert found.vectors[1] == pytest.approx(found.vectors[3], abs=1e-5)
    assert isinstance(writing.end(), Finished)


def test_a_decoder_has_the_vectors_that_llama_cpp_makes_of_it(open_residency: Open):
    (file,) = (POCKET / "gguf").glob("pocket.gguf")
    residency = open_residency(mlx=POCKET / "mlx", llama=file)
    texts = ("Paris", "What is the capital of France? " * 30)

    ours = embedded(residency, *texts, model="mlx")
    theirs = embedded(residency, *texts, model="llama")

    assert ours.prompt_tokens == theirs.prompt_tokens
    for one, other in zip(ours.vectors, theirs.vectors, strict=True):
        assert cosine(one, other) > 0.999
