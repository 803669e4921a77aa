"""What real templates write of thoughts, and what models are told to write, reads back as such."""

import pytest

from models import chat
from models.chat import Message, Reasoning, Text, Tool, ToolCall, ToolResult
from models.engine.decoder import Decoder
from models.engine.generation import channel_of
from models.engine.prepared import Prompt
from models.events import FinishReason, ReasoningDelta, TextDelta, ToolCallDelta
from models.model_family import family_of
from models.template_signs import knows_thinking
from tests.models.engine.published import SOURCES, compiled

THOUGHT, SAID = "I  wonder:\n<b>1</b> < 2?", "It is\n\n{so}."
TOOL = Tool("look", "", {"type": "object", "properties": {"city": {"type": "string"}}})
THINKING = [name for name, source in SOURCES.items() if knows_thinking(source)]
# They write no thought of an earlier turn, or not in a message with a call.
WRITE_NONE = {
    "Apertus-8B-Instruct",
    "Apriel-1.6-15b-Thinker-fixed",
    "HuggingFaceTB-SmolLM3-3B",
    "LFM2.5-Instruct",
    "NVIDIA-Nemotron-Nano-v2",
    "Qwen-QwQ-32B",
    "Reka-Edge",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
    "deepseek-ai-DeepSeek-V3.1",
    "ibm-granite-granite-3.3-2B-Instruct",
    "llama-cpp-deepseek-r1",
    "llama-cpp-rwkv-world",
}
WRITING = [name for name in THINKING if name not in WRITE_NONE]
# What models write: as the system prompts and other lines of the templates show it.
SHOWN = {
    "Apertus-8B-Instruct": "<|inner_prefix|>{thought}<|inner_suffix|>{said}",
    "Apriel-1.6-15b-Thinker-fixed": (
        "Here are my reasoning steps:\n{thought}\n[BEGIN FINAL RESPONSE]\n{said}"
        "\n[END FINAL RESPONSE]"
    ),
    "ByteDance-Seed-OSS": "<seed:think>{thought}</seed:think>{said}",
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use": (
        "<|START_THINKING|>{thought}<|END_THINKING|><|START_RESPONSE|>{said}<|END_RESPONSE|>"
    ),
    "google-gemma-4-31B-it": "<|channel>thought\n{thought}\n<channel|>{said}",
    "ibm-granite-granite-3.3-2B-Instruct": ("<think>{thought}</think><response>{said}</response>"),
    "mistralai-Ministral-3-14B-Reasoning-2512": "[THINK]{thought}[/THINK]{said}",
    "openai-gpt-oss-120b": (
        "<|channel|>analysis<|message|>{thought}<|end|><|start|>assistant"
        "<|channel|>final<|message|>{said}"
    ),
    "Qwen-Qwen3-0.6B": "<think>\n{thought}\n</think>\n\n{said}",
    "upstage-Solar-Open-100B": (
        "<|think|>{thought}<|end|><|begin|>assistant<|content|>{said}<|end|>"
    ),
}

pytestmark = pytest.mark.skipif(not SOURCES, reason="no chat templates here")


def told(name: str, text: str, cut: int, *, begun: bool = False) -> tuple[str, str, int]:
    """The thought, what is said, and how many calls there are."""
    request = chat.GenerateRequest(model="x", prompt=(chat.user("Hi"),), tools=(TOOL,))
    prompt = Prompt((1,), 1, family=family_of(SOURCES[name]), in_thought=begun)
    channel = channel_of(request, prompt)
    decoder = Decoder((), channel)
    deltas = decoder.feed(text[:cut].encode(), None)[0]
    deltas += decoder.feed(text[cut:].encode(), FinishReason.END_OF_TURN)[0]
    thought = "".join(each.text for each in deltas if isinstance(each, ReasoningDelta))
    said = "".join(each.text for each in deltas if isinstance(each, TextDelta))
    return (
        thought,
        said,
        sum(isinstance(each, ToolCallDelta) and bool(each.name) for each in deltas),
    )


@pytest.mark.parametrize("name", SHOWN)
def test_a_thought_and_an_answer_are_told_apart_wherever_they_are_cut(name: str):
    text = SHOWN[name].format(thought=THOUGHT, said=SAID)
    for cut in range(len(text) + 1):
        assert told(name, text, cut) == (THOUGHT, SAID, 0), cut


@pytest.mark.parametrize("name", WRITING)
def test_a_thought_before_a_call_as_a_template_writes_it(name: str):
    call = ToolCall("call00001", "look", '{"city": "AAA"}')
    messages = (
        chat.user("\ue001"),
        Message("assistant", (Reasoning("THOUGHT"), call)),
        Message("tool", (ToolResult("call00001", (Text("\ue002"),)),)),
    )
    text = compiled(name).render(messages, (TOOL,), thinking=True, ask=False)
    text = text[text.index("\ue001") + 1 : text.index("\ue002")].partition("<|call|>")[0]
    family = family_of(SOURCES[name])
    assert family.thoughts and family.calls
    begun = family.thoughts.begin not in text  # it stands in the prompt
    text = text[text.index("THOUGHT") if begun else text.index(family.thoughts.begin) :]

    thought, _, calls = told(name, text, 7, begun=begun)

    assert (thought, calls) == ("THOUGHT", 1)


def test_an_end_that_the_prompt_has_written_already_is_not_said_again():
    for text in ("</think>\n\nHello", "\n</think>Hello"):
        for cut in range(len(text)):
            assert told("Qwen-Qwen3-0.6B", text, cut) == ("", "Hello", 0), cut
    assert told("Qwen-Qwen3-0.6B", "Write </think>.", 9) == ("", "Write </think>.", 0)
