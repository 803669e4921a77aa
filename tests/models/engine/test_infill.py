"""Fill-in-the-middle: what stands before and behind the gap, and what is cut away."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from models import chat, facts, gguf
from models.chat import GenerateRequest, Overflow, Snippet
from models.engine.hf_tokenizer import fill_in_of
from models.engine.installed import has_mlx
from models.engine.llama import open_llama
from models.engine.prepared import Prompt
from models.engine.prompt import Prompter
from models.errors import ContextOverflow, InvalidRequest
from models.fill_in import SPELLINGS, FillIn, Spelling, find
from models.model import Kind
from tests.fakes import ByteTokenizer
from tests.gguf_bytes import changed
from tests.running import POCKET_GGUF, POCKET_MLX, Running, decoded

PREFIX, SUFFIX, MIDDLE = 1, 2, 3  # no bytes of any text
FILL_IN = FillIn(PREFIX, SUFFIX, MIDDLE)
WITH_FILES = FillIn(PREFIX, SUFFIX, MIDDLE, repository=4, file=5)
QWEN = SPELLINGS[0]
RENAMED = (6, 7, 8)  # tokens of pocket that are not needed here


def prepare(
    before: Any = "def f():", after: str = "return x", *, bos: int | None = None, **changes: Any
) -> Prompt:
    context_length = changes.pop("context_length", 256)
    fill_in = changes.pop("fill_in", FILL_IN)
    prompter = Prompter(None, ByteTokenizer(bos), context_length, fill_in=fill_in)
    return prompter.prepare(GenerateRequest(model="x", prompt=before, suffix=after, **changes))


def parts_of(prompt: Prompt) -> tuple[str, str]:
    tokens = list(prompt.tokens)
    assert (tokens[0], tokens[-1]) == (PREFIX, MIDDLE)
    gap = tokens.index(SUFFIX)
    return bytes(tokens[1:gap]).decode(), bytes(tokens[gap + 1 : -1]).decode()


# -- The prompt --------------------------------------------------------------------


def test_the_gap_is_between_what_stands_before_and_behind() -> None:
    assert parts_of(prepare()) == ("def f():", "return x")


def test_some_have_the_end_first_and_no_token_for_the_middle() -> None:
    prompt = prepare(fill_in=FillIn(PREFIX, SUFFIX, None, suffix_first=True), bos=0)

    assert prompt.tokens == (0, SUFFIX, *b"return x", PREFIX, *b"def f():")


def test_of_messages_the_last_is_what_stands_before() -> None:
    messages = (chat.system("Write code."), chat.user("def f():"))

    assert parts_of(prepare(messages)) == ("def f():", "return x")


def test_a_context_goes_in_front() -> None:
    prompt = prepare(preceding_tokens=(9, 9), bos=0)

    assert prompt.tokens[:3] == (9, 9, PREFIX)


def test_a_gap_may_be_at_the_very_beginning() -> None:
    assert parts_of(prepare("")) == ("", "return x")


def test_without_tokens_for_it_it_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="cannot fill in the middle"):
        prepare(fill_in=None)


def test_without_a_token_for_files_each_has_a_line_before_it() -> None:
    prompt = prepare(snippets=(Snippet("a = 1", "a.py"), Snippet("b = 2")), bos=0)

    line = b"\n\n--- snippet ---\n\n"
    assert bytes(prompt.tokens[1:]).startswith(line + b"a = 1" + line + b"b = 2" + b"\x01def f():")


def test_files_are_told_apart_by_their_tokens() -> None:
    prompt = prepare(snippets=(Snippet("a = 1\n", "a.py"),), fill_in=WITH_FILES, bos=0)

    said = b"\x04myproject\n\x05a.py\na = 1\n\x05filename\n\x01def f():\x02return x\x03"
    assert bytes(prompt.tokens) == b"\0" + said


def test_of_files_that_do_not_fit_the_last_are_kept_and_the_gap_is_whole() -> None:
    snippets = [Snippet(f"{place} = {'.' * 60}", "f") for place in range(9)]

    prompt = prepare(snippets=snippets, fill_in=WITH_FILES, overflow=Overflow.TRUNCATE)

    text = bytes(prompt.tokens)
    assert text.endswith(b"\x05filename\n\x01def f():\x02return x\x03")
    assert text.startswith(b"\x04myproject\n\x05f\n")
    assert b"8 = ." in text and b"0 = ." not in text
    assert 110 < len(text) <= 129, "half is left for the answer"
    short = prepare(snippets=snippets, fill_in=WITH_FILES, overflow=Overflow.TRUNCATE, max_tokens=8)
    assert 230 < len(short.tokens) <= 248, "or as much as it may have"
    full = prepare("b" * 240, snippets=snippets, fill_in=WITH_FILES)
    assert bytes(full.tokens).startswith(b"\x01bbb"), "what has no room is left out"


# -- What is too long --------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [(300, 10), (10, 300), (130, 130), (251, 2)])
def test_what_is_too_long_is_refused_unless_it_may_be_cut(before: int, after: int) -> None:
    with pytest.raises(ContextOverflow):
        prepare("b" * before, "a" * after)


def test_what_just_fits_is_left_whole() -> None:
    prompt = prepare("b" * 250, "a" * 2)  # with three tokens between them, and one that follows

    assert len(prompt.tokens) == 255
    assert prompt.max_tokens == 1
    with pytest.raises(ContextOverflow):
        prepare("b" * 250, "a" * 2, bos=0)


@pytest.mark.parametrize(("before", "after"), [(300, 300), (10_000, 5), (5, 10_000), (252, 1)])
def test_a_cut_keeps_what_is_nearest_to_the_gap(before: int, after: int) -> None:
    ahead, behind = "." * before + "<", ">" + "." * after

    kept_ahead, kept_behind = parts_of(prepare(ahead, behind, overflow=Overflow.TRUNCATE))

    assert ahead.endswith(kept_ahead)
    assert behind.startswith(kept_behind)
    assert "<" in kept_ahead
    assert ">" in kept_behind
    assert 120 < len(kept_ahead) + len(kept_behind) <= 126, "half is left for the answer"
    if min(before, after) > 128:
        assert len(kept_ahead) > 2 * len(kept_behind)


def test_a_context_of_a_few_tokens_is_no_trouble() -> None:
    prompt = prepare("b" * 99, "a" * 99, overflow=Overflow.TRUNCATE, context_length=8)

    assert len(prompt.tokens) < 8
    with pytest.raises(ContextOverflow):
        prepare("b" * 99, "a" * 99, overflow=Overflow.TRUNCATE, context_length=4)


# -- Vocabularies ------------------------------------------------------------------


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda each: each.prefix)
def test_each_spelling_is_found(spelling: Spelling) -> None:
    ids = {text: 10 + place for place, text in enumerate(spelling.texts)}

    found = find(ids.get)

    assert found == FillIn(10, 11, 12 if spelling.middle else None, spelling.suffix_first)


def test_the_tokens_for_files_are_found_beside_it() -> None:
    qwen = dict(zip((*QWEN.texts, "<|repo_name|>", "<|file_sep|>"), range(5), strict=True))

    assert find(qwen.get) == FillIn(0, 1, 2, repository=3, file=4)


def test_half_of_a_spelling_is_none() -> None:
    assert find({"<|fim_prefix|>": 1, "<|fim_suffix|>": 2}.get) is None
    assert find({"<|fim_prefix|>": 1, "<fim_suffix>": 2, "<|fim_middle|>": 3}.get) is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pocket in both formats, with three of its tokens renamed to Qwen's."""
    folder = tmp_path_factory.mktemp("fill-in")
    tokens = [each.decode() for each in gguf.read_tokens(POCKET_GGUF)]
    shutil.copytree(POCKET_MLX, folder / "mlx")
    tokenizer = folder / "mlx/tokenizer.json"
    text = tokenizer.read_text(encoding="utf-8")
    for token, name in zip(RENAMED, QWEN.texts, strict=True):
        text = text.replace(json.dumps(tokens[token]), json.dumps(name))
        tokens[token] = name
    tokenizer.write_text(text, encoding="utf-8")
    changed(POCKET_GGUF, folder / "code.gguf", {"tokenizer.ggml.tokens": tokens})
    return folder


@pytest.fixture(scope="module")
def no_thread_left_behind() -> None:
    """The child outlives a test."""


@pytest.fixture(scope="module")
def llama(folder: Path) -> Iterator[Running]:
    running = Running(open_llama, folder / "code.gguf", kind=Kind.LLAMA)
    yield running
    running.close()


def asked(running: Running) -> tuple[int, ...]:
    request = GenerateRequest(model="x", prompt="Hello, my", suffix=" is Ada. 你好!")
    return running.backend.prompter.prepare(request).tokens


def expected(running: Running) -> tuple[int, ...]:
    before, after = running.encode("Hello, my"), running.encode(" is Ada. 你好!")
    return (RENAMED[0], *before, RENAMED[1], *after, RENAMED[2])


def test_a_gguf_file_makes_the_prompt_of_its_tokens(llama: Running, folder: Path) -> None:
    assert facts.read(folder / "code.gguf").details.insert
    assert asked(llama) == expected(llama)
    assert decoded(llama.answer(asked(llama), 1))


def test_a_gguf_file_may_name_its_tokens_by_number(tmp_path: Path) -> None:
    for names in (("fim_pre", "fim_suf", "fim_mid"), ("prefix", "suffix", "middle")):
        ids = dict(
            zip((f"tokenizer.ggml.{each}_token_id" for each in names), (4, 5, 6), strict=True)
        )
        path = changed(POCKET_GGUF, tmp_path / "named.gguf", ids)
        assert gguf.read_template(path).fill_in == FillIn(4, 5, 6)
        several = ids | {"tokenizer.ggml.fim_rep_token_id": 7, "tokenizer.ggml.fim_sep_token_id": 8}
        path = changed(POCKET_GGUF, tmp_path / "several.gguf", several)
        assert gguf.read_template(path).fill_in == FillIn(4, 5, 6, repository=7, file=8)
        assert facts.read(path).details.insert
    wild = changed(
        POCKET_GGUF, tmp_path / "wild.gguf", {**ids, "tokenizer.ggml.suffix_token_id": 1 << 40}
    )
    assert gguf.read_template(wild).fill_in is None
    assert gguf.read_template(POCKET_GGUF).fill_in is None


@pytest.mark.skipif(not has_mlx(), reason="MLX is not installed")
def test_an_mlx_folder_makes_the_same_prompt(llama: Running, folder: Path) -> None:
    from models.engine.mlx import open_mlx  # noqa: PLC0415  # not installed everywhere
    from models.engine.mlx_library import end_thread  # noqa: PLC0415

    def on_the_engines_thread() -> tuple[int, ...]:
        running = Running(open_mlx, folder / "mlx", kind=Kind.MLX)
        tokens = asked(running)
        assert decoded(running.answer(tokens, 1))
        running.close()
        end_thread()
        return tokens

    assert facts.read(folder / "mlx").details.insert
    with ThreadPoolExecutor(1, "engine-mlx") as thread:
        assert thread.submit(on_the_engines_thread).result() == asked(llama)
    assert fill_in_of(object()) is None  # pyright: ignore[reportArgumentType]
