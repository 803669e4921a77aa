"""The model that ships with the program: one model in two layouts, with a template of ours."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

import resources
from models import facts, gguf

POCKET = Path(resources.__file__).with_name("pocket")
TEXTS = ["", "hi", "  spaced \n", '"quoted" <b> & é 日本', "{{ x }}", "two\n\nlines", "<|im_end|>"]
TOOLS: list[Any] = [
    None,
    [],
    [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    [{"a": 'quote " in it'}, {"b": [1, None, "é"]}],
]


def compiled(path: Path):
    # As transformers has it (utils/chat_template_utils.py).
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string(path.read_text(encoding="utf-8"))


def message(chance: random.Random) -> dict[str, Any]:
    role = chance.choice(["system", "user", "assistant", "calls", "tool", "tool", "stranger"])
    if role != "calls":
        return {"role": role, "content": chance.choice(TEXTS)}
    calls: list[dict[str, Any]] = [
        {"name": chance.choice(TEXTS), "arguments": chance.choice([{}, {"a": "é", "b": [1]}, "s"])}
        for _ in range(chance.randint(1, 3))
    ]
    if chance.random() < 0.5:
        calls = [{"type": "function", "function": call} for call in calls]
    return {"role": "assistant", "content": chance.choice([None, *TEXTS]), "tool_calls": calls}


def test_our_template_renders_what_the_model_was_trained_on(testdata: Path):
    theirs = compiled(testdata / "models/tinychat/chat_template.jinja")
    ours = compiled(POCKET / "mlx/chat_template.jinja")
    chance = random.Random(1)
    for _ in range(3000):
        conversation = {
            "messages": [message(chance) for _ in range(chance.randint(1, 7))],
            "tools": chance.choice(TOOLS),
            "add_generation_prompt": chance.random() < 0.5,
        }

        assert ours.render(**conversation) == theirs.render(**conversation)


def test_both_layouts_are_the_same_model():
    of_gguf = facts.of_gguf(POCKET / "gguf/pocket.gguf")
    of_mlx = facts.of_mlx(POCKET / "mlx")

    assert of_gguf == of_mlx
    assert of_gguf.chat


def test_both_layouts_carry_the_same_template_and_no_other():
    source = gguf.read_template(POCKET / "gguf/pocket.gguf")
    config = json.loads((POCKET / "mlx/tokenizer_config.json").read_text())

    assert source.text == (POCKET / "mlx/chat_template.jinja").read_text(encoding="utf-8")
    assert source.eos_token == config["eos_token"]
    assert "chat_template" not in config


@pytest.mark.parametrize("name", ["tokenizer.json", "model.safetensors", "config.json"])
def test_the_vocabulary_and_the_weights_are_those_that_were_trained(testdata: Path, name: str):
    trained = testdata / "models/tinychat" / name

    assert (POCKET / "mlx" / name).read_bytes() == trained.read_bytes()
