"""The MLX backend, with a real model of a million weights."""

import json
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from models import chat
from models.chat import GenerateRequest, Overflow, SamplingParams
from models.engine import mlx_choice
from models.engine.backend import (
    Admitted,
    Decoded,
    LoadSpec,
    Output,
    Prefilled,
    SequenceFailed,
    Work,
)
from models.engine.installed import has_mlx
from models.engine.mlx import open_mlx
from models.engine.mlx_library import end_thread
from models.engine.mlx_sampling import LogitsProcessor
from models.engine.sampling import Sampling
from models.errors import InferenceError, InvalidRequest, LoadFailed, ModelCrashed, OutOfMemory
from models.events import FinishReason
from models.ledger import Need
from models.model import Details, Files, Kind, Model
from models.names import ModelName

pytestmark = pytest.mark.skipif(
    not has_mlx(), reason="MLX is not installed: pip install -e '.[mlx]'"
)

REPOSITORY = Path(__file__).resolve().parents[3]
LONG_PROMPT = [100 + place % 900 for place in range(900)]  # fifteen chunks
END_OF_TURN = 2  # <|im_end|>


class Driver:
    """A backend, every call of which is made on the engine's thread."""

    def __init__(
        self,
        thread: ThreadPoolExecutor,
        folder: Path,
        *,
        max_sequences: int = 4,
        cache_bytes: int = 64 << 20,
        prompt_cache_bytes: int = 0,
    ) -> None:
        self._thread = thread
        spec = LoadSpec(
            model=model_in(folder),
            context_length=2048,
            max_sequences=max_sequences,
            need=Need(weights_bytes=0, cache_bytes=cache_bytes, working_bytes=0),
            prompt_cache_bytes=prompt_cache_bytes,
        )
        woken = threading.Event()
        self.backend = self.call(open_mlx, spec, woken.set)
        while not self.call(self.backend.load):
            if not self.backend.has_work():
                woken.wait(5)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self._thread.submit(function, *arguments).result()

    def tokens_of(self, question: str) -> list[int]:
        request = GenerateRequest(model="tiny", prompt=(chat.user(question),))
        return list(self.backend.prompter.prepare(request).tokens)

    def start(
        self, ticket: int, prompt: str | list[int], max_tokens: int = 40, **sampling: Any
    ) -> None:
        sampling = {"temperature": 0.0} | sampling
        tokens = self.tokens_of(prompt) if isinstance(prompt, str) else prompt
        work = Work(
            tokens=tuple(tokens), max_tokens=max_tokens, sampling=SamplingParams(**sampling)
        )
        self.call(self.backend.insert, {ticket: work})

    def steps(self, until: Callable[[list[Output]], bool] = lambda _: False) -> list[Output]:
        """Step until there is nothing to do, or enough has come out."""
        outputs: list[Output] = []
        while self.backend.has_work() and not until(outputs):
            outputs += self.call(self.backend.step)
        return outputs

    def remove(self, ticket: int) -> None:
        self.call(self.backend.remove, ticket)

    def answer(
        self, prompt: str | list[int], max_tokens: int = 40, **sampling: Any
    ) -> list[Output]:
        self.start(99, prompt, max_tokens, **sampling)
        return self.steps()


def model_in(folder: Path) -> Model:
    details = Details(
        architecture="qwen3",
        parameter_count=972_000,
        quantization="F16",
        context_length=2048,
        embedding_length=128,
        kv_bytes_per_token=1024,
        chat=True,
    )
    return Model(
        name=ModelName.parse("tiny"),
        kind=Kind.MLX,
        files=Files(folder, ""),
        size_bytes=1_945_576,
        digest="0" * 64,
        modified_at=datetime(2026, 1, 1, tzinfo=UTC),
        details=details,
    )


def ids_of(outputs: list[Output], ticket: int) -> list[int]:
    return [
        each
        for output in outputs
        if isinstance(output, Decoded) and output.ticket == ticket
        for each in output.ids or ()
    ]


def text_of(outputs: list[Output], ticket: int = 99) -> str:
    pieces = [each.piece for each in outputs if isinstance(each, Decoded) and each.ticket == ticket]
    return b"".join(pieces).decode()


def finish_of(outputs: list[Output], ticket: int = 99) -> FinishReason | None:
    last = [each for each in outputs if each.ticket == ticket][-1]
    assert isinstance(last, Decoded)
    return last.finish


@pytest.fixture(scope="module")
def engine_thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1, "engine-mlx") as thread:
        thread.submit(int).result()  # it begins with its first work: now, and not in a test
        yield thread
        thread.submit(end_thread).result()


@pytest.fixture
def tiny(testdata: Path) -> Path:
    return testdata / "models/tinychat"


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    """A copy of the model's folder, to be changed."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tiny / name, folder / name)
    shutil.copyfile(tiny / "chat_template.jinja", folder / "chat_template.jinja")
    return folder


@pytest.fixture
def opened(engine_thread: ThreadPoolExecutor) -> Iterator[Callable[..., Driver]]:
    drivers: list[Driver] = []

    def open_folder(folder: Path, **sizes: int) -> Driver:
        drivers.append(Driver(engine_thread, folder, **sizes))
        return drivers[-1]

    yield open_folder
    for driver in drivers:
        driver.call(driver.backend.close)


@pytest.fixture
def driver(opened: Callable[..., Driver], tiny: Path) -> Driver:
    return opened(tiny)


# -- What it says -------------------------------------------------------------


def test_it_answers_a_question(driver: Driver) -> None:
    outputs = driver.answer("What is the capital of France?")

    assert text_of(outputs) == "The capital of France is Paris."
    assert isinstance(outputs[0], Admitted)
    assert isinstance(outputs[1], Prefilled)
    assert finish_of(outputs) is FinishReason.END_OF_TURN
    assert ids_of(outputs, 99)[-1] == END_OF_TURN
    assert not driver.backend.has_work()


def test_max_tokens_ends_an_answer_with_its_last_token_said(driver: Driver) -> None:
    outputs = driver.answer("What is the capital of France?", max_tokens=3)

    assert len(ids_of(outputs, 99)) == 3
    assert text_of(outputs) == "The capital of"
    assert finish_of(outputs) is FinishReason.MAX_TOKENS


def test_a_prompt_of_one_token_is_enough(driver: Driver) -> None:
    assert len(ids_of(driver.answer([1], max_tokens=2), 99)) == 2


def test_generation_config_adds_tokens_that_end_the_turn(
    opened: Callable[..., Driver], copy: Path
) -> None:
    paris = opened(copy).backend.prompter.tokenizer.encode(" Paris")
    (copy / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, paris[0]]}))

    outputs = opened(copy).answer("What is the capital of France?")

    assert text_of(outputs) == "The capital of France is"
    assert finish_of(outputs) is FinishReason.END_OF_TURN


def test_a_quantised_model_answers(
    opened: Callable[..., Driver], engine_thread: ThreadPoolExecutor, copy: Path
) -> None:
    engine_thread.submit(quantise, copy).result()

    outputs = opened(copy).answer("What is the capital of France?")

    assert "Paris" in text_of(outputs)


def quantise(folder: Path) -> None:
    utils = import_module("mlx_lm.utils")
    mx, nn = import_module("mlx.core"), import_module("mlx.nn")
    model, config = utils.load_model(folder)
    nn.quantize(model, group_size=64, bits=8)
    weights = dict(import_module("mlx.utils").tree_flatten(model.parameters()))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, {"format": "mlx"})
    config["quantization"] = {"group_size": 64, "bits": 8}
    (folder / "config.json").write_text(json.dumps(config))


# -- Sampling -----------------------------------------------------------------


def test_a_seed_gives_the_same_text_alone_and_beside_others(driver: Driver) -> None:
    warm: dict[str, Any] = {"temperature": 1.5, "top_k": 0, "top_p": 0.95, "repeat_penalty": 1.1}
    alone = ids_of(driver.answer("Tell me about the sea.", seed=7, **warm), 99)

    for ticket in range(3):
        driver.start(ticket, f"What is {ticket} plus 2?", seed=ticket, **warm)
    driver.start(3, "Tell me about the sea.", seed=7, **warm)
    together = ids_of(driver.steps(), 3)
    other = ids_of(driver.answer("Tell me about the sea.", seed=8, **warm), 99)

    assert together == alone
    assert other != alone


@pytest.mark.parametrize("narrow", [{"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}])
def test_the_narrowest_filters_leave_the_best_token(driver: Driver, narrow: dict[str, Any]) -> None:
    sampling: dict[str, Any] = {"temperature": 2.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0} | narrow
    greedy = ids_of(driver.answer("Who are you?"), 99)

    for seed in range(3):
        assert ids_of(driver.answer("Who are you?", seed=seed, **sampling), 99) == greedy


def test_top_k_leaves_so_many_tokens_to_choose_from(driver: Driver) -> None:
    for seed in range(12):
        sampling = {"temperature": 50.0, "top_k": 2, "top_p": 1.0, "seed": seed}
        driver.start(seed, "Who are you?", max_tokens=1, **sampling)
    outputs = driver.steps()

    assert len({ids_of(outputs, seed)[0] for seed in range(12)}) == 2


def test_any_integer_is_a_seed(driver: Driver) -> None:
    for seed in (-1, 0, 2**64 - 1, 2**70):
        assert ids_of(driver.answer("Hello!", max_tokens=2, temperature=1.0, seed=seed), 99)


@pytest.mark.parametrize("penalty", ["repeat_penalty", "presence_penalty", "frequency_penalty"])
def test_each_penalty_keeps_the_answer_from_repeating_the_prompt(
    driver: Driver, penalty: str
) -> None:
    sampling: dict[str, Any] = {"repeat_last_n": -1, penalty: 50.0}
    outputs = driver.answer("What is the capital of France?", **sampling)

    prompt = driver.tokens_of("What is the capital of France?")
    assert not set(ids_of(outputs, 99)) & set(prompt)


def test_penalties_that_look_back_on_nothing_change_nothing(driver: Driver) -> None:
    outputs = driver.answer(
        "What is the capital of France?", repeat_last_n=0, presence_penalty=50.0
    )

    assert text_of(outputs) == "The capital of France is Paris."


@pytest.mark.parametrize("stranger", [-1, 1426, 1_000_000])
def test_tokens_of_another_model_are_refused(driver: Driver, stranger: int) -> None:
    with pytest.raises(InvalidRequest):
        driver.start(1, [1, stranger])

    assert not driver.backend.has_work()


# -- Many at once -------------------------------------------------------------


def test_a_newcomer_with_a_long_prompt_lets_the_others_go_on(driver: Driver) -> None:
    driver.start(1, "Count from 1 to 10.")
    outputs = driver.steps(until=lambda so_far: any(isinstance(each, Decoded) for each in so_far))
    driver.start(2, LONG_PROMPT, max_tokens=3)

    outputs = driver.steps(until=lambda so_far: Prefilled(2, 0) in so_far)

    assert len(ids_of(outputs, 1)) >= 3  # one between each two chunks
    assert not ids_of(outputs, 2)


def test_more_sequences_than_fit_wait_for_their_turn(
    opened: Callable[..., Driver], tiny: Path
) -> None:
    driver = opened(tiny, max_sequences=2)
    for ticket in range(5):
        driver.start(ticket, "What is the capital of France?")

    outputs = driver.steps()

    assert {text_of(outputs, ticket) for ticket in range(5)} == {"The capital of France is Paris."}


def queued(outputs: list[Output]) -> bool:
    return True


def prefilling(outputs: list[Output]) -> bool:
    return Prefilled(2, 0) in outputs and len(ids_of(outputs, 2)) >= 3


def decoding(outputs: list[Output]) -> bool:
    return len(ids_of(outputs, 3)) >= 2


@pytest.mark.parametrize("phase", [queued, prefilling, decoding])
def test_a_sequence_can_be_removed_in_any_phase(
    driver: Driver, phase: Callable[[list[Output]], bool]
) -> None:
    questions = {1: "Count from 1 to 10.", 2: "Who are you?"}
    alone = {each: ids_of(driver.answer(questions[each]), 99) for each in questions}
    for ticket, question in questions.items():
        driver.start(ticket, question)
    driver.start(3, LONG_PROMPT)

    outputs = driver.steps(until=phase)
    driver.remove(3)
    driver.remove(3)
    after = driver.steps()

    assert (Prefilled(3, 0) in outputs) == (phase is decoding)
    assert not ids_of(after, 3)
    assert {each: ids_of(outputs + after, each) for each in questions} == alone


def test_removing_the_only_sequence_leaves_nothing_to_do(driver: Driver) -> None:
    driver.start(1, LONG_PROMPT)
    driver.call(driver.backend.step)
    driver.remove(1)

    assert not driver.backend.has_work()
    assert text_of(driver.answer("Hello!")) == "Hello! How can I help you today?"


# -- Prompts that are kept ------------------------------------------------------


def cached_of(outputs: list[Output], ticket: int = 99) -> int:
    (found,) = [
        each.cached_tokens
        for each in outputs
        if isinstance(each, Prefilled) and each.ticket == ticket
    ]
    return found


def test_a_chat_goes_on_where_it_was_and_says_how_much_was_known(
    opened: Callable[..., Driver], tiny: Path
) -> None:
    driver = opened(tiny, prompt_cache_bytes=32 << 20)
    question = "What is the capital of France?"
    first = driver.answer(question)
    chat_so_far = (chat.user(question), chat.assistant(text_of(first)), chat.user("Who are you?"))
    request = GenerateRequest(model="tiny", prompt=chat_so_far)
    tokens = list(driver.backend.prompter.prepare(request).tokens)

    second = driver.answer(tokens)

    asked = len(driver.tokens_of(question))
    assert cached_of(first) == 0
    assert cached_of(second) >= asked + len(ids_of(first, 99)) - 1
    assert ids_of(second, 99) == ids_of(opened(tiny).answer(tokens), 99)
    counters = driver.backend.counters
    assert (counters.prompt_cache_hits, counters.prompt_cache_misses) == (1, 1)
    assert driver.backend.counters.prompt_cache_bytes > 0


def test_most_turns_of_a_chat_that_has_outgrown_its_context_go_on_from_the_last(
    opened: Callable[..., Driver], tiny: Path
) -> None:
    driver = opened(tiny, prompt_cache_bytes=32 << 20)
    messages: list[chat.Message] = []
    known: list[float] = []
    for turn in range(20):
        messages.append(chat.user(f"{turn} What is the capital of France?"))
        request = GenerateRequest(
            model="tiny", prompt=tuple(messages), context_length=320, overflow=Overflow.DROP
        )
        prompt = driver.backend.prompter.prepare(request)
        outputs = driver.answer(list(prompt.tokens), 1)
        if prompt.dropped_messages:
            known.append(cached_of(outputs) / len(prompt.tokens))
        messages.append(chat.assistant("The capital of France is Paris."))

    assert len(known) >= 8
    assert sum(each > 0.5 for each in known) > 0.6 * len(known)


def test_without_room_for_it_nothing_is_kept(driver: Driver) -> None:
    driver.answer("Hello!")

    assert cached_of(driver.answer("Hello!")) == 0
    assert driver.backend.counters.prompt_cache_bytes == 0


# -- Failing ------------------------------------------------------------------


def test_penalties_that_cannot_be_computed_fail_their_own_sequence_alone(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = mlx_choice.make_penalties

    def make_or_fail(mx: Any, sampling: Sampling) -> LogitsProcessor | None:
        return make(mx, sampling) if sampling.frequency_penalty < 1 else fail

    def fail(*_: Any) -> None:
        raise ValueError

    monkeypatch.setattr(mlx_choice, "make_penalties", make_or_fail)
    driver.start(1, "What is the capital of France?")
    driver.start(2, "What is the capital of France?", frequency_penalty=1.0)
    driver.start(3, "What is the capital of France?", frequency_penalty=0.1)

    outputs = driver.steps()

    assert [each.ticket for each in outputs if isinstance(each, SequenceFailed)] == [2]
    assert not ids_of(outputs, 2)
    assert text_of(outputs, 1) == text_of(outputs, 3) == "The capital of France is Paris."


def fail_once(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    """Have the next run of the model raise, and the one after it work again."""
    model = import_module("mlx_lm.models.qwen3").Model
    run = model.__call__

    def failing(*arguments: Any, **options: Any) -> None:
        monkeypatch.setattr(model, "__call__", run)
        raise RuntimeError(message)

    monkeypatch.setattr(model, "__call__", failing)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("[METAL] Command buffer execution failed: Caused GPU Hang Error", ModelCrashed),
        ("[METAL] Command buffer execution failed: Insufficient Memory", OutOfMemory),
        ("[metal::malloc] Attempting to allocate 8 bytes", OutOfMemory),
    ],
)
def test_a_failed_step_fails_those_that_decode_and_the_others_go_on(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, message: str, kind: type[InferenceError]
) -> None:
    driver.start(1, "Count from 1 to 10.")
    driver.start(2, LONG_PROMPT)
    driver.steps(until=lambda so_far: bool(ids_of(so_far, 1)))
    fail_once(monkeypatch, message)

    outputs = driver.steps()

    failed = [each for each in outputs if isinstance(each, SequenceFailed)]
    assert [(each.ticket, type(each.error)) for each in failed] == [(1, kind)]
    assert finish_of(outputs, 2)
    assert not driver.backend.has_work()
    assert text_of(driver.answer("Hello!")) == "Hello! How can I help you today?"


def test_a_prompt_that_cannot_be_read_fails_alone(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.start(1, "What is the capital of France?")
    driver.start(2, "What is the capital of France?")
    driver.call(driver.backend.step)
    fail_once(monkeypatch, "Insufficient Memory")

    outputs = driver.steps()

    failed = [each for each in outputs if isinstance(each, SequenceFailed)]
    assert [(each.ticket, type(each.error)) for each in failed] == [(1, OutOfMemory)]
    assert text_of(outputs, 2) == "The capital of France is Paris."


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "text", "named"),
    [
        (
            "config.json",
            '{"model_type": "crystal_ball", "hidden_size": 8, "num_hidden_layers": 1}',
            "crystal_ball",
        ),
        ("config.json", '{"model_type": "qwen3"}', "tiny"),
        ("model.safetensors", "version https://git-lfs.github.com/spec/v1", "model.safetensors"),
        ("tokenizer.json", '{"version": "1.0", "trunc', "tokenizer.json"),
        ("tokenizer_config.json", '{"tokenizer_cl', "tokenizer"),
        ("chat_template.jinja", "{% if", "template"),
    ],
)
def test_a_folder_that_cannot_be_run_is_told_in_one_line(
    opened: Callable[..., Driver], copy: Path, file: str, text: str, named: str
) -> None:
    write(copy, file, text)

    with pytest.raises(LoadFailed, match=named) as caught:
        opened(copy)

    assert "\n" not in str(caught.value)


def test_a_folder_that_is_gone_is_named_without_asking_the_network(
    opened: Callable[..., Driver], tmp_path: Path
) -> None:
    with pytest.raises(LoadFailed, match=r"config\.json"):
        opened(tmp_path / "gone")


# -- Chat templates and special tokens ----------------------------------------


def test_special_tokens_are_read_and_never_said(driver: Driver) -> None:
    assert driver.backend.prompter.tokenizer.encode("<|im_end|>") == [END_OF_TURN]

    # A negative penalty has the model say the prompt again and again.
    outputs = driver.answer([1, 1], max_tokens=8, presence_penalty=-1000.0)

    assert ids_of(outputs, 99) == [1] * 8
    assert text_of(outputs) == ""


@pytest.mark.parametrize("tokenizer_adds_it", [True, False])
@pytest.mark.parametrize("template_has_it", [True, False])
def test_a_chat_begins_with_what_its_template_writes_and_nothing_more(
    opened: Callable[..., Driver], copy: Path, tokenizer_adds_it: bool, template_has_it: bool
) -> None:
    bos = {"id": "<|endoftext|>", "type_id": 0}
    adds = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": bos}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {bos["id"]: {"id": bos["id"], "ids": [0], "tokens": [bos["id"]]}},
    }
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    tokenizer["post_processor"] = adds if tokenizer_adds_it else None
    write(copy, "tokenizer.json", json.dumps(tokenizer))
    config = json.loads((copy / "tokenizer_config.json").read_text())
    write(copy, "tokenizer_config.json", json.dumps(config | {"bos_token": bos["id"]}))
    bos_or_not = "{{ bos_token }}" if template_has_it else ""
    write(copy, "chat_template.jinja", bos_or_not + "{{ messages[0].content }}")

    driver = opened(copy)

    assert driver.tokens_of("Hello!").count(0) == template_has_it
    assert (driver.backend.prompter.tokenizer.bos == 0) == tokenizer_adds_it


# -- The process and its memory -----------------------------------------------


def test_closing_gives_the_memory_back(
    engine_thread: ThreadPoolExecutor, tiny: Path, opened: Callable[..., Driver]
) -> None:
    mx = import_module("mlx.core")
    before = engine_thread.submit(mx.get_active_memory).result()
    driver = Driver(engine_thread, tiny, prompt_cache_bytes=32 << 20)
    driver.answer("Who are you?")
    driver.start(1, "Count from 1 to 10.")
    driver.start(2, LONG_PROMPT)
    driver.steps(until=lambda so_far: bool(ids_of(so_far, 1)))
    assert driver.backend.counters.prompt_cache_bytes > 0
    loaded = driver.call(mx.get_active_memory)

    driver.call(driver.backend.close)

    assert loaded - before > 2 * 1_900_000  # its weights in 32 bits
    assert engine_thread.submit(mx.get_active_memory).result() - before < 10_000
    assert engine_thread.submit(mx.get_cache_memory).result() == 0


def test_an_error_that_is_kept_keeps_no_model_with_it(
    opened: Callable[..., Driver], engine_thread: ThreadPoolExecutor, copy: Path
) -> None:
    mx = import_module("mlx.core")
    before = engine_thread.submit(mx.get_active_memory).result()
    write(copy, "chat_template.jinja", "{% if")  # found when the weights are loaded already

    with pytest.raises(LoadFailed) as kept:
        opened(copy)

    assert engine_thread.submit(mx.get_active_memory).result() - before < 10_000
    assert kept.value.__context__ is None


def test_memory_is_never_wired(
    opened: Callable[..., Driver], tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mx = import_module("mlx.core")
    wired: list[int] = []

    def set_wired_limit(limit: int) -> int:
        wired.append(limit)
        return 0

    # On a Mac mlx_lm finds this figure, and wires that much.
    monkeypatch.setattr(mx, "device_info", lambda: {"max_recommended_working_set_size": 1 << 30})
    monkeypatch.setattr(mx, "set_wired_limit", set_wired_limit)

    text = text_of(opened(tiny).answer("Hello!"))

    assert text
    assert not wired


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_program_that_used_it_on_a_thread_exits_in_peace(tiny: Path) -> None:
    run = run_python(
        """
        import sys, threading
        from pathlib import Path
        from dataclasses import replace
        from models.chat import GenerateRequest, SamplingParams
        from models.engine.backend import Work
        from models.engine.mlx import open_mlx
        from models.engine.mlx_library import end_thread
        from models.model import Files, Kind
        from tests.fakes import a_model, a_spec

        def work():
            model = replace(
                a_model("tiny", kind=Kind.MLX), files=Files(Path(sys.argv[1]), "")
            )
            spec = a_spec(model, context_length=2048, max_sequences=4)
            backend = open_mlx(spec, lambda: None)
            while not backend.load():
                pass
            prompt = backend.prompter.prepare(
                GenerateRequest(model="tiny", prompt="The capital of France is")
            )
            greedy = SamplingParams(temperature=0.0)
            backend.insert({1: Work(tokens=prompt.tokens, max_tokens=2, sampling=greedy)})
            while backend.has_work():
                print(backend.step())
            backend.close()
            end_thread()

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        """,
        str(tiny),
    )

    assert run.returncode == 0, run.stderr
    assert "FinishReason" in run.stdout


def test_nothing_is_imported_before_a_model_is_opened() -> None:
    run = run_python(
        """
        import sys
        from models.engine.installed import has_mlx
        from models.engine.mlx_library import end_thread
        has_mlx()
        end_thread()
        print(*{"mlx.core", "mlx_lm", "transformers", "tokenizers"} & set(sys.modules))
        """
    )

    assert run.stdout.strip() == ""
    assert run.returncode == 0, run.stderr
