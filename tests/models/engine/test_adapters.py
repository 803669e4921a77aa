"""A model with a LoRA adapter, on each engine, and what is said of one that will not do."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models import adapters
from models.engine.backend import Work
from models.engine.installed import has_mlx
from models.engine.llama import open_llama
from models.engine.mlx import open_mlx
from models.engine.mlx_library import end_thread
from models.engine.prompt_owner import owner_of
from models.errors import LoadFailed
from models.model import Adapter, Files, Kind
from tests.adapters import write_gguf, write_mlx
from tests.fakes import a_model, a_spec
from tests.running import GREEDY, POCKET_GGUF, POCKET_MLX, Running, ids_of

PROMPT = tuple(range(300, 360))
TOKENS = 12


class Engine:
    """Pocket on one engine. All calls are made on one thread."""

    def __init__(self, kind: Kind, thread: ThreadPoolExecutor) -> None:
        self.kind = kind
        self._thread = thread
        self.write: Callable[..., Path] = write_mlx if kind is Kind.MLX else write_gguf

    def say(self, *put_on: Adapter, times: int = 1) -> list[list[int]]:
        """Return the tokens of so many answers, written at the same time."""
        return self._thread.submit(self._say, put_on, times).result()

    def _say(self, put_on: tuple[Adapter, ...], times: int) -> list[list[int]]:
        open_backend, path = open_llama, POCKET_GGUF
        if self.kind is Kind.MLX:
            open_backend, path = open_mlx, POCKET_MLX
        running = Running(open_backend, path, kind=self.kind, adapters=put_on)
        try:
            works = [Work(tokens=PROMPT, max_tokens=TOKENS, sampling=GREEDY)] * times
            return [ids_of(outputs) for outputs in running.run(*works)]
        finally:
            running.close()


@pytest.fixture(scope="module")
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as thread:
        thread.submit(int).result()  # it starts now, and not within a test
        yield thread
        thread.submit(end_thread).result()


@pytest.fixture(params=list(Kind))
def engine(request: pytest.FixtureRequest, thread: ThreadPoolExecutor) -> Engine:
    if request.param is Kind.MLX and not has_mlx():
        pytest.skip("MLX is not installed here")
    return Engine(request.param, thread)


@pytest.fixture
def mlx(thread: ThreadPoolExecutor) -> Engine:
    if not has_mlx():
        pytest.skip("MLX is not installed here")
    return Engine(Kind.MLX, thread)


def test_an_adapter_changes_what_is_said_and_one_of_zeros_does_not(
    engine: Engine, tmp_path: Path
) -> None:
    [plain] = engine.say()
    [nothing] = engine.say(Adapter(engine.write(tmp_path / "zeros", strength=0.0)))
    first, second = engine.say(Adapter(engine.write(tmp_path / "random")), times=2)

    assert nothing == plain
    assert first != plain
    assert second == first


def test_llama_cpp_adds_adapters_as_often_as_their_scales_say(
    thread: ThreadPoolExecutor, tmp_path: Path
) -> None:
    llama = Engine(Kind.LLAMA, thread)
    whole = write_gguf(tmp_path / "whole.gguf")
    half = write_gguf(tmp_path / "half.gguf", strength=0.5)
    [changed] = llama.say(Adapter(whole))

    assert llama.say(Adapter(whole, 0.0)) == llama.say()
    assert llama.say(Adapter(half, 2.0)) == [changed]
    assert llama.say(Adapter(half), Adapter(half)) == [changed]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("narrow", "adapter narrow was made for another model|its adapter was made for another"),
        ("gone", "The adapter gone of model '.*' is missing: /.*gone is not there."),
        ("text", "The adapter text is not a GGUF file|The adapter text is no folder"),
    ],
)
def test_an_adapter_that_will_not_do_is_told_in_a_sentence_and_the_next_load_is_whole(
    engine: Engine, name: str, words: str, tmp_path: Path
) -> None:
    engine.write(tmp_path / "narrow", width=100)
    (tmp_path / "text").write_text("This is no adapter.")

    with pytest.raises(LoadFailed, match=words) as raised:
        engine.say(Adapter(tmp_path / name))

    assert len(str(raised.value).splitlines()) == 1
    assert engine.say()


def test_half_an_adapter_and_a_model_are_no_adapters(
    thread: ThreadPoolExecutor, tmp_path: Path
) -> None:
    llama = Engine(Kind.LLAMA, thread)
    with pytest.raises(LoadFailed, match=r"its adapter half\.gguf is damaged"):
        llama.say(Adapter(write_gguf(tmp_path / "half.gguf", ends="a")))
    with pytest.raises(LoadFailed, match=r"pocket\.gguf is no LoRA adapter"):
        llama.say(Adapter(POCKET_GGUF))


def test_an_adapter_of_matrices_that_the_model_lacks_was_made_for_another(
    mlx: Engine, tmp_path: Path
) -> None:
    folder = write_mlx(tmp_path / "foreign", name="attention.wq")

    with pytest.raises(LoadFailed, match="its adapter foreign was made for another model"):
        mlx.say(Adapter(folder))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_layers": None}, "its adapter_config.json lacks num_layers."),
        ({"lora_parameters": {"rank": 4}}, "its adapter_config.json lacks scale, dropout."),
        ({"peft_type": "LORA"}, "is in PEFT's format"),
        ({"lora_parameters": {"rank": 4, "scale": "x", "dropout": 2}}, "cannot be used: "),
    ],
)
def test_what_mlx_lm_has_not_written_is_told(
    change: dict[str, Any], words: str, mlx: Engine, tmp_path: Path
) -> None:
    config = write_mlx(tmp_path / "odd") / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))

    with pytest.raises(LoadFailed, match=words):
        mlx.say(Adapter(tmp_path / "odd"))


def test_mlx_puts_on_one_adapter_with_its_own_scale(mlx: Engine, tmp_path: Path) -> None:
    folder = write_mlx(tmp_path / "a")

    with pytest.raises(LoadFailed, match="MLX puts one adapter on a model"):
        mlx.say(Adapter(folder), Adapter(folder))
    with pytest.raises(LoadFailed, match=r"scale from its adapter_config\.json"):
        mlx.say(Adapter(folder, 0.5))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/a", (Adapter(Path("/a")),)),
        ("/a@0.5", (Adapter(Path("/a"), 0.5),)),
        ("/a@-0.001,/b", (Adapter(Path("/a"), -0.001), Adapter(Path("/b")))),
        ("/a@home", (Adapter(Path("/a@home")),)),
        ("/a@2@1.0", (Adapter(Path("/a@2")),)),
        ("", ()),
    ],
)
def test_adapters_are_written_as_they_are_read(text: str, found: tuple[Adapter, ...]) -> None:
    assert adapters.parse(text) == found
    assert adapters.written(found) == text


@pytest.mark.parametrize("kind", list(Kind))
def test_what_is_remembered_belongs_to_adapters_their_scales_and_their_files(
    kind: Kind, tmp_path: Path
) -> None:
    path = (write_mlx if kind is Kind.MLX else write_gguf)(tmp_path / "adapter")
    files = Files(POCKET_MLX, "") if kind is Kind.MLX else Files(POCKET_GGUF.parent, "pocket.gguf")
    spec = a_spec(replace(a_model(kind=kind), files=files))

    def owner(*put_on: Adapter) -> object:
        return owner_of(replace(spec, adapters=put_on), packages=())

    seen = [owner(), owner(Adapter(path)), owner(Adapter(path, 0.5))]
    assert owner(Adapter(path)) == seen[1]
    weights = adapters.files_of(Adapter(path), kind)[-1]
    weights.write_bytes(weights.read_bytes() + b"\0")
    seen.append(owner(Adapter(path)))
    assert all(each != other for each in seen for other in seen if each is not other)
