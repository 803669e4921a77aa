"""Vision models on the MLX engine, of random weights, beside mlx_vlm by itself."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from math import ceil
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tqdm import tqdm

from benchmarks.seeing_models import FAMILIES, write_seeing
from models.chat import GenerateRequest, Message, SamplingParams, Text
from models.chat import Image as Image_
from models.engine import mlx_tower
from models.engine.backend import Decoded, Prefilled, Work
from models.engine.installed import has_mlx_vlm
from models.engine.mlx_library import end_thread
from models.engine.mlx_prefill import grid_for
from models.engine.mlx_sight import CountingSight
from models.errors import InvalidRequest
from models.pictures import Pictures
from tests.models.engine.seeing_machine import Machine, cached, picture, said

pytestmark = [
    pytest.mark.skipif(
        not has_mlx_vlm(), reason="mlx-vlm is not installed: pip install -e '.[mlx,vision]'"
    ),
    # Gemma 4's processor is one of sound too.
    pytest.mark.filterwarnings("ignore:At least one mel filter"),
]

SERIAL = ("idefics3", "smolvlm", "internvl_chat")
LAYERS = 2  # of each tower


@pytest.fixture(scope="module")
def thread() -> Iterator[ThreadPoolExecutor]:
    tqdm.monitor_interval = 0  # mlx_vlm by itself shows its progress, from a thread
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        yield pool
        pool.submit(end_thread).result()


@pytest.fixture(scope="module")
def machines(
    thread: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Machine]]:
    made: dict[str, Machine] = {}
    root = tmp_path_factory.mktemp("seeing")

    def machine(family: str) -> Machine:
        if family not in made:
            thread.submit(write_seeing, root / family, family).result()
            made[family] = Machine(thread, root / family)
        return made[family]

    yield machine
    for each in made.values():
        each.call(each.backend.close)


@pytest.mark.parametrize("family", FAMILIES)
def test_pictures_among_text_are_read_as_mlx_vlm_reads_them(
    machines: Callable[[str], Machine], family: str
):
    machine = machines(family)
    one, two = picture(1), picture(2, 60, 120)
    asked = [
        ("what is on this? @ tell me", (one,)),
        ("compare @ with @ and see", (two, one)),
    ]
    if family != "internvl_chat":  # mlx_vlm's processor of it needs a picture
        asked.append(("there is nothing to see", ()))

    for ticket, (text, pictures) in enumerate(asked):
        machine.start(ticket, text, pictures)
    outputs = machine.run()

    for ticket, (text, pictures) in enumerate(asked):
        assert said(outputs, ticket) == machine.by_itself(text, pictures)
    assert machine.running._eyes.model.batches == (family not in SERIAL)


@pytest.mark.parametrize("family", ["qwen3_vl", "gemma3", "smolvlm", "llava", "mistral3"])
def test_a_chat_with_pictures_has_the_tokens_that_its_processor_gives_it(
    machines: Callable[[str], Machine], family: str
):
    machine = machines(family)
    prompter = machine.backend.prompter
    files = [Image_(picture(number, 90, 60 + number).png) for number in (1, 2)]
    parts = (Text("compare"), files[0], Text("with"), files[1], Text("please"))
    request = Pictures().seen(GenerateRequest(model="x", prompt=(Message("user", parts),)))

    prompt = prompter.prepare(request)

    images = [Image.open(BytesIO(each.png)) for each in prompt.pictures]
    processor = machine.call(machine.processor)
    made = processor(text=[prompter.text(request)], images=images, return_tensors="np")
    assert list(prompt.tokens) == np.asarray(made["input_ids"]).ravel().tolist()
    assert prompter.count(request) == len(prompt.tokens)
    unloaded = replace(prompter, sight=CountingSight(machine.folder))
    assert unloaded.count(request) == len(prompt.tokens)


@pytest.mark.parametrize("family", ["qwen2_vl", "gemma3"])
def test_who_writes_the_mark_of_a_picture_shows_none(
    machines: Callable[[str], Machine], family: str
):
    prompter = machines(family).backend.prompter
    text = f"I write {prompter.sight.marker} here"
    parts = (Text(text), Image_(picture(1).png))
    request = Pictures().seen(GenerateRequest(model="x", prompt=(Message("user", parts),)))

    assert len(prompter.prepare(request).pictures) == 1


# One in mlx_lm's batch, with shifted positions; one whose rows decode one by one.
BOTH = pytest.mark.parametrize("family", ["qwen2_vl", "smolvlm"])


@BOTH
def test_a_picture_that_was_read_costs_nothing_in_the_next_turn(
    machines: Callable[[str], Machine], family: str
):
    machine = machines(family)
    text, one = "a new chat, and here is @ to look at", picture(11)
    first = machine.tokens(text, (one,))
    machine.answer(text, (one,))
    seen = machine.running._eyes.seen_pictures

    more = text + " and tell me what is new"
    machine.start(1, more, (one,))
    outputs = machine.run()

    assert machine.running._eyes.seen_pictures == seen
    assert cached(outputs, 1) >= len(first) - 2
    assert said(outputs, 1) == machine.by_itself(more, (one,))


@BOTH
def test_another_picture_in_the_same_place_is_not_taken_for_the_first(
    machines: Callable[[str], Machine], family: str
):
    machine = machines(family)
    text = "the same words round @ and behind it"
    begin = machine.tokens(text, (picture(21),))
    place = begin.index(machine.running._eyes.reader.image_token)
    machine.answer(text, (picture(21),))

    machine.start(1, text, (picture(22),))
    outputs = machine.run()

    assert cached(outputs, 1) <= place
    assert said(outputs, 1) == machine.by_itself(text, (picture(22),))


@BOTH
def test_of_two_new_pictures_in_one_prompt_each_is_seen(
    machines: Callable[[str], Machine], family: str
):
    machine = machines(family)
    text, pictures = "first @ then @ both new", (picture(25), picture(26))

    assert machine.answer(text, pictures) == machine.by_itself(text, pictures)


@BOTH
def test_what_is_reused_never_ends_inside_a_picture(
    machines: Callable[[str], Machine], family: str
):
    machine = machines(family)
    text = "look at @ and then at @ so"
    pictures = (picture(31, 300, 280), picture(32, 280, 300))
    tokens = machine.tokens(text, pictures)
    asked: dict[str, Any] = {"temperature": 1.0, "seed": 7}
    cold = machine.answer(text, pictures, **asked)

    machine.start(1, text, pictures, **asked)
    outputs = machine.run()

    eyes, reused = machine.running._eyes, cached(outputs, 1)
    places = machine.call(eyes.look, tokens, pictures).places
    grid = grid_for(on_cpu=True, weights_bytes=0).chunk
    last = (len(tokens) - 1) // grid * grid
    assert reused == places.uncut(last, grid)
    assert not any(each.begin < reused < each.end for each in places.found)
    assert any(each.begin < last < each.end for each in places.found)
    assert said(outputs, 1) == cold


def test_a_picture_whose_features_are_gone_is_seen_again(machines: Callable[[str], Machine]):
    machine = machines("qwen2_vl")
    eyes = machine.running._eyes
    text, one = "what @ is, is soon forgotten", picture(41)
    before = machine.answer(text, (one,))
    machine.call(machine.running.runner.prefixes.clear)
    eyes._kept.clear()
    eyes.kept_bytes, seen = 0, eyes.seen_pictures

    assert machine.answer(text, (one,)) == before
    assert eyes.seen_pictures == seen + 1


def test_what_is_kept_of_pictures_stays_within_its_bytes(machines: Callable[[str], Machine]):
    machine = machines("qwen2_vl")
    eyes = machine.running._eyes
    most, eyes._most_bytes = eyes._most_bytes, 20_000
    try:
        for number in range(50, 58):
            machine.answer("one @ more", (picture(number),), max_tokens=1)
            assert eyes.kept_bytes <= 20_000
            assert eyes.kept_bytes == sum(each.size_bytes for each in eyes._kept.values())
    finally:
        eyes._most_bytes = most


@BOTH
def test_one_who_leaves_while_pictures_are_seen_disturbs_nobody(
    machines: Callable[[str], Machine], family: str
):
    machine = machines(family)
    text, pictures = "a @ b @ c @ d", (picture(61), picture(62), picture(63))
    machine.start(1, text, pictures)
    machine.start(2, "somebody else looks at @", (picture(64),))
    seen = machine.running._eyes.seen_pictures
    outputs = machine.run(lambda _: machine.running._eyes.seen_pictures > seen)

    machine.call(machine.backend.remove, 1)
    outputs += machine.run()

    assert said(outputs, 2) == machine.by_itself("somebody else looks at @", (picture(64),))
    assert said(outputs, 1) == []
    assert not machine.running.runner._batches.count


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen3_vl", "smolvlm"])
def test_others_go_on_between_the_layers_that_see(
    machines: Callable[[str], Machine], family: str, monkeypatch: pytest.MonkeyPatch
):
    machine = machines(family)
    text = "look at @ and say"

    def written_meanwhile(number: int, turn_seconds: float) -> int:
        monkeypatch.setattr(mlx_tower, "_TURN_SECONDS", turn_seconds)
        machine.start(1, "somebody else writes on", max_tokens=50, ignore_eos=True)
        machine.run(lambda outputs: any(isinstance(each, Decoded) for each in outputs))
        one = picture(number)
        machine.start(2, text, (one,))
        outputs = machine.run(lambda found: any(isinstance(each, Prefilled) for each in found))
        machine.call(machine.backend.remove, 1)
        assert said(outputs + machine.run(), 2) == machine.by_itself(text, (one,))
        return len(said(outputs, 1))

    read = len(machine.tokens(text, (picture(76),))) - 1
    chunks = ceil(read / grid_for(on_cpu=True, weights_bytes=0).chunk)
    assert written_meanwhile(76, 600.0) == 1 + chunks  # in no turn both
    assert written_meanwhile(75, 0.0) == 1 + chunks + LAYERS


def test_two_who_show_the_same_picture_have_it_seen_once(machines: Callable[[str], Machine]):
    machine = machines("qwen2_vl")
    seen = machine.running._eyes.seen_pictures
    text, more = "for number 2 @ is it, then @", (picture(77), picture(78))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlx_tower, "_TURN_SECONDS", 0.0)
        machine.start(1, "for number 1 @ is it", more[:1])
        machine.start(2, text, more)
        outputs = machine.run()

    assert machine.running._eyes.seen_pictures == seen + 2
    assert said(outputs, 2) == machine.by_itself(text, more)


@BOTH
def test_a_seed_says_the_same_again_beside_others(machines: Callable[[str], Machine], family: str):
    machine = machines(family)
    text, one = "draw what you see on @ for me", picture(71)
    asked: dict[str, Any] = {"temperature": 1.5, "seed": 3}
    alone = machine.answer(text, (one,), **asked)

    for ticket, number in enumerate((72, 73), 1):
        machine.start(ticket, "others see @", (picture(number),), temperature=1.5)
    machine.start(4, text, (one,), **asked)

    assert said(machine.run(), 4) == alone


def test_a_broken_picture_fails_by_itself(machines: Callable[[str], Machine]):
    machine = machines("qwen2_vl")
    one = picture(81)
    tokens = machine.tokens("see @ now", (one,))
    work = Work(
        tokens=tokens[:-6], pictures=(one,), max_tokens=3, sampling=SamplingParams(temperature=0.0)
    )

    with pytest.raises(InvalidRequest, match="cut within its pictures"):
        machine.call(machine.backend.insert, {1: work})
    assert machine.answer("and this is text", max_tokens=3)


def test_nothing_is_imported_that_the_lock_leaves_out():
    unused = {"cv2", "datasets", "mlx_audio", "miniaudio", "pyarrow", "torch", "torchvision"}
    assert "mlx_vlm.utils" in sys.modules
    assert unused & sys.modules.keys() == set()
