"""From the engines' threads to asyncio: every request that runs, and how it ends."""

import asyncio
from collections.abc import Iterator

import pytest

from models.chat import GenerateRequest, LoadRequest, Origin
from models.errors import ContextOverflow, EngineClosed, InferenceError, ModelCrashed, ModelNotFound
from models.events import Finished, Loaded, Progress, Started, TextDelta
from models.residency import Residency
from server.streams import Running, Streams
from tests.fakes import ScriptedBackend, scripted_residency
from tests.server.conftest import babbler

REQUEST = GenerateRequest(model="scripted", prompt="Hi")
LOAD = LoadRequest(model="scripted")
ORIGIN = Origin("api", "ollama", "test")


@pytest.fixture
def streams_of() -> Iterator:
    built: list[Residency] = []

    def make(backend: ScriptedBackend) -> Streams:
        built.append(scripted_residency(backend))
        return Streams(built[-1])

    yield make
    for residency in built:
        residency.close()


async def all_of(running: Running) -> list:
    """All events but those that tell how far it is."""
    with running:
        return [event async for event in running.events() if not isinstance(event, Progress)]


async def test_a_generation_is_started_then_text_then_finished(streams_of):
    streams = streams_of(ScriptedBackend("Hel", "lo"))

    events = await all_of(await streams.open(REQUEST, ORIGIN))

    assert events[:3] == [Started(2), TextDelta("Hel"), TextDelta("lo")]
    assert isinstance(events[3], Finished)
    assert len(events) == 4


async def test_a_reader_that_leaves_early_frees_its_sequence(streams_of, eventually):
    backend = babbler()

    with await streams_of(backend).open(REQUEST, ORIGIN) as running:
        async for event in running.events():
            if isinstance(event, TextDelta):
                break

    eventually(lambda: not backend.running)


async def test_a_reader_that_is_cancelled_frees_its_sequence(streams_of, eventually):
    backend = babbler()
    reader = asyncio.create_task(all_of(await streams_of(backend).open(REQUEST, ORIGIN)))
    await asyncio.to_thread(eventually, lambda: bool(backend.running))

    reader.cancel()
    await asyncio.wait({reader})

    eventually(lambda: not backend.running)


async def test_who_leaves_while_the_model_is_looked_for_frees_it_too(streams_of, eventually):
    backend = babbler()
    streams = streams_of(backend)
    opening = asyncio.create_task(streams.open(REQUEST, ORIGIN))
    await asyncio.sleep(0)  # it has begun, and waits for its thread

    opening.cancel()
    await asyncio.wait({opening})

    assert streams.running() == []
    eventually(lambda: not backend.running and streams.engines.residents())


async def test_what_goes_wrong_is_raised(streams_of):
    streams = streams_of(ScriptedBackend("never", context_length=8))

    with pytest.raises(ContextOverflow) as caught:
        await all_of(await streams.open(GenerateRequest(model="scripted", prompt="x" * 9), ORIGIN))
    with pytest.raises(ModelNotFound):
        await all_of(await streams.open(GenerateRequest(model="other", prompt="x"), ORIGIN))

    assert caught.value.prompt_tokens == 9


async def test_a_model_that_dies_ends_the_stream_with_its_error(streams_of):
    backend = babbler()

    with (
        pytest.raises(ModelCrashed),
        await streams_of(backend).open(REQUEST, ORIGIN) as running,
    ):
        async for event in running.events():
            if isinstance(event, TextDelta):
                backend.fail_step = ModelCrashed("It died.")


async def test_loading_is_one_event(streams_of):
    [event] = await all_of(await streams_of(ScriptedBackend()).open(LOAD, ORIGIN))

    assert isinstance(event, Loaded)


async def test_many_at_once_share_the_batch(streams_of):
    streams = streams_of(ScriptedBackend(*"abcdef"))

    async def reply() -> str:
        events = await all_of(await streams.open(REQUEST, ORIGIN))
        return "".join(event.text for event in events if isinstance(event, TextDelta))

    assert await asyncio.gather(*(reply() for _ in range(5))) == ["abcdef"] * 5


async def test_what_runs_is_listed_with_who_asked_until_it_is_over(streams_of):
    streams = streams_of(babbler())

    running = await streams.open(REQUEST, ORIGIN)
    [listed] = streams.running()
    assert listed is running
    assert (listed.request, listed.origin) == (REQUEST, ORIGIN)
    running.cancel()
    await all_of(running)

    assert streams.running() == []


async def test_one_can_be_ended_by_somebody_else(streams_of):
    streams = streams_of(babbler())
    reader = asyncio.create_task(all_of(await streams.open(REQUEST, ORIGIN)))

    streams.running()[0].cancel()

    last = (await reader)[-1]
    assert isinstance(last, Finished) and last.reason == "cancelled"


async def test_what_is_detached_goes_on_without_a_reader(streams_of, eventually):
    backend = ScriptedBackend("a", "b")
    streams = streams_of(backend)

    with await streams.open(REQUEST, ORIGIN) as running:
        running.detach()
    said = [event async for event in running.events()]

    assert [event.text for event in said if isinstance(event, TextDelta)] == ["a", "b"]
    assert isinstance(said[-1], Finished) and said[-1].reason == "end_of_turn"


async def test_all_end_when_the_server_does(streams_of, eventually):
    backend = babbler()
    streams = streams_of(backend)
    readers = [asyncio.create_task(all_of(await streams.open(REQUEST, ORIGIN))) for _ in range(3)]

    streams.end_all(EngineClosed("Closed."))

    for each in await asyncio.gather(*readers, return_exceptions=True):
        assert isinstance(each, InferenceError) and str(each) == "Closed."
    eventually(lambda: not backend.running)
