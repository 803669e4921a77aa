"""Real tokenizers: no text kills them, none stops other threads, and pieces are the whole."""

import json
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from models import chat, gguf
from models.chat import GenerateRequest
from models.engine.hf_tokenizer import HfTokenizer
from models.engine.llama_client import LlamaClient
from models.engine.llama_process import LlamaProcess
from models.engine.llama_tokenizer import LlamaTokenizer
from models.engine.prompt import Prompter
from models.engine.template import ChatTemplate
from models.engine.tokenizer import Joint, joint_of, pieces
from tests.gguf_bytes import U32, changed

tokenizers = pytest.importorskip("tokenizers")

POCKET = Path(__file__).parents[3] / "resources/pocket"
FOX = "The quick brown fox jumps over the lazy dog; 12 of them did, 你好. "


class Child:
    """A llama.cpp with one model, and its tokenizer."""

    def __init__(self, path: Path) -> None:
        ready = threading.Event()
        config = {
            "model": str(path),
            "context_length": 256,
            "max_sequences": 1,
            "prompt_cache_bytes": 0,
            "pooling": "",
        }
        self.process = LlamaProcess(config, model_name=path.stem, on_change=ready.set)
        while not self.process.ready():
            assert ready.wait(30)
            ready.clear()
        self.source = gguf.read_template(path)
        self.tokenizer = LlamaTokenizer(self.process, self.source)

    def text_of(self, tokens: list[int]) -> str:
        with closing(LlamaClient(self.process, timeout_seconds=30)) as client:
            client.connect()
            return json.load(client.post("/detokenize", {"tokens": tokens}))["content"]

    def prompt(self, prompt: Any) -> list[int]:
        source = self.source
        assert source.text is not None
        template = ChatTemplate(source.text, bos_token=source.bos_token, eos_token=source.eos_token)
        prompter = Prompter(template, self.tokenizer, 256)
        return list(prompter.prepare(GenerateRequest(model="x", prompt=prompt)).tokens)


@pytest.fixture(scope="module")
def no_thread_left_behind() -> None:
    """The child outlives a test."""


@pytest.fixture(scope="module")
def pocket() -> Iterator[Child]:
    child = Child(next(POCKET.rglob("pocket.gguf")))
    yield child
    child.process.close()


@pytest.fixture
def child_of(testdata: Path, tmp_path: Path) -> Iterator[Any]:
    children: list[Child] = []

    def start(name: str, **changes: object) -> Child:
        path = testdata / "models" / name
        if changes:
            entries = {key.replace("__", "."): value for key, value in changes.items()}
            path = changed(path, tmp_path / "changed.gguf", entries)
        children.append(Child(path))
        return children[-1]

    yield start
    for child in children:
        child.process.close()


# -- Long runs ---------------------------------------------------------------------


RUNS = ["a", "A", "你", "ก", "!", "。", "1", "٣", " ", "\n", "_", "é", "😀", "\u0301"]
# Of two kinds that some alternative takes alike.
RUNS += ["कि", "a\u0301", "1²", "!\u0301", "/\n", " \n", "a1"]


@pytest.mark.parametrize("unit", RUNS)
def test_no_run_of_characters_kills_the_child(pocket: Child, unit: str):
    text = unit * (30_000 // len(unit))

    tokens = pocket.tokenizer.encode(text)

    assert pocket.text_of(tokens) == text


@pytest.mark.parametrize(
    "text",
    [
        "天下大事必作于细。" * 300,
        "नमस्ते दुनिया " * 300,
        "สวัสดีชาวโลก " * 300,
        FOX * 40,
        "x = 1\n" * 500,
    ],
)
def test_ordinary_text_is_cut_nowhere(pocket: Child, text: str):
    whole = pocket.tokenizer._ask([text], add_special=False)  # pyright: ignore[reportPrivateUsage]

    assert pocket.tokenizer.encode(text) == whole


@pytest.mark.parametrize("name", ["stories260K.gguf", "all-MiniLM-L6-v2-Q8_0.gguf", None])
def test_many_texts_have_the_tokens_that_each_has(child_of: Any, pocket: Child, name: str | None):
    tokenizer = (child_of(name) if name else pocket).tokenizer
    texts = ["Hello world", "", "Hello", " two  spaces", "1²" * 500, "", "你好", *["x" * 9_000] * 9]

    assert tokenizer.encode_each(texts) == [tokenizer.encode(each) for each in texts]
    assert tokenizer.encode_each([]) == []


def test_what_a_text_to_embed_has_round_it_is_the_models_own(child_of: Any, pocket: Child):
    assert child_of("all-MiniLM-L6-v2-Q8_0.gguf").tokenizer.around == ((101,), (102,))
    assert child_of("stories260K.gguf").tokenizer.around == ((1,), ())
    assert pocket.tokenizer.around == ((), ())


@pytest.mark.parametrize(
    ("splitter", "units"),
    [
        ("tekken", RUNS[:-1]),
        ("bloom", [unit for unit in RUNS if not set(unit) & set("!。\n")]),
    ],
)
def test_runs_of_every_kind_are_cut_for_every_splitter(splitter: str, units: list[str]):
    source = gguf.TemplateSource(None, "", "", 16, "gpt2", splitter)
    tokenizer = LlamaTokenizer(cast("LlamaProcess", None), source)
    for unit in units:
        parts = list(tokenizer._short_runs(unit * 9_000))  # pyright: ignore[reportPrivateUsage]

        assert "".join(parts) == unit * 9_000
        assert max(map(len, parts)) <= 400, unit


# -- Pieces ------------------------------------------------------------------------


def test_pieces_give_the_ids_of_the_whole_with_llama_cpp(pocket: Child):
    text = FOX * 2000
    whole = pocket.tokenizer._ask([text], add_special=False)  # pyright: ignore[reportPrivateUsage]

    assert pocket.tokenizer.cuts_cleanly
    assert pocket.tokenizer.encode(text) == whole


def test_a_vocabulary_that_puts_a_space_before_each_piece_gets_none_twice(child_of: Any):
    tokenizer = child_of("stories260K.gguf").tokenizer
    text = FOX * 1000

    assert not tokenizer.cuts_cleanly
    assert tokenizer.encode(text) == tokenizer._ask([text], add_special=False)


@pytest.mark.parametrize("name", ["qwen2", "smollm2"])
def test_pieces_give_the_ids_of_the_whole_with_hugging_face(testdata: Path, name: str):
    fast = tokenizers.Tokenizer.from_file(str(testdata / f"tokenizers/{name}/tokenizer.json"))
    tokenizer = HfTokenizer(fast, bos_token=None)
    text = FOX * 2000

    assert tokenizer.cuts_cleanly
    assert tokenizer.encode(text) == fast.encode(text, add_special_tokens=False).ids


def test_tokens_that_go_over_spaces_are_found_out():
    def one_a_sentence(texts: Any) -> list[int]:
        return [hash(text) for text in texts]

    assert joint_of(one_a_sentence) is Joint.NONE
    assert list(pieces("a b " * 50_000, Joint.NONE)) == ["a b " * 50_000]


def test_no_piece_ends_inside_a_special_token():
    text = "<|im_start|>" + "你" * 32_740 + "<|im_end|>" + "好" * 40_000

    parts = list(pieces(text, Joint.SPACE_STAYS))

    assert "".join(parts) == text
    assert len(parts) > 2
    assert sum(part.count("<|im_end|>") for part in parts) == 1


# -- Bounds ------------------------------------------------------------------------


def test_no_text_has_fewer_tokens_than_its_bytes_allow(pocket: Child, testdata: Path):
    path = testdata / "tokenizers/qwen2/tokenizer.json"
    fast = HfTokenizer(tokenizers.Tokenizer.from_file(str(path)), bos_token=None)
    for tokenizer in (pocket.tokenizer, fast):
        for text in (" " * 2000, "-" * 2000, FOX, "ᄒ\u1161\u11ab" * 300, "=" * 2000):
            fewest = len(text.encode()) / tokenizer.longest_token_bytes
            assert len(tokenizer.encode(text)) >= fewest > 0


def test_a_vocabulary_that_passes_over_what_it_does_not_know_has_no_bound():
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))

    tokenizer = HfTokenizer(words, bos_token=None)

    assert len("x" * 10_000) / tokenizer.longest_token_bytes < 1


# -- Special tokens ----------------------------------------------------------------

BOS, EOS = 1, 2  # of tinychat


def test_no_eos_comes_behind_a_prompt_where_a_model_would_add_one(child_of: Any):
    child = child_of("tinychat/tinychat-1m-F16.gguf", tokenizer__ggml__add_eos_token=True)

    assert child.prompt("Hello")[-1] != EOS
    assert child.text_of(child.prompt((chat.user("Hello"),))).endswith("assistant\n")


def test_a_template_that_writes_its_bos_late_gets_no_second_one(child_of: Any):
    template = "\n{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}"
    child = child_of(
        "tinychat/tinychat-1m-F16.gguf",
        tokenizer__ggml__add_bos_token=True,
        tokenizer__ggml__bos_token_id=struct.pack("<II", U32, BOS),
        tokenizer__chat_template=template,
    )

    assert child.prompt((chat.user("Hello"),)).count(BOS) == 1
    assert child.prompt("Hello")[0] == BOS
    assert child.prompt("Hello").count(BOS) == 1


def test_a_plain_prompt_gets_no_eos_of_hugging_faces_either(testdata: Path):
    path = testdata / "models/tinychat/tokenizer.json"
    fast = tokenizers.Tokenizer.from_file(str(path))
    start, end = fast.id_to_token(BOS), fast.id_to_token(EOS)
    fast.post_processor = tokenizers.processors.TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(start, BOS), (end, EOS)]
    )
    prompter = Prompter(None, HfTokenizer(fast, bos_token=start), 256)

    tokens = prompter.prepare(GenerateRequest(model="x", prompt="Hello")).tokens

    assert tokens[0] == BOS
    assert EOS not in tokens


# -- Other threads -----------------------------------------------------------------


def test_other_threads_run_while_a_megabyte_is_tokenised(testdata: Path):
    path = testdata / "tokenizers/smollm2/tokenizer.json"
    tokenizer = HfTokenizer(tokenizers.Tokenizer.from_file(str(path)), bos_token=None)
    thread = threading.Thread(target=tokenizer.encode, args=(FOX * 15_000,))
    longest, last = 0.0, time.monotonic()
    started = last
    thread.start()
    while thread.is_alive():
        thread.join(0.001)
        now = time.monotonic()
        longest, last = max(longest, now - last), now

    # One call that keeps the GIL would be all of it.
    assert longest < (last - started) / 3
