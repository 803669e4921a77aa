"""Pictures on the llama.cpp engine: a tiny model with a projector of random weights beside it.

What it says of them is nonsense, and always the same.
"""

import io
import json
import re
import shutil
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image as Pillow

from models import chat, facts
from models.chat import (
    GenerateRequest,
    Grammar,
    Image,
    JsonObject,
    Message,
    Overflow,
    SamplingParams,
    Text,
)
from models.engine.backend import Work
from models.engine.house import Runner
from models.engine.llama import LlamaBackend, open_llama
from models.engine.llama_client import LlamaClient
from models.engine.llama_config import child_config
from models.engine.llama_disk import tokens_in
from models.engine.llama_process import LlamaProcess
from models.engine.llama_sight import LlamaSight, guessed_sight, place_of, sight_of
from models.engine.llama_tokenizer import LlamaTokenizer
from models.errors import ContextOverflow, InferenceError, InvalidRequest, LoadFailed
from models.events import Failed, Finished, FinishReason, Started, TextDelta
from models.gguf import read_template
from models.images import read_picture
from models.model import Files, Kind, Model
from models.names import ModelName
from models.residency import Residency
from tests import tiny_projectors
from tests.conftest import TESTDATA
from tests.fakes import A_TEST, a_spec, find_among
from tests.listener import Listener

FOLDER = TESTDATA / "models/tinychat"
MODEL, PROJECTOR = "tinychat-1m-F16.gguf", "mmproj-tiny-random-F32.gguf"
GREEDY = SamplingParams(temperature=0.0)
ENDLESS = SamplingParams(temperature=1.0, seed=1, ignore_eos=True)
A_PICTURE = 16  # tokens

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"No test data at {TESTDATA}")


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> None:
    """The engine outlives a test: the fixture below ends it."""


class Eyes:
    """An engine, and what is asked of it."""

    def __init__(self, *models: Model) -> None:
        self.backends: list[LlamaBackend] = []
        self.residency = Residency(find_among(*models), {Kind.LLAMA: Runner(self._open)})

    def _open(self, spec: Any, wake: Callable[[], None]) -> LlamaBackend:
        self.backends.append(open_llama(spec, wake))
        return self.backends[-1]

    def ask(self, *parts: str | bytes, **changes: Any) -> Listener:
        return self.start(*parts, **changes)[0]

    def start(self, *parts: str | bytes, **changes: Any) -> tuple[Listener, int]:
        listener = Listener()
        values: dict[str, Any] = {"model": "eyes", "prompt": (said(*parts),), "max_tokens": 24}
        request = GenerateRequest(**{**values, "sampling": GREEDY, **changes})
        return listener, self.residency.submit(request, listener, origin=A_TEST)


def said(*parts: str | bytes) -> Message:
    made = (Text(each) if isinstance(each, str) else Image(each) for each in parts)
    return Message("user", tuple(made))


def installed(path: Path, name: str = "eyes") -> Model:
    return facts.read(path).model(ModelName.parse(name), path.stat().st_size, name * 16)


def finished(listener: Listener) -> Finished:
    end = listener.end()
    assert isinstance(end, Finished), end
    return end


def failed(listener: Listener) -> InferenceError:
    end = listener.end()
    assert isinstance(end, Failed), end
    return end.error


def drawn(width: int, height: int, colour: str = "red") -> bytes:
    file = io.BytesIO()
    Pillow.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def eyes() -> Iterator[Eyes]:
    eyes = Eyes(installed(FOLDER / MODEL))
    yield eyes
    eyes.residency.close()


@pytest.fixture(scope="module")
def rocket() -> bytes:
    """The pixels as Ollama takes them, which passes over the profile of their colours."""
    file = io.BytesIO()
    with Pillow.open(TESTDATA / "media/rocket.jpg") as picture:
        picture.save(file, "PNG", icc_profile=None)
    return file.getvalue()


@pytest.fixture(scope="module")
def coffee() -> bytes:
    return (TESTDATA / "media/coffee.png").read_bytes()


# -- What is said of them --------------------------------------------------------------


def test_it_says_what_ollama_says_of_the_same_picture(eyes: Eyes, rocket: bytes):
    behind = eyes.ask("What is this?", rocket)
    before = eyes.ask(rocket, "Tell me a short story about a dog.")
    apart = eyes.ask(prompt=(said("What?"), said(rocket)))

    assert (finished(behind).usage.prompt_tokens, behind.text) == (40, "5 plus 1 to 3.")
    assert finished(before).usage.prompt_tokens == 47
    assert before.text == (
        '["Once upon a time. Marco found it near. Marco. Marco... Marco. very. The end.'
    )
    assert (finished(apart).usage.prompt_tokens, apart.text) == (42, "forest is 10 + 2.")


def test_pictures_are_seen_in_their_order(eyes: Eyes, rocket: bytes, coffee: bytes):
    one, other = eyes.ask(rocket, "and", coffee, "?"), eyes.ask(coffee, "and", rocket, "?")

    assert finished(one).usage.prompt_tokens == finished(other).usage.prompt_tokens
    assert one.text != other.text


def test_a_seed_draws_the_same_again(eyes: Eyes, rocket: bytes):
    drawn_at = SamplingParams(temperature=1.5, seed=7)
    texts: set[str] = set()
    for _ in range(2):
        listener = eyes.ask(rocket, "What?", sampling=drawn_at)
        finished(listener)
        texts.add(listener.text)

    assert len(texts) == 1


@pytest.mark.parametrize(
    ("constraint", "form"),
    [(Grammar("[0-9]{3}", "regex"), r"[0-9]{3}"), (JsonObject(), r"\{.*")],
)
def test_a_grammar_is_kept_to(eyes: Eyes, rocket: bytes, constraint: Any, form: str):
    listener = eyes.ask(rocket, "What?", constraint=constraint, max_tokens=16)
    finished(listener)

    assert re.fullmatch(form, listener.text, re.DOTALL)


def test_each_token_has_its_log_probability(eyes: Eyes, rocket: bytes):
    listener = eyes.ask(rocket, "What?", top_logprobs=2)
    finished(listener)

    tokens = [
        each for event in listener.events if isinstance(event, TextDelta) for each in event.tokens
    ]
    assert b"".join(each.piece for each in tokens).decode() == listener.text
    assert all(len(each.top) == 2 and each.logprob <= 0 for each in tokens)


def test_several_answers_share_one_look(eyes: Eyes, rocket: bytes):
    listeners = [Listener() for _ in range(3)]
    request = GenerateRequest(model="eyes", prompt=(said(rocket, "What?"),), max_tokens=8)
    seeds = range(5, 8)

    eyes.residency.submit_group(request, seeds, listeners, origin=A_TEST)

    assert {finished(each).usage.prompt_tokens for each in listeners} == {37}


# -- What it costs ---------------------------------------------------------------------


def test_the_same_picture_again_in_a_chat_costs_nothing(eyes: Eyes, rocket: bytes):
    first = eyes.ask("Once more, what is this?", rocket)
    usage = finished(first).usage
    turn = (said("Once more, what is this?", rocket), chat.assistant(first.text))

    second = finished(eyes.ask(prompt=(*turn, chat.user("And now?")))).usage

    assert second.cached_tokens >= usage.prompt_tokens + usage.completion_tokens - 1


def test_another_picture_of_the_same_size_is_not_taken_for_it(eyes: Eyes):
    finished(eyes.ask("What colour?", drawn(40, 40, "red")))

    usage = finished(eyes.ask("What colour?", drawn(40, 40, "blue"))).usage

    assert usage.cached_tokens < usage.prompt_tokens - A_PICTURE


def test_what_is_promised_for_a_picture_is_in_the_plan():
    model = installed(FOLDER / MODEL)

    assert model.details.picture_bytes == 16 * (128 + 8 * 64) * 4


# -- The context -----------------------------------------------------------------------


def test_a_chat_that_is_too_long_loses_whole_exchanges_with_their_pictures(
    eyes: Eyes, rocket: bytes
):
    turns = [
        each
        for number in range(8)
        for each in (said(rocket, f"What is picture {number}?"), chat.assistant("A rocket."))
    ]
    prompt = (*turns, said(rocket, "And this?"))

    listener = eyes.ask(prompt=prompt, context_length=256, overflow=Overflow.DROP, max_tokens=8)

    started = listener.until(Started)
    assert isinstance(started, Started)
    assert started.dropped_messages > 0
    assert started.dropped_messages % 2 == 0
    assert started.prompt_tokens < 256
    finished(listener)


def test_pictures_count_against_the_context(eyes: Eyes, rocket: bytes):
    many = [part for _ in range(20) for part in (rocket, "and")]

    error = failed(eyes.ask(*many, context_length=256))

    assert isinstance(error, ContextOverflow)
    assert error.prompt_tokens > 20 * A_PICTURE


# -- What goes wrong -------------------------------------------------------------------


def test_a_prompt_that_ends_with_a_picture_ends_nobody(eyes: Eyes, rocket: bytes):
    template = "{% for m in messages %}{{ m.content }}{% endfor %}"

    listener = eyes.ask(rocket, template=template, max_tokens=4)

    assert finished(listener).usage.prompt_tokens == A_PICTURE + 1


def test_a_marker_that_a_user_writes_is_text(eyes: Eyes, rocket: bytes):
    marker = "<__media__>"

    assert finished(eyes.ask(f"{marker} is no picture", rocket)).usage.prompt_tokens > 40


def test_a_run_of_letters_that_llama_cpp_would_not_survive_is_refused(eyes: Eyes, rocket: bytes):
    error = failed(eyes.ask(rocket, "a" * 1900, context_length=2048))

    assert isinstance(error, InvalidRequest)
    assert "break it up" in str(error)
    finished(eyes.ask(rocket, "a" * 700, max_tokens=4))


def test_a_prompt_with_pictures_has_no_log_probabilities_of_its_own(eyes: Eyes, rocket: bytes):
    error = failed(eyes.ask(rocket, "What?", prompt_logprobs=True, top_logprobs=1))

    assert isinstance(error, InvalidRequest)


def test_a_context_cannot_come_before_a_picture(eyes: Eyes, rocket: bytes):
    assert isinstance(failed(eyes.ask(rocket, preceding_tokens=(5, 6))), InvalidRequest)


def test_the_context_that_is_sent_back_has_no_pictures_in_it(eyes: Eyes, rocket: bytes):
    tokens = finished(eyes.ask(rocket, "What?", want_tokens=True)).tokens

    assert tokens is not None
    assert max(tokens) < 2000
    assert len(tokens) < 37 + 24 - A_PICTURE + 1


def test_one_that_is_cancelled_leaves_others_their_answers(eyes: Eyes, rocket: bytes):
    other = eyes.ask("Tell me a story.", rocket, sampling=ENDLESS, max_tokens=200)
    listener, ticket = eyes.start(*[rocket, "and"] * 20, sampling=ENDLESS, max_tokens=900)

    eyes.residency.cancel(ticket)

    assert finished(listener).reason is FinishReason.CANCELLED
    assert finished(other).usage.completion_tokens == 200


def test_no_program_is_found_that_could_be_handed_a_picture(eyes: Eyes, rocket: bytes):
    finished(eyes.ask(rocket, "What?", max_tokens=1))
    [child] = eyes.backends

    environment = psutil.Process(child.pid).environ()

    assert environment["PATH"] == ""
    assert environment["LLAMA_MEDIA_MARKER"] not in ("", "<__media__>")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4000])


def of_another_model(path: Path) -> None:
    raw = path.read_bytes()
    key = b"clip.vision.projection_dim"
    at = raw.index(key) + len(key) + 4
    path.write_bytes(raw[:at] + struct.pack("<I", 64) + raw[at + 4 :])


def of_other_widths(path: Path) -> None:
    """One whose header lies: llama.cpp sees it first."""
    key = b"mm.2.weight"
    raw = path.read_bytes()
    at = raw.index(key) + len(key) + 4 + 8
    path.write_bytes(raw[:at] + struct.pack("<Q", 64) + raw[at + 8 :])


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (Path.unlink, "its projector .* is gone: put it back, or import the model again"),
        (cut, "its projector .* is damaged or incomplete: download it again"),
        (of_another_model, "its projector .* was made for another model"),
        (of_other_widths, "its projector is damaged, or was made for another model"),
    ],
)
def test_a_projector_that_will_not_do_is_told_in_a_sentence_and_others_are_served(
    tmp_path: Path, spoil: Callable[[Path], None], sentence: str
):
    for name in (MODEL, PROJECTOR):
        shutil.copyfile(FOLDER / name, tmp_path / name)
    blind, spoiled = installed(tmp_path / MODEL), installed(tmp_path / MODEL, "spoiled")
    spoil(tmp_path / PROJECTOR)
    engine = Eyes(replace(blind, files=Files(tmp_path, MODEL)), spoiled)
    try:
        error = failed(engine.ask("Hello", model="spoiled"))
        answer = engine.ask("Hello")
        finished(answer)
    finally:
        engine.residency.close()

    assert isinstance(error, LoadFailed)
    assert re.fullmatch(f"Model 'spoiled.*' cannot be loaded: {sentence}\\.", str(error))
    assert answer.text


# -- Other projectors, in a child alone ------------------------------------------------


def of_folder(folder: Path) -> Model:
    files = Files(folder, MODEL, "mmproj.gguf")
    return replace(installed(FOLDER / MODEL), files=files)


@contextmanager
def child(folder: Path, kind: str, **changes: Any) -> Iterator[tuple[LlamaProcess, LlamaSight]]:
    """A child as it is started for a model with such a projector, but for ``changes``."""
    shutil.copyfile(FOLDER / MODEL, folder / MODEL)
    tiny_projectors.write(folder / "mmproj.gguf", kind)
    spec = a_spec(of_folder(folder), context_length=2048)
    ready = threading.Event()
    process = LlamaProcess(
        {**child_config(spec, None), **changes}, model_name="eyes", on_change=ready.set
    )
    try:
        assert ready.wait(30)
        assert process.ready()
        source = read_template(spec.model.path)
        tokenizer = LlamaTokenizer(process, source)
        sight = sight_of(spec.model, tokenizer, source.bos_token, process.media_marker)
        assert sight is not None
        yield process, sight
    finally:
        process.close()


def completed(process: LlamaProcess, sight: LlamaSight, picture: bytes) -> dict[str, Any]:
    """Have the child say one token of a picture, and tell of the likeliest."""
    seen = read_picture(picture)
    work = Work(
        tokens=(place_of(seen),),
        max_tokens=1,
        sampling=GREEDY,
        pictures=(seen,),
        pieces=("See ", " there?"),
    )
    body = {"prompt": sight.prompt(work), "n_predict": 1, "temperature": 0, "n_probs": 3}
    with closing(LlamaClient(process, timeout_seconds=60)) as client:
        return json.load(client.post("/completion", body))


def test_a_picture_counts_as_many_tokens_as_llama_cpp_reads(tmp_path: Path):
    with child(tmp_path, "qwen2vl_merger") as (process, sight):
        tokenizer = LlamaTokenizer(process, read_template(FOLDER / MODEL))
        for width, height in ((1, 1), (300, 200), (20, 900)):
            picture = drawn(width, height)

            tokens = sight.tokens(("See ", " there?"), (read_picture(picture),), tokenizer)

            assert len(tokens) == completed(process, sight, picture)["tokens_evaluated"]

        guessed = guessed_sight(of_folder(tmp_path), tokenizer, "")
        assert guessed is not None
        large = (read_picture(drawn(600, 400)),)
        told, known = (each.tokens(("", ""), large, tokenizer) for each in (guessed, sight))
        assert len(told) == pytest.approx(len(known), rel=0.1)


def test_the_tiles_of_a_picture_are_counted_before_the_model_is_loaded(tmp_path: Path):
    with child(tmp_path, "internvl") as (process, sight):
        tokenizer = LlamaTokenizer(process, read_template(FOLDER / MODEL))
        guessed = guessed_sight(of_folder(tmp_path), tokenizer, "")
        assert guessed is not None
        told, known = (
            [
                len(each.tokens(("", " ?"), (read_picture(drawn(*size)),), tokenizer))
                for size in ((40, 30), (100, 50), (110, 220), (700, 600))
            ]
            for each in (guessed, sight)
        )

    # What stands round a picture is no one token for this model.
    surplus = known[0] - told[0]
    assert [each + surplus for each in told] == known


def test_a_picture_whose_tokens_look_at_each_other_is_read_at_once(tmp_path: Path, rocket: bytes):
    told: list[Any] = []
    for changes in ({}, {"chunk_tokens": 512}, {"chunk_tokens": 64}):
        with child(tmp_path, "gemma3", **changes) as (process, sight):
            [first] = completed(process, sight, rocket)["completion_probabilities"]
            told.append(first["top_logprobs"])

    assert told[0] == told[1] != told[2]


def test_a_slot_with_a_picture_in_it_is_not_remembered(tmp_path: Path, rocket: bytes):
    with child(tmp_path, "qwen2vl_merger", slot_folder=str(tmp_path)) as (process, sight):
        completed(process, sight, rocket)
        with closing(LlamaClient(process, timeout_seconds=30)) as client:
            client.post("/slots/0?action=save", {"filename": "slot.bin"}).read()

    with pytest.raises(ValueError, match="holds a picture"):
        tokens_in(tmp_path / "slot.bin")
