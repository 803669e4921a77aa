"""What a model's profile decides, and that a request comes before it."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from models import chat
from models.chat import GenerateRequest, LoadRequest, SamplingParams
from models.engine.backend import LoadSpec, Work
from models.engine.house import Runner
from models.engine.llama import LlamaBackend, open_llama
from models.errors import NotAble
from models.events import Failed, Finished, Last, Loaded
from models.model import Adapter, Files, Kind, KvType, Model, Profile, Said
from models.profiles import filled
from models.residency import Residency
from tests.adapters import write_gguf
from tests.conftest import REPOSITORY
from tests.fakes import A_TEST, ScriptedBackend, a_model, find_among
from tests.listener import Listener


class House:
    """A residency of one model, and what its backend was given."""

    def __init__(self, profile: Profile, **about: Any) -> None:
        self.specs: list[LoadSpec] = []
        self.works: list[Work] = []
        self.backends: list[ScriptedBackend] = []
        house = self

        class Backend(ScriptedBackend):
            def insert(self, works: Mapping[int, Work]) -> None:
                house.works += works.values()
                super().insert(works)

        def open_backend(spec: LoadSpec, wake: Callable[[], None]) -> ScriptedBackend:
            house.specs.append(spec)
            self.backends.append(Backend("hi", context_length=spec.context_length))
            return self.backends[-1]

        self.model = replace(a_model(**{"context_length": 100_000, **about}), profile=profile)
        runner = Runner(open_backend)
        self.residency = Residency(self._find, {Kind.LLAMA: runner, Kind.MLX: runner})

    def set(self, profile: Profile) -> None:
        self.model = replace(self.model, profile=profile)

    def _find(self, name: str) -> Model:
        return find_among(self.model)(name)

    def start(self, request: GenerateRequest | LoadRequest) -> Listener:
        listener = Listener()
        self.residency.submit(request, listener, origin=A_TEST)
        return listener

    def ask(self, request: GenerateRequest | LoadRequest) -> Last:
        return self.start(request).end()


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


def test_a_limit_and_stop_strings_of_a_request_come_before_those_of_the_profile() -> None:
    profile = Profile(max_tokens=5, stop=("a", "b"))

    open_, closed = filled([asked(), asked(max_tokens=9, stop=("c",))], profile)

    assert (open_.max_tokens, open_.stop) == (5, ("a", "b"))
    assert (closed.max_tokens, closed.stop) == (9, ("c",))


TALKS = Profile(system="S", messages=(Said("user", "a"), Said("assistant", "b")))


def test_a_conversation_begins_as_the_profile_has_it(house_of: OpenHouse) -> None:
    house = house_of(TALKS)

    house.ask(asked())

    [work] = house.works
    assert bytes(work.tokens) == b"[system]S[user]a[assistant]b[user]hello[assistant]"


def test_a_system_text_of_the_request_stands_in_for_the_profiles() -> None:
    request = GenerateRequest(model="m", prompt=(chat.system("mine"), chat.user("hi")))

    [found] = filled([request], TALKS)

    assert found.prompt == (
        chat.system("mine"),
        chat.user("a"),
        chat.assistant("b"),
        chat.user("hi"),
    )


def test_a_prompt_that_is_no_conversation_is_left_alone() -> None:
    request = GenerateRequest(model="m", prompt="as it stands")

    [found] = filled([request], TALKS)

    assert found.prompt == "as it stands"


def test_an_earlier_turn_as_ids_has_the_messages_in_it_already() -> None:
    [found] = filled([asked(preceding_tokens=(1, 2))], TALKS)

    assert found.prompt == (chat.system("S"), chat.user("hello"))


@pytest.mark.parametrize(
    "template",
    ["<{{ .Prompt }}>{{ .Response }}!", "{% for m in messages %}<{{ m.content }}>{% endfor %}"],
)
def test_a_template_of_the_profile_makes_the_prompt_and_a_request_may_have_another(
    house_of: OpenHouse, template: str
) -> None:
    house = house_of(Profile(template=template))

    house.ask(asked())
    house.ask(asked(template="Q{{ messages[0].content }}"))

    assert [bytes(work.tokens) for work in house.works] == [b"<hello>", b"Qhello"]
    assert len(house.specs) == 1  # nothing is loaded for it


def test_a_template_that_is_none_is_refused_by_a_sentence(house_of: OpenHouse) -> None:
    house = house_of(Profile())

    failed = house.ask(asked(template="{% for"))

    assert isinstance(failed, Failed) and failed.error.status_hint == 400


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


@pytest.mark.parametrize(
    "profile",
    [
        Profile(context_length=2048),
        Profile(kv_type=KvType.Q8_0),
        Profile(drafts="ngram-mod"),
        Profile(adapters=(Adapter(Path("/a")),)),
        Profile(adapters=(Adapter(Path("/a"), 0.5),)),
    ],
)
def test_what_counts_at_load_loads_the_model_anew_and_once(
    house_of: OpenHouse, profile: Profile
) -> None:
    house = house_of(Profile())
    house.ask(asked())
    house.set(profile)
    house.ask(asked())
    house.ask(asked())

    first, second = house.specs
    assert (first.context_length, first.kv_type, first.adapters) == (32_768, KvType.F16, ())
    expected = (profile.context_length or 32_768, profile.kv_type, profile.adapters)
    assert (second.context_length, second.kv_type, second.adapters) == expected
    assert [backend.closed for backend in house.backends] == [True, False]


def test_what_does_not_count_at_load_leaves_the_model_where_it_is(house_of: OpenHouse) -> None:
    house = house_of(Profile())
    house.ask(asked())
    house.set(Profile(sampling={"top_k": 7}, keep_alive_seconds=9.0, system="Be brief."))
    house.ask(asked())

    assert len(house.specs) == 1


def test_what_runs_ends_with_the_profile_it_began_with(house_of: OpenHouse) -> None:
    house = house_of(Profile())
    house.ask(LoadRequest(model="scripted"))
    house.backends[0].hold = True
    old = house.start(asked())
    house.set(Profile(kv_type=KvType.Q8_0))
    new = [house.start(asked()), house.start(asked())]
    assert len(house.specs) == 1

    house.backends[0].hold = False
    house.ask(LoadRequest(model="scripted"))

    assert all(isinstance(each.end(), Finished) for each in (old, *new))
    assert [spec.kv_type for spec in house.specs] == [KvType.F16, KvType.Q8_0]
    assert len(house.backends[0].prompts) == 1
    assert len(house.backends[1].prompts) == 2


def test_an_adapter_counts_among_the_weights(house_of: OpenHouse, tmp_path: Path) -> None:
    path = tmp_path / "adapter.gguf"
    path.write_bytes(b"\0" * 5000)
    house = house_of(Profile(adapters=(Adapter(path), Adapter(tmp_path / "gone"))))

    house.ask(asked())

    assert house.specs[0].need.weights_bytes == house.model.size_bytes + 5000


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


def test_pocket_answers_from_a_cache_of_fewer_bits_once_that_is_set(tmp_path: Path) -> None:
    """And with an adapter, and without one that is not there."""
    model = pocket()
    backends: list[LlamaBackend] = []

    def open_backend(spec: LoadSpec, wake: Callable[[], None]) -> LlamaBackend:
        backends.append(open_llama(spec, wake))
        return backends[-1]

    residency = Residency(lambda _: model, {Kind.LLAMA: Runner(open_backend)})

    def ask() -> tuple[Last, str]:
        listener = Listener()
        residency.submit(CAPITAL, listener, origin=A_TEST)
        return listener.end(), listener.text

    def resident_bytes() -> int:
        return psutil.Process(backends[-1].pid).memory_info().rss

    try:
        assert "Paris" in ask()[1]
        whole = resident_bytes()
        model = replace(model, profile=Profile(kv_type=KvType.Q4_0, context_length=16_384))
        assert "Paris" in ask()[1]
        assert not psutil.pid_exists(backends[0].pid)
        assert whole - resident_bytes() > 8 << 20

        adapter = Adapter(write_gguf(tmp_path / "adapter.gguf"))
        model = replace(model, profile=Profile(adapters=(adapter,)))
        end, changed = ask()
        assert isinstance(end, Finished)
        assert "Paris" not in changed

        model = replace(model, profile=Profile(adapters=(Adapter(tmp_path / "gone"),)))
        end, _ = ask()
        assert isinstance(end, Failed)
        assert "The adapter gone of model 'pocket:latest' is missing" in str(end.error)
        assert residency.residents() == ()
        model = replace(model, profile=Profile())
        assert "Paris" in ask()[1]
    finally:
        residency.close()


CAPITAL = GenerateRequest(
    model="pocket",
    prompt=(chat.user("What is the capital of France?"),),
    sampling=SamplingParams(temperature=0.0),
    max_tokens=60,
)


def pocket() -> Model:
    model = a_model("pocket", context_length=16_384, kv_bytes_per_token=4608)
    files = Files(REPOSITORY / "resources/pocket/gguf", "pocket.gguf")
    return replace(model, files=files, profile=Profile(context_length=16_384))
