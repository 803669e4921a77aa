"""Calls that are cut off or mangled; and mlx_lm's parsers, on those that are not."""

import json
import random
from importlib import import_module
from typing import Any

import pytest

from models.engine.installed import has_mlx
from models.markup import CallForm
from tests.models.engine.test_families import (
    FOUND,
    NASTY,
    ROWS,
    calls,
    random_pieces,
    told,
    written,
)

pytestmark = pytest.mark.skipif(not FOUND, reason="no chat templates here")

MUTATIONS = ('"', "'", "{", "}", "[", "]", "(", ")", "\\", "\n", "ü", "😀", ",", "=", ":", "<", ">")
HEADS = ("[TOOL_CALLS]", "<think>", "</think>", "<tool_call>", "```", "<|channel|>", "<|message|>")


@pytest.mark.parametrize("name", ROWS)
def test_a_call_that_is_cut_off_is_marked_and_leaks_nothing(name: str) -> None:
    text, call = written(name)[-2], calls(name)[-2]
    for place in range(len(text)):
        found, unread = told(FOUND[name], [text[:place]], (call.tool,))
        named = [each for each in found if isinstance(each, tuple)]
        assert len(named) <= 1
        assert not named or found == named, place
        if not named:
            assert text[:place].startswith("".join(found)), place
        elif json_of(named[0][1]) != call.arguments:
            assert unread == 1, place


def json_of(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


@pytest.mark.parametrize("name", ROWS)
def test_text_around_a_call_stays(name: str) -> None:
    family, text, call = FOUND[name], written(name)[-2], calls(name)[-2]
    assert family.calls
    if family.calls.bare or family.calls.routed:
        return  # there is none: what an answer begins with is the call, or has a part of its own
    found, unread = told(family, [f"I look.\n{text}"], (call.tool,))
    assert found[0] == "I look."
    assert found[1][0] == NASTY.name
    assert (len(found), unread) == (2, 0)


@pytest.mark.parametrize("name", ROWS)
def test_however_a_call_is_mangled_it_is_told_alike_and_nothing_raises(name: str) -> None:
    chance = random.Random(name)
    tags = tuple(FOUND[name].tags)
    for _ in range(40):
        place = chance.randrange(len(calls(name)))
        text = written(name)[place]
        for _ in range(chance.randint(1, 4)):
            at, size = chance.randrange(len(text) + 1), chance.choice((0, 1, 5))
            text = text[:at] + chance.choice(("", *MUTATIONS, *HEADS, *tags)) + text[at + size :]
        whole = told(FOUND[name], [text], (calls(name)[place].tool,))
        for pieces in (list(text), list(random_pieces(text, chance))):
            assert told(FOUND[name], pieces, (calls(name)[place].tool,)) == whole, text


# -- mlx_lm, which reads whole calls ---------------------------------------------------

# Which of its parsers knows which template, and whether it reads a call otherwise, and why.
PARSERS: dict[str, tuple[str, Any]] = {
    "Qwen-Qwen3-0.6B": ("json_tools", lambda call: False),
    "Qwen3-Coder": ("qwen3_coder", lambda call: False),
    "GLM-4.6": ("glm47", lambda call: False),
    "MiniMax-M2": ("minimax_m2", lambda call: False),
    "moonshotai-Kimi-K2": ("kimi_k2", lambda call: False),
    "mistralai-Mistral-Nemo-Instruct-2407": ("mistral", lambda call: False),
    # Its names have no dots: it takes what stands behind the last.
    "unsloth-mistral-Devstral-Small-2507": ("mistral", lambda call: "." in call.tool.name),
    # Its names have no dots: it finds no call.
    "google-gemma-4-31B-it": ("gemma4", lambda call: "." in call.tool.name),
    # The template does not escape quotes in a string, and its names have no dashes.
    "LFM2.5-8B-A1B": (
        "pythonic",
        lambda call: (
            "-" in call.tool.name
            or any("'" in each for each in call.arguments.values() if isinstance(each, str))
        ),
    ),
}


@pytest.mark.skipif(not has_mlx(), reason="MLX is not installed here")
@pytest.mark.parametrize("name", PARSERS)
def test_mlx_lm_reads_the_same_but_for_what_is_known(name: str) -> None:
    parser, is_other = PARSERS[name]
    parse: Any = import_module(f"mlx_lm.tool_parsers.{parser}").parse_tool_call
    row = FOUND[name].calls
    assert row and row.form is not CallForm.HARMONY
    for text, call in zip(written(name), calls(name), strict=True):
        function = {"name": call.tool.name, "parameters": call.tool.parameters}
        inside = text.removeprefix(row.begin).removesuffix(row.end)
        try:
            found = parse(inside, [{"type": "function", "function": function}])
        except ValueError:
            found = {"name": None, "arguments": None}
        first = found[0] if isinstance(found, list) else found
        same = (first["name"], first["arguments"]) == (call.tool.name, call.arguments)
        assert same is not is_other(call), text
