"""An answer of a given form, with tools and thinking beside: on every wire and both engines."""

import json
import shutil
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from app.services import api_server, open_everything
from benchmarks.forms import BERN, FORM, PARIS, WEATHER
from benchmarks.wire_words import Answer, Question
from benchmarks.wires import WIRES, Wire
from tests.engines import needs_mlx
from tests.gguf_bytes import changed
from tests.running import POCKET_GGUF, POCKET_MLX

ASKS = '"<|im_start|>assistant\\n" if add_generation_prompt'
THINKS = '"<|im_start|>assistant\\n<think>\\n" if add_generation_prompt'

every_wire = pytest.mark.parametrize("wire", WIRES, ids=[each.name for each in WIRES])
# What a wire says does not depend on the engine: benchmarks/forms.py asks both on all.
every_wire_and_engine = pytest.mark.parametrize(
    ("wire", "model"),
    [
        *((each, "pocket:latest") for each in WIRES),
        pytest.param(WIRES[0], "pocket:mlx", marks=needs_mlx),
        pytest.param(WIRES[-1], "pocket:mlx", marks=needs_mlx),
    ],
)


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> None:
    """The server and the engines outlive a test: the fixture below ends them."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server that also has the model under a template which begins its thoughts for it."""
    folder = tmp_path_factory.mktemp("models")
    template = (POCKET_MLX / "chat_template.jinja").read_text(encoding="utf-8")
    begun = template.replace(ASKS, THINKS)
    assert begun != template
    changed(POCKET_GGUF, folder / "begun.gguf", {"tokenizer.chat_template": begun})
    shutil.copytree(POCKET_MLX, folder / "begun-mlx")
    (folder / "begun-mlx/chat_template.jinja").write_text(begun, encoding="utf-8")
    with open_everything(folder / "home") as services:
        services.store.import_path(folder / "begun.gguf", "begun")
        services.store.import_path(folder / "begun-mlx", "begun-mlx")
        server = api_server(services, "127.0.0.1", [0])
        server.start()
        yield server.ports[0]
        server.stop()


def assert_of_the_form(answer: Answer) -> None:
    """No thought leaks into it, nothing stands around it, and it is not cut."""
    assert answer.status == 200, answer.error
    assert not answer.calls
    assert not answer.is_cut
    jsonschema.validate(json.loads(answer.text), FORM)


@every_wire_and_engine
def test_it_has_the_form_behind_a_thought(port: int, wire: Wire, model: str) -> None:
    asked = Question(turns=PARIS, form=FORM, thinking=True)

    answer = wire.ask(port, model, asked)

    assert answer.thought
    assert_of_the_form(answer)


@every_wire_and_engine
def test_with_tools_and_a_thought_it_has_the_form_or_calls(
    port: int, wire: Wire, model: str
) -> None:
    wish: dict[str, Any] = {"form": FORM, "tools": (WEATHER,), "thinking": True}

    called = wire.ask(port, model, Question(turns=BERN, **wish), stream=True)
    said = wire.ask(port, model, Question(turns=PARIS, **wish), stream=True)

    assert called.thought and said.thought
    assert called.text == ""
    assert [(name, json.loads(given)) for name, given in called.calls] == [
        ("get_weather", {"city": "Bern"})
    ]
    assert_of_the_form(said)


@pytest.mark.parametrize(
    ("wire", "model"),
    [
        *((each, "begun") for each in WIRES),
        pytest.param(WIRES[0], "begun-mlx", marks=needs_mlx),
    ],
)
def test_a_thought_that_the_template_begins_stays_out_of_it(
    port: int, wire: Wire, model: str
) -> None:
    asked = Question(turns=PARIS, form=FORM, tools=(WEATHER,))

    answer = wire.ask(port, model, asked, stream=True)

    assert answer.thought
    assert_of_the_form(answer)


@every_wire
def test_it_is_the_same_whole_and_as_a_stream(port: int, wire: Wire) -> None:
    asked = Question(turns=PARIS, form=FORM, sampling={"temperature": 1.0, "seed": 5})

    whole = wire.ask(port, "pocket", asked)
    stream = wire.ask(port, "pocket", asked, stream=True)

    assert_of_the_form(whole)
    assert stream.text == whole.text
