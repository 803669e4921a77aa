"""Odd tools and histories through every wire's own request: answered, or refused with the place."""

import json
from collections.abc import Iterator
from dataclasses import replace

import jsonschema
import pytest

from app.services import api_server, open_everything
from benchmarks.wire_words import Answer, Question, Turn
from benchmarks.wires import WIRES, Wire
from tests.odd_tools import JSON, NAMES, SCHEMAS, tool

HELLO = (Turn("user", "What is the weather in Bern?"),)
WEATHER = tool(SCHEMAS["$ref"], "get_weather", "Get the current weather in a city.")
BERN = ("1", "get_weather", {"to": {"city": "Bern"}})
ROME = ("2", "get_weather", {"to": {"city": "Rome"}})


def result(id: str, text: str) -> Turn:
    return Turn("tool", text, id=id, name="get_weather")


HISTORIES = {
    "a result before its call": (*HELLO, result("1", "sunny"), Turn("assistant", calls=(BERN,))),
    "a result first of all": (result("1", "sunny"), *HELLO),
    "two results for one call": (
        *HELLO,
        Turn("assistant", calls=(BERN,)),
        result("1", "sunny"),
        result("1", "warm"),
    ),
    "results in another order": (
        *HELLO,
        Turn("assistant", calls=(BERN, ROME)),
        result("2", "rainy"),
        result("1", "sunny"),
    ),
    "a call without a result": (
        *HELLO,
        Turn("assistant", calls=(BERN, ROME)),
        result("1", "sunny"),
    ),
    "a result of no call": (*HELLO, Turn("assistant", calls=(BERN,)), result("9", "sunny")),
    "a result that says nothing": (*HELLO, Turn("assistant", calls=(BERN,)), result("1", "")),
}

every_wire = pytest.mark.parametrize("wire", WIRES, ids=[each.name for each in WIRES])
# Ollama's has no word for a call that is required.
requiring = [each for each in WIRES if each.name != "ollama"]


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> None:
    """The server and the engines outlive a test: the fixture below ends them."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with open_everything(tmp_path_factory.mktemp("home")) as services:
        server = api_server(services, "127.0.0.1", [0])
        server.start()
        yield server.ports[0]
        server.stop()


def ask_to_the_end(port: int, wire: Wire, asked: Question) -> Answer:
    """Have it drawn anew where it is cut: a text without a longest length need not end in time."""
    for seed in range(3, 8):
        sampling = {"temperature": 1, "seed": seed}
        answer = wire.ask(port, "pocket:latest", replace(asked, sampling=sampling))
        if not answer.is_cut:
            return answer
    pytest.fail("it was cut each time")


def assert_fits(answer: Answer, name: str, schema: JSON) -> None:
    assert answer.status == 200, answer.error
    assert answer.calls and not answer.is_cut
    for called, given in answer.calls:
        assert called == name
        jsonschema.validate(json.loads(given), schema)


@pytest.mark.parametrize(
    ("what", "wire"),
    [(what, requiring[place % len(requiring)]) for place, what in enumerate(SCHEMAS)],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
def test_a_call_that_is_required_fits_a_schema_of_any_kind(
    port: int, wire: Wire, what: str
) -> None:
    schema = SCHEMAS[what]
    asked = Question(turns=HELLO, tools=(tool(schema),), must_call=True)

    assert_fits(ask_to_the_end(port, wire, asked), "odd_tool", schema)


@every_wire
def test_all_of_them_may_be_offered_at_once(port: int, wire: Wire) -> None:
    schemas = [schema for what, schema in SCHEMAS.items() if what != "two hundred values"]
    offered = tuple(tool(schema, f"odd-tool.{place}") for place, schema in enumerate(schemas))

    answer = wire.ask(port, "pocket:latest", Question(turns=HELLO, tools=(*offered, WEATHER)))

    assert answer.status == 200, answer.error
    assert answer.calls or answer.text


@pytest.mark.parametrize(
    ("wire", "name"),
    [*((each, NAMES[-1]) for each in WIRES), *((WIRES[0], each) for each in NAMES[:-1])],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
def test_a_name_with_dots_and_dashes_comes_back_as_it_is(port: int, wire: Wire, name: str) -> None:
    offered = tool(SCHEMAS["$ref"], name, "Get the current weather in a city.")
    used = (
        Turn("assistant", calls=(("1", name, BERN[2]),)),
        Turn("tool", "sunny", id="1", name=name),
    )

    answer = wire.ask(port, "pocket:latest", Question(turns=HELLO, tools=(offered,)))
    after = wire.ask(port, "pocket:latest", Question(turns=(*HELLO, *used), tools=(offered,)))

    assert [called for called, _ in answer.calls] == [name]
    assert after.status == 200, after.error


@every_wire
@pytest.mark.parametrize("what", HISTORIES)
def test_a_history_of_any_order_is_answered(port: int, wire: Wire, what: str) -> None:
    answer = wire.ask(port, "pocket:latest", Question(turns=HISTORIES[what], tools=(WEATHER,)))

    assert answer.status == 200, answer.error
    assert answer.text or answer.calls
