"""The model that ships with the program: one model in two layouts, with a template of ours."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment

from models import builtin, facts, gguf
from tests.conftest import REPOSITORY

POCKET = builtin.FOLDER
TEXTS = ["", "hi", "  spaced \n", '"quoted" <b> & é 日本', "{{ x }}", "two\n\nlines", "<|im_end|>"]
TOOLS: list[Any] = [
    None,
    [],
    [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    [{"a": 'quote " in it'}, {"b": [1, None, "é"]}],
]

LOOK_UP: dict[str, Any] = {
    "name": "look_up",
    "description": "Look a word up.",
    "parameters": {
        "type": "object",
        "properties": {
            "word": {"type": "string", "description": "The word."},
            "form": {"type": "string", "enum": ["short", "long"]},
            "pages": {"type": "array", "items": {"type": "integer"}},
            "options": {
                "type": "object",
                "properties": {
                    "exact": {"type": "boolean"},
                    "any": {},
                    "size": {"type": ["integer", "null"]},
                },
                "required": ["exact"],
            },
        },
        "required": ["word"],
    },
}


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


def call_name(call: dict[str, Any]) -> str:
    return json.dumps(call.get("function", call)["name"], ensure_ascii=False)


def test_the_template_takes_any_conversation_and_leaves_nothing_out():
    template = compiled(POCKET / "mlx/chat_template.jinja")
    chance = random.Random(1)
    for _ in range(1000):
        messages = [message(chance) for _ in range(chance.randint(1, 7))]
        tools = chance.choice(TOOLS)

        text = template.render(messages=messages, tools=tools, add_generation_prompt=True)

        assert all((each["content"] or "") in text for each in messages)
        assert all(
            call_name(each) in text for one in messages for each in one.get("tool_calls", [])
        )
        assert text.endswith("<|im_start|>assistant\n")


def test_the_template_says_what_a_tool_is_for_and_then_its_parameters():
    text = compiled(POCKET / "mlx/chat_template.jinja").render(
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        tools=[{"type": "function", "function": LOOK_UP}],
        add_generation_prompt=True,
    )

    assert text == (
        "<|im_start|>system\nBe brief.\n\n"
        'Call a tool by <tool_call>{"name": ..., "arguments": {...}}</tool_call>.\n<tools>\n'
        "# Look a word up.\n"
        'look_up(word: string, form?: "short" | "long", pages?: [integer], '
        "options?: {exact: boolean, any?: any, size?: integer | null})\n"
        "</tools><|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_the_template_shares_one_turn_among_results_and_drops_old_thoughts():
    call = {"function": {"name": "f", "arguments": {"a": 1}}}
    text = compiled(POCKET / "mlx/chat_template.jinja").render(
        messages=[
            {"role": "user", "content": "Both."},
            {
                "role": "assistant",
                "content": "<think>\nhm\n</think>\n\n",
                "tool_calls": [call, call],
            },
            {"role": "tool", "content": "1"},
            {"role": "tool", "content": "2"},
        ],
        enable_thinking=True,
    )

    wish = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
    assert text == (
        "<|im_start|>system\nThink before you answer.<|im_end|>\n"
        "<|im_start|>user\nBoth.<|im_end|>\n"
        f"<|im_start|>assistant\n{wish}\n{wish}<|im_end|>\n"
        "<|im_start|>user\n<tool_response>\n1\n</tool_response>\n"
        "<tool_response>\n2\n</tool_response><|im_end|>\n"
    )


def test_both_layouts_are_the_same_model():
    of_gguf = facts.read(POCKET / "gguf/pocket.gguf").details
    of_mlx = facts.read(POCKET / "mlx").details

    # What a picture takes while it is read is told of GGUF alone.
    assert replace(of_gguf, picture_bytes=0) == of_mlx
    assert of_gguf.chat
    assert of_gguf.vision


def test_both_layouts_carry_the_same_template_and_no_other():
    source = gguf.read_template(POCKET / "gguf/pocket.gguf")
    config = json.loads((POCKET / "mlx/tokenizer_config.json").read_text())

    template = (REPOSITORY / "packaging/pocket/chat_template.jinja").read_text(encoding="utf-8")
    assert source.text == template
    assert (POCKET / "mlx/chat_template.jinja").read_text(encoding="utf-8") == template
    assert source.eos_token == config["eos_token"]
    assert "chat_template" not in config
