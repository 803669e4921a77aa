"""What a model may draft with, and that its memory is counted."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from models import drafts, needs
from models.drafts import Lookup
from models.errors import LoadFailed
from models.model import Files, Kind, Model, Profile
from models.needs import Wish
from tests.fakes import a_model, find_among

GIB = 1 << 30
TOKENS = ("<unk>", "<s>", "</s>", *"abcdefgh")


def with_tokens(folder: Path, name: str, tokens: Sequence[str], kind: str = "llama") -> Model:
    path = folder / f"{name}.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(kind)
    writer.add_token_list(list(tokens))
    writer.add_tensor("token_embd.weight", np.zeros((len(tokens), 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return replace(a_model(name), files=Files(folder, path.name))


def test_a_look_up_comes_before_a_model_and_what_is_neither_is_one_sentence() -> None:
    small = a_model("small")
    model = replace(a_model("m"), profile=Profile(drafts="small"))

    assert drafts.of(a_model("m"), find_among()) is None
    assert drafts.of(model, find_among(small)) is small
    assert drafts.named("ngram-mod", model, find_among()) is Lookup.NGRAM_MOD
    with pytest.raises(LoadFailed, match=r"^The draft model 'small' of 'm:latest' is"):
        drafts.of(model, find_among())


def test_the_larger_models_of_a_family_may_have_tokens_behind(tmp_path: Path) -> None:
    model = with_tokens(tmp_path, "model", [*TOKENS, "[PAD11]", "[PAD12]"])

    drafts.check(model, with_tokens(tmp_path, "family", TOKENS))
    drafts.check(model, with_tokens(tmp_path, "more", [*TOKENS, "[PAD11]", "[PAD12]", "[PAD13]"]))
    for other in (
        with_tokens(tmp_path, "swapped", [*TOKENS[:-2], "h", "g"]),
        with_tokens(tmp_path, "gpt", TOKENS, "gpt2"),
        with_tokens(tmp_path, "large", [*TOKENS, *(f"x{each}" for each in range(200))]),
    ):
        with pytest.raises(LoadFailed, match="it has another vocabulary"):
            drafts.check(model, other)


def test_who_can_have_no_drafts_is_told_why(tmp_path: Path) -> None:
    small = with_tokens(tmp_path, "small", TOKENS)
    model = with_tokens(tmp_path, "model", TOKENS)
    vectors = replace(model, details=replace(model.details, completes=False))

    for wanted, drafted, sentence in (
        (a_model("m", kind=Kind.MLX), Lookup.NGRAM_MOD, "MLX looks drafts up by itself"),
        (vectors, Lookup.NGRAM_MOD, "makes vectors and writes no text"),
        (model, a_model("d", kind=Kind.MLX), "that takes a GGUF model that writes texts"),
        (model, vectors, "that takes a GGUF model that writes texts"),
        (model, replace(small, files=Files(tmp_path, "gone.gguf")), "gone.gguf cannot be read"),
    ):
        with pytest.raises(LoadFailed, match=sentence):
            drafts.check(wanted, drafted)


def test_a_draft_model_takes_memory_for_its_weights_and_for_each_token() -> None:
    model = a_model(size_bytes=GIB, context_length=8192, kv_bytes_per_token=1024)
    small = a_model("s", size_bytes=GIB // 8, context_length=8192, kv_bytes_per_token=512)
    plain, with_model, with_lookup = (
        needs.roomiest(needs.least(model, wish), wish, 8 * GIB)
        for wish in (Wish(), Wish(drafts=small), Wish(drafts=Lookup.NGRAM_MOD))
    )

    assert with_model.need.weights_bytes == model.size_bytes + small.size_bytes
    assert with_model.max_sequences == with_lookup.max_sequences == 8
    kept = with_model.need.cache_bytes - with_model.prompt_cache_bytes
    assert kept == 8 * with_model.context_length * (1024 + 512)
    assert with_lookup.need.working_bytes == plain.need.working_bytes + (64 << 20)
    assert plain.max_sequences > 8
