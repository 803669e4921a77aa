"""Chat templates run in a sandbox, and their faults are told in words."""

import json
from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateError

from models import chat
from models.chat import (
    GenerateRequest,
    Image,
    Message,
    Overflow,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from models.engine.prompt import Prompter
from models.engine.template import ChatTemplate
from models.errors import InvalidRequest, LoadFailed
from tests.fakes import ByteTokenizer
from tests.models.engine.published import SOURCES, compiled

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HELLO = chat.user("Hello {{ 7 * 7 }}")


def test_messages_become_the_prompt_for_the_next_reply():
    prompt = ChatTemplate(CHATML).render([chat.system("Be kind."), HELLO])

    assert prompt == (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHello {{ 7 * 7 }}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_a_reply_begun_by_the_caller_is_continued():
    prompt = ChatTemplate(CHATML).render([HELLO, chat.assistant("Well,  ")])

    assert prompt.endswith("<|im_start|>assistant\nWell,  ")


def test_the_models_own_tokens_stand_where_the_template_has_them():
    template = ChatTemplate("{{ bos_token }}hi{{ eos_token }}", bos_token="<s>", eos_token="</s>")

    assert template.render([HELLO]) == "<s>hi</s>"


@pytest.mark.parametrize(
    "hostile",
    [
        "{{ messages.__class__.__mro__[1].__subclasses__() }}",
        "{% include '/etc/passwd' %}",
        "{{ ''.__class__ }}{{ undefined.attribute }}",
        "{% for i in range(100000000) %}x{% endfor %}",
    ],
)
def test_a_hostile_template_reaches_nothing(hostile: str):
    with pytest.raises(InvalidRequest):
        ChatTemplate(hostile).render([HELLO])


def test_a_template_may_refuse_the_messages():
    template = ChatTemplate("{{ raise_exception('Roles must alternate.') }}")

    with pytest.raises(InvalidRequest, match=r"Roles must alternate\."):
        template.render([HELLO])


def test_what_is_no_template_is_told_when_the_model_loads():
    with pytest.raises(LoadFailed, match="chat template"):
        ChatTemplate("{% for %}")


def test_what_real_templates_use_is_there():
    template = ChatTemplate(
        "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{% endfor %}"
        "{{ {'a': '<ü>'} | tojson }}{{ strftime_now('%Y') | length }}"
    )

    assert template.render([HELLO]) == '{"a": "<ü>"}4'


# -- Published templates -----------------------------------------------------------

# They need tools, or a variable of their makers' own.
NEED_MORE = {
    "CohereForAI-c4ai-command-r-plus-tool_use",
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
    "fireworks-ai-llama-3-firefunction-v2",
}
CALL = ToolCall("call00001", "get_weather", '{"city": "Paris", "days": 2}')
TOOL = Tool(
    "get_weather",
    "Tells the weather.",
    {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "A city"}},
        "required": ["city"],
    },
)
CHAT = (
    chat.system("Be kind."),
    chat.user("What is the weather?"),
    chat.assistant("In which city?"),
    chat.user("Paris"),
)
WITH_TOOLS = (
    *CHAT,
    Message("assistant", (Reasoning("I should look."), CALL)),
    Message("tool", (ToolResult("call00001", (Text("Sunny"),)),)),
)


@pytest.fixture
def published(testdata: Path) -> dict[str, ChatTemplate]:
    return {name: compiled(name) for name in SOURCES}


CHATS = {
    "a question": [chat.user("AAA")],
    "neighbours": [chat.user("AAA"), chat.user("BBB")],
    "an answer first": [chat.assistant("AAA"), chat.user("BBB")],
    "a system message": [chat.system("AAA"), chat.user("BBB")],
    "a late system message": [chat.user("AAA"), chat.system("BBB"), chat.user("CCC")],
    "the end of a cut chat": [
        chat.system("AAA"),
        chat.assistant("BBB"),
        chat.user("CCC"),
        chat.user("DDD"),
    ],
}


@pytest.mark.parametrize("messages", CHATS.values(), ids=CHATS.keys())
def test_every_published_template_takes_any_order_of_turns(
    messages: list[Message], published: dict[str, ChatTemplate]
):
    for name in published.keys() - NEED_MORE:
        prompt = published[name].render(messages)

        assert all(message.text in prompt for message in messages), name
        said = [prompt.find(each.text) for each in messages if each.role != "system"]
        assert said == sorted(said), name


def test_a_long_chat_is_cut_to_what_every_published_template_takes(
    published: dict[str, ChatTemplate],
):
    words = "word " * 80
    messages = [chat.system("Be kind.")]
    for number in range(60):
        messages += [chat.user(f"Question {number}? {words}"), chat.assistant(f"Yes. {words}")]
    messages.append(chat.user("Last?"))
    request = GenerateRequest(model="x", prompt=tuple(messages), overflow=Overflow.TRUNCATE)
    for name in published.keys() - NEED_MORE:
        prompt = Prompter(published[name], ByteTokenizer(), 16_000).prepare(request)

        text = bytes(prompt.tokens).decode()
        assert "Be kind." in text and "Last?" in text, name
        assert "Question 59?" in text and "Question 0?" not in text, name
        assert prompt.dropped_messages % 2 == 0, name


def as_transformers_has_them(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for message in messages:
        entry: dict[str, Any] = {"role": message.role, "content": message.text}
        for part in message.parts:
            match part:
                case Reasoning(text):
                    entry["reasoning_content"] = text
                case ToolCall(call_id, name, arguments):
                    function = {"name": name, "arguments": json.loads(arguments)}
                    entry["tool_calls"] = [
                        {"type": "function", "id": call_id, "function": function}
                    ]
                case ToolResult(call_id):
                    entry["content"] = part.text
                    entry |= {"tool_call_id": call_id, "name": "get_weather"}
                case _:
                    pass
        entries.append(entry)
    return entries


# They read no calls, calls only of a message without a content, or thoughts in another place.
TOLD_OTHERWISE = {
    "LFM2-8B-A1B",
    "LFM2.5-Instruct",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
    "granite-3.0-instruct",
    "ibm-granite-granite-3.3-2B-Instruct",
    "mistralai-Ministral-3-14B-Reasoning-2512",
    "upstage-Solar-Open-100B",
}


@pytest.mark.parametrize(
    ("messages", "tools", "thinking"),
    [(CHAT, (), None), (CHAT, (), False), (CHAT, (), True), (WITH_TOOLS, (TOOL,), None)],
    ids=["plain", "without thinking", "with thinking", "tools"],
)
def test_a_prompt_is_what_transformers_makes_of_it(
    messages: tuple[Message, ...],
    tools: tuple[Tool, ...],
    thinking: bool | None,
    published: dict[str, ChatTemplate],
):
    utils = pytest.importorskip("transformers.utils.chat_template_utils")
    function = {"name": TOOL.name, "description": TOOL.description, "parameters": TOOL.parameters}
    asked = {} if thinking is None else {"enable_thinking": thinking, "thinking": thinking}
    compared = 0
    for name, template in published.items():
        least: dict[str, Any] = {}
        if thinking is False and "enable_thinking" not in template.source:
            least = {"reasoning_effort": "low", "thinking_budget": 0}
        try:
            ((expected,), _) = utils.render_jinja_template(
                [as_transformers_has_them(messages)],
                tools=[{"type": "function", "function": function}] if tools else None,
                chat_template=template.source,
                add_generation_prompt=True,
                bos_token="<s>",
                eos_token="</s>",
                **asked,
                **least,
            )
        except (TemplateError, TypeError):
            continue  # it refuses them, and is put them in another form

        ours = template.render(messages, tools, thinking)
        if tools and name in TOLD_OTHERWISE:
            assert ours != expected, name
            continue
        assert ours == expected, name
        compared += 1
    assert compared > (40 if tools else 65)


# -- Dialects ----------------------------------------------------------------------


def test_a_template_that_goes_through_parts_is_given_parts():
    template = ChatTemplate(
        "{% for m in messages %}{% for part in m['content'] %}"
        "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}"
        "{% endfor %}{% endfor %}"
    )
    picture = Message("user", (Text("See: "), Image(b"..."), Text("Nice?")))

    assert template.render([chat.user("Hello"), picture]) == "HelloSee: <image>Nice?"


def test_a_template_that_takes_both_is_given_text_where_there_is_no_picture():
    template = ChatTemplate(
        "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
        "{% for part in m.content %}<{{ part.type }}>{% endfor %}{% endif %}{% endfor %}"
    )
    picture = Message("user", (Image(b"..."),))

    assert template.render([chat.user("Hello"), picture]) == "Hello<image>"


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ("{{ call.function.arguments | tojson }}", '{"city": "Paris", "days": 2}'),
        (
            "{% for k, v in call.function.arguments.items() %}{{ k }}={{ v }};{% endfor %}",
            "city=Paris;days=2;",
        ),
        ("{{ '<' + call.function.arguments + '>' }}", '<{"city": "Paris", "days": 2}>'),
    ],
)
def test_arguments_are_an_object_or_text_as_the_template_reads_them(read: str, expected: str):
    source = "{% for m in messages %}{% for call in m.tool_calls %}" + read
    template = ChatTemplate(source + "{% endfor %}{% endfor %}")

    assert template.render([Message("assistant", (CALL,))]) == expected


def test_results_of_tools_are_messages_of_their_own_whoever_brings_them():
    template = ChatTemplate(
        "{% for m in messages %}[{{ m.role }} {{ m.name }} {{ m.tool_call_id }}]{{ m.content }}"
        "{% endfor %}"
    )
    asked = Message("assistant", (CALL,))
    answered = Message("user", (ToolResult("call00001", (Text("Sunny"),)), Text("So?")))

    prompt = template.render([asked, answered])

    assert prompt == "[assistant  ][tool get_weather call00001]Sunny[user  ]So?"


def test_tool_calls_get_short_ids_where_a_template_insists(published: dict[str, ChatTemplate]):
    template = published["mistralai-Mistral-Nemo-Instruct-2407"]
    call = Message("assistant", (ToolCall("call_of_fifty_letters", "f", "{}"),))
    result = Message("tool", (ToolResult("call_of_fifty_letters", (Text("1"),)),))

    prompt = template.render([chat.user("Hi"), call, result], (TOOL,))

    assert '"id": "000000000"' in prompt
    assert '"call_id": "000000000"' in prompt


def test_what_a_template_refused_once_it_may_accept_of_others():
    template = ChatTemplate(
        "{% if messages[0].content == 'no' %}{{ raise_exception('no') }}{% endif %}"
        "{{ messages[0].role }}"
    )
    with pytest.raises(InvalidRequest):
        template.render([chat.user("no")])

    assert template.render([chat.system("yes"), chat.user("x")]) == "system"


def test_transformers_own_additions_to_jinja_are_known():
    template = ChatTemplate(
        "{% generation %}{{ messages[0].content }}{% endgeneration %}"
        "{{ {'b': 1, 'a': 'ü'} | tojson(separators=(',', ':'), sort_keys=True) }}"
        "{{ 'ü' | tojson(ensure_ascii=True) }}"
    )

    assert template.render([chat.user("Hi")]) == 'Hi{"a":"ü","b":1}"\\u00fc"'


def test_a_begun_answer_goes_on_behind_what_was_thought(published: dict[str, ChatTemplate]):
    template = published["google-gemma-2-2b-it"]

    prompt = template.render([chat.user("a"), chat.assistant("b"), chat.assistant("Well, ")])

    assert prompt.endswith("b\n\nWell, ")


def test_a_template_hears_the_variables_that_it_knows_and_others_are_refused() -> None:
    template = ChatTemplate(
        "{{ style or 'plain' }}:{% for m in messages %}{{ m.content }}{% endfor %}"
    )
    said = (chat.user("hi"),)

    assert template.render(said) == "plain:hi"
    assert template.render(said, more={"style": "loud"}) == "loud:hi"
    for name in ("colour", "messages", "tools"):
        with pytest.raises(InvalidRequest, match=f'"chat_template_kwargs.{name}" is no variable'):
            template.render(said, more={name: "x"})
