"""Tokens are counted without the model: by a child that has its vocabulary alone."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from models import chat, gguf
from models.chat import GenerateRequest
from models.engine.counting import Counter
from models.engine.spelling import CountedSpelling
from models.engine.vocabulary_file import write_vocabulary
from models.errors import EngineClosed, InvalidRequest, LoadFailed
from models.model import Files, Kind, Model, Profile
from tests.fakes import a_model

POCKET = Path(__file__).parents[3] / "resources/pocket"
GGUF = next(POCKET.rglob("pocket.gguf"))
QUESTION = GenerateRequest(model="x", prompt=(chat.user("What is the capital of France?"),))
ENOUGH_SECONDS = 20.0


def model_at(path: Path, name: str = "pocket") -> Model:
    if path.is_dir():
        return replace(a_model(name, kind=Kind.MLX), files=Files(path, ""), digest=name)
    return replace(a_model(name), files=Files(path.parent, path.name), digest=name)


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[Counter]:
    counter = Counter(tmp_path)
    yield counter
    counter.close()
    assert children() == []


def children() -> list[int]:
    """Tokenizers, of llama.cpp or of Hugging Face."""
    found: list[int] = []
    for each in psutil.Process().children():
        if "_worker.py" in " ".join(each.cmdline()):
            found.append(each.pid)
    return found


def test_both_kinds_of_files_of_one_model_count_alike(counter: Counter):
    pytest.importorskip("tokenizers")

    counts = [
        counter.prompter(model_at(path, name)).count(QUESTION)
        for name, path in (("gguf", GGUF), ("mlx", POCKET / "mlx"))
    ]

    assert counts[0] == counts[1] > 10


def test_a_second_count_finds_the_child_of_the_first(counter: Counter):
    counter.prompter(model_at(GGUF)).count(QUESTION)
    (child,) = children()

    for _ in range(40):
        counter.prompter(model_at(GGUF)).count(QUESTION)

    assert children() == [child]


def test_of_three_models_two_are_kept(counter: Counter):
    counts = [
        counter.prompter(model_at(GGUF, f"pocket{number}")).count(QUESTION)
        for number in (1, 2, 3, 1)
    ]

    assert len(set(counts)) == 1
    assert len(children()) == 2


def test_many_threads_count_many_models_at_once(counter: Counter):
    counts: list[int] = []

    def count(number: int) -> None:
        model = model_at(GGUF, f"pocket{number % 3}")
        counts.append(counter.prompter(model).count(QUESTION))

    threads = [threading.Thread(target=count, args=(number,)) for number in range(9)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert len(counts) == 9
    assert len(set(counts)) == 1
    assert len(children()) <= 2


def test_a_child_goes_when_it_has_not_been_used_for_a_while(tmp_path: Path):
    counter = Counter(tmp_path, kept_seconds=0.2)
    counter.prompter(model_at(GGUF)).count(QUESTION)

    deadline = time.monotonic() + ENOUGH_SECONDS
    while children():
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)

    assert counter.prompter(model_at(GGUF)).count(QUESTION) > 10
    counter.close()


def test_a_child_that_has_died_is_replaced(counter: Counter):
    prompter = counter.prompter(model_at(GGUF))
    expected = prompter.count(QUESTION)
    psutil.Process(children()[0]).kill()

    with pytest.raises(Exception, match="crashed"):
        prompter.count(QUESTION)

    assert prompter.count(QUESTION) == expected


def test_what_is_no_model_is_told(counter: Counter, tmp_path: Path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(20))
    (tmp_path / "mlx").mkdir()

    with pytest.raises(LoadFailed):
        counter.prompter(model_at(broken, "broken"))
    with pytest.raises(LoadFailed, match=r"tokenizer\.json"):
        counter.prompter(model_at(tmp_path / "mlx", "mlx")).count(QUESTION)


def test_nothing_starts_once_it_is_closed(tmp_path: Path):
    counter = Counter(tmp_path)
    prompter = counter.prompter(model_at(GGUF))
    counter.close()

    with pytest.raises(EngineClosed):
        prompter.count(QUESTION)


def test_a_vocabulary_file_has_the_tokenizer_and_next_to_nothing_else(tmp_path: Path):
    target = tmp_path / "cache" / "vocabulary.gguf"

    write_vocabulary(GGUF, target)

    whole, small = gguf.read(GGUF), gguf.read(target)
    ours = {key for key in whole.metadata if key.startswith("tokenizer.ggml.")}
    assert ours == {key for key in small.metadata if key.startswith("tokenizer.")}
    assert small.metadata["general.architecture"] == "llama"
    assert target.stat().st_size < GGUF.stat().st_size
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_a_tokenizer_is_started_as_it_is_told_to(tmp_path: Path):
    counter = Counter(tmp_path, command=("false",))

    with pytest.raises(LoadFailed, match="crashed"):
        counter.prompter(model_at(POCKET / "mlx")).count(QUESTION)
    counter.close()


class TestSpelling:
    @pytest.fixture(params=["gguf", "mlx"])
    def spelling(self, counter: Counter, request) -> CountedSpelling:
        if request.param == "mlx":
            pytest.importorskip("tokenizers")
        return counter.spelling(model_at(GGUF if request.param == "gguf" else POCKET / "mlx"))

    def test_tokens_make_the_text_again(self, spelling: CountedSpelling):
        text = "Hello, Zürich 😀!\n  x = [1]" + " word" * 10_000

        tokens = spelling.tokens(text)

        assert b"".join(each.piece for each in tokens).decode() == text
        assert spelling.text([each.id for each in tokens]) == text
        assert any(b"\xf0" in each.piece and len(each.piece) < 4 for each in tokens)  # half of it

    def test_special_tokens_are_such_or_text(self, spelling: CountedSpelling):
        special = spelling.tokens("<|im_start|>")
        plain = spelling.tokens("<|im_start|>", parse_special=False)

        assert len(special) == 1 < len(plain)
        assert special[0].piece == b"<|im_start|>"
        assert spelling.text([each.id for each in special]) == "<|im_start|>"
        assert b"".join(each.piece for each in plain) == b"<|im_start|>"
        assert spelling.tokens("<|im_start|>") == special  # asked after the other way

    @pytest.mark.parametrize("id", [-1, 10**6, 2**40])
    def test_a_token_that_there_is_not_ends_nothing(self, spelling: CountedSpelling, id: int):
        spelling.tokens("a")
        before = children()

        with pytest.raises(InvalidRequest, match=f"There is no token {id} in this model"):
            spelling.text([1, id])

        assert children() == before

    def test_a_prompt_is_what_its_template_makes(self, spelling: CountedSpelling):
        asked = replace(QUESTION, prompt=(chat.user("hi"),))

        assert spelling.prompt(asked).endswith("user\nhi<|im_end|>\n<|im_start|>assistant\n")
        assert spelling.prompt(asked, ask=False).endswith("hi<|im_end|>\n")
        assert "im_start" in spelling.template

    def test_what_is_set_for_a_model_is_in_its_prompts(self, counter: Counter):
        own = model_at(GGUF)
        briefed = replace(own, profile=Profile(system="Be brief."))

        assert "Be brief." in counter.spelling(briefed).prompt(QUESTION)
        assert "Be brief." not in counter.spelling(own).prompt(QUESTION)


def test_what_wants_something_around_a_text_is_told(counter: Counter, testdata: Path):
    """BERT's [CLS] and [SEP]."""
    spelling = counter.spelling(model_at(testdata / "models/all-MiniLM-L6-v2-Q8_0.gguf"))

    bare, whole = spelling.tokens("hello"), spelling.tokens("hello", add_special=True)

    assert whole[1:-1] == bare
    assert [each.piece for each in (whole[0], whole[-1])] == [b"[CLS]", b"[SEP]"]
