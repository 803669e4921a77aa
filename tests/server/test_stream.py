"""The bridge from the engine threads to asyncio."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from models.chat import GenerateRequest, LoadRequest
from models.errors import ContextOverflow, ModelCrashed, ModelNotFound
from models.events import Finished, Loaded, Progress, Started, TextDelta
from models.residency import Residency
from server.stream import begin, generate
from tests.fakes import ScriptedBackend, scripted_residency
from tests.server.conftest import babbler

REQUEST = GenerateRequest(model="scripted", prompt="Hi")
LOAD = LoadRequest(model="scripted")


@pytest.fixture
def residency_of() -> Iterator:
    built: list[Residency] = []

    def make(backend: ScriptedBackend) -> Residency:
        built.append(scripted_residency(backend))
        return built[-1]

    yield make
    for residency in built:
        residency.close()


async def test_a_generation_is_started_then_text_then_finished(residency_of):
    events = [
        event async for event in generate(residency_of(ScriptedBackend("Hel", "lo")), REQUEST)
    ]

    events = [each for each in events if not isinstance(each, Progress)]
    assert events[:3] == [Started(2), TextDelta("Hel"), TextDelta("lo")]
    assert isinstance(events[3], Finished)
    assert len(events) == 4


async def test_a_reader_that_leaves_early_frees_its_sequence(residency_of, eventually):
    backend = babbler()
    residency = residency_of(backend)

    async with aclosing(generate(residency, REQUEST)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break

    eventually(lambda: not backend.running)


async def test_a_reader_that_is_cancelled_frees_its_sequence(residency_of, eventually):
    backend = babbler()
    residency = residency_of(backend)

    async def read_for_ever() -> None:
        async for _ in generate(residency, REQUEST):
            await asyncio.sleep(0)

    reader = asyncio.create_task(read_for_ever())
    await asyncio.to_thread(eventually, lambda: bool(backend.running))
    reader.cancel()
    await asyncio.wait({reader})

    eventually(lambda: not backend.running)


async def test_what_fails_at_once_is_raised_before_there_is_a_stream(residency_of):
    residency = residency_of(ScriptedBackend("never", context_length=8))

    with pytest.raises(ContextOverflow) as caught:
        await begin(residency, GenerateRequest(model="scripted", prompt="x" * 9))
    with pytest.raises(ModelNotFound):
        await begin(residency, GenerateRequest(model="other", prompt="x"))

    assert caught.value.prompt_tokens == 9


async def test_a_stream_that_has_begun_is_whole(residency_of):
    events = await begin(residency_of(ScriptedBackend("Hi")), REQUEST)

    assert [type(event) async for event in events] == [Started, TextDelta, Finished]


async def test_a_stream_that_has_begun_can_be_left(residency_of, eventually):
    backend = babbler()

    async with aclosing(await begin(residency_of(backend), REQUEST)) as events:
        assert isinstance(await anext(events), Started)

    eventually(lambda: not backend.running)


async def test_a_model_that_dies_ends_the_stream_with_its_error(residency_of):
    backend = babbler()

    with pytest.raises(ModelCrashed):
        async for event in generate(residency_of(backend), REQUEST):
            if isinstance(event, TextDelta):
                backend.fail_step = ModelCrashed("It died.")


async def test_loading_is_one_event(residency_of):
    *progress, event = [each async for each in generate(residency_of(ScriptedBackend()), LOAD)]

    assert all(isinstance(each, Progress) for each in progress)
    assert isinstance(event, Loaded)


async def test_many_at_once_share_the_batch(residency_of):
    residency = residency_of(ScriptedBackend(*"abcdef"))

    async def reply() -> str:
        events = [event async for event in generate(residency, REQUEST)]
        return "".join(event.text for event in events if isinstance(event, TextDelta))

    assert await asyncio.gather(*(reply() for _ in range(5))) == ["abcdef"] * 5
