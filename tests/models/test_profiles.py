"""What a model's profile decides, and that a request comes before it."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from models import chat
from models.chat import GenerateRequest, LoadRequest, SamplingParams
from models.engine.backend import LoadSpec, Work
from models.engine.house import Runner
from models.engine.llama import open_llama
from models.errors import NotAble
from models.events import Failed, Finished, Last, Loaded
from models.model import Files, Kind, KvType, Model, Profile
from models.profiles import filled
from models.residency import Residency
from tests.conftest import REPOSITORY
from tests.fakes import A_TEST, ScriptedBackend, a_model, find_among
from tests.listener import Listener


class House:
    """A residency of one model, and what its backend was given."""

    def __init__(self, profile: Profile, **about: Any) -> None:
        self.specs: list[LoadSpec] = []
        self.works: list[Work] = []
        house = self

        class Backend(ScriptedBackend):
            def insert(self, works: Mapping[int, Work]) -> None:
                house.works += works.values()
                super().insert(works)

        def open_backend(spec: LoadSpec, wake: Callable[[], None]) -> ScriptedBackend:
            house.specs.append(spec)
            return Backend("hi", context_length=spec.context_length)

        model = replace(a_model(**{"context_length": 100_000, **about}), profile=profile)
        runner = Runner(open_backend)
        self.residency = Residency(find_among(model), {Kind.LLAMA: runner, Kind.MLX: runner})

    def ask(self, request: GenerateRequest | LoadRequest) -> Last:
        listener = Listener()
        self.residency.submit(request, listener, origin=A_TEST)
        return listener.end()


OpenHouse = Callable[..., House]


@pytest.fixture
def house_of() -> Iterator[OpenHouse]:
    houses: list[House] = []

    def make(profile: Profile, **about: Any) -> House:
        houses.append(House(profile, **about))
        return houses[-1]

    yield make
    for each in houses:
        each.residency.close()


def asked(**changes: Any) -> GenerateRequest:
    return GenerateRequest(model="scripted", prompt=(chat.user("hello"),), **changes)


def test_a_request_comes_before_the_profile_and_the_profile_before_the_rest(
    house_of: OpenHouse,
) -> None:
    house = house_of(Profile(sampling={"temperature": 0.5, "top_k": 7, "repeat_last_n": -1}))

    house.ask(asked(sampling=SamplingParams(temperature=0.0, top_p=0.3)))

    [work] = house.works
    sampling = work.sampling
    assert (sampling.temperature, sampling.top_k, sampling.top_p) == (0.0, 7, 0.3)
    assert sampling.min_p is None  # the model's own
    assert sampling.repeat_last_n == 1 << 20


def test_each_of_a_group_has_its_own_seed_and_the_profiles_sampling() -> None:
    requests = [asked(sampling=SamplingParams(seed=seed)) for seed in (1, 2, None)]

    found = filled(requests, Profile(sampling={"top_k": 7, "seed": 9}))

    assert [each.sampling.seed for each in found] == [1, 2, 9]
    assert {each.sampling.top_k for each in found} == {7}


def test_the_context_and_the_kv_type_are_those_of_the_profile(house_of: OpenHouse) -> None:
    house = house_of(Profile(context_length=1024, kv_type=KvType.Q8_0))

    house.ask(asked())

    [spec] = house.specs
    assert (spec.context_length, spec.kv_type) == (1024, KvType.Q8_0)


def test_a_longer_context_can_still_be_asked_for(house_of: OpenHouse) -> None:
    house = house_of(Profile(context_length=1024))

    house.ask(asked(context_length=4096))
    house.ask(asked())

    assert [spec.context_length for spec in house.specs] == [4096]


def test_the_profile_says_how_long_a_model_stays_unless_a_request_does(
    house_of: OpenHouse,
) -> None:
    house = house_of(Profile(keep_alive_seconds=math.inf))
    house.ask(asked())
    assert house.residency.residents()[0].expires_at is None

    house.ask(asked(keep_alive_seconds=100.0))
    assert house.residency.residents()[0].expires_at is not None


def test_what_an_engine_cannot_do_is_refused_in_the_profile_too(house_of: OpenHouse) -> None:
    for request in (asked(), LoadRequest(model="scripted")):
        end = house_of(Profile(kv_type=KvType.Q4_0), kind=Kind.MLX).ask(request)
        assert isinstance(end, Failed)
        assert isinstance(end.error, NotAble)
        assert "a KV cache of fewer bits" in str(end.error)
    assert isinstance(house_of(Profile()).ask(LoadRequest(model="scripted")), Loaded)


@pytest.mark.parametrize("kv_type", [KvType.F16, KvType.Q8_0])
def test_llama_cpp_answers_from_a_cache_of_fewer_bits(kv_type: KvType) -> None:
    files = Files(REPOSITORY / "resources/pocket/gguf", "pocket.gguf")
    residency = Residency(
        find_among(pocket(files, Profile(kv_type=kv_type))), {Kind.LLAMA: Runner(open_llama)}
    )
    listener = Listener()
    request = GenerateRequest(
        model="pocket",
        prompt=(chat.user("What is the capital of France?"),),
        sampling=SamplingParams(temperature=0.0),
        max_tokens=60,
    )
    residency.submit(request, listener, origin=A_TEST)
    end = listener.end()
    residency.close()

    assert isinstance(end, Finished)
    assert "Paris" in listener.text


def pocket(files: Files, profile: Profile) -> Model:
    model = a_model("pocket", context_length=2048, kv_bytes_per_token=4608)
    return replace(model, files=files, profile=profile)
