"""What a person can choose of a model's thinking."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.model import Profile
from models.template_signs import knows_effort, may_skip_thinking
from models.thinking import Choice, choices, nearest
from tests.fakes import a_model

SWITCHED: tuple[Choice, ...] = (False, True)
LEVELS: tuple[Choice, ...] = ("low", "medium", "high")


def model(**facts: bool):
    made = a_model()
    return replace(made, details=replace(made.details, **facts))


@pytest.mark.parametrize(
    ("facts", "there_are"),
    [
        ({}, ()),
        ({"thinking": True}, ()),  # it always thinks
        ({"thinking": True, "thinking_switch": True}, SWITCHED),
        ({"thinking": True, "thinking_effort": True}, LEVELS),
        ({"thinking": True, "thinking_switch": True, "thinking_effort": True}, (False, *LEVELS)),
        ({"thinking_switch": True}, ()),
    ],
)
def test_there_is_to_choose_what_the_model_can(
    facts: dict[str, bool], there_are: tuple[Choice, ...]
):
    assert choices(model(**facts)) == there_are


def test_a_template_in_place_of_the_models_own_decides():
    template = "{% if enable_thinking %}<think>{% endif %}{{ messages }}</think>"
    thinks = replace(model(), profile=Profile(template=template))
    silent = replace(
        model(thinking=True, thinking_switch=True), profile=Profile(template="{{ messages }}")
    )

    assert choices(thinks) == SWITCHED
    assert choices(silent) == ()


@pytest.mark.parametrize(
    ("wanted", "among", "chosen"),
    [
        (None, SWITCHED, True),
        (None, LEVELS, "medium"),
        (None, (), None),
        (False, LEVELS, "low"),
        (True, (False, *LEVELS), "medium"),
        ("high", SWITCHED, True),
        ("high", LEVELS, "high"),
        ("max", LEVELS, "high"),
        (False, (), None),
    ],
)
def test_what_was_wanted_of_another_model_comes_nearest(
    wanted: Choice | None, among: tuple[Choice, ...], chosen: Choice | None
):
    assert nearest(wanted, among) == chosen


@pytest.mark.parametrize(
    ("name", "switch", "effort"),
    [
        ("Qwen-Qwen3-0.6B", True, False),
        ("deepseek-ai-DeepSeek-V3.1", True, False),
        ("ibm-granite-granite-3.3-2B-Instruct", True, False),  # its word for it is "thinking"
        ("ByteDance-Seed-OSS", True, False),  # a budget of 0
        ("openai-gpt-oss-120b", False, True),  # it has a field of messages called "thinking"
        ("NVIDIA-Nemotron-Nano-v2", False, False),  # it asks the messages
        ("llama-cpp-deepseek-r1", False, False),
        ("meta-llama-Llama-3.2-3B-Instruct", False, False),
    ],
)
def test_a_real_template_tells_what_there_is_to_choose(
    testdata: Path, name: str, switch: bool, effort: bool
):
    template = (testdata / f"chat-templates/{name}.jinja").read_text(encoding="utf-8")

    assert (may_skip_thinking(template), knows_effort(template)) == (switch, effort)
