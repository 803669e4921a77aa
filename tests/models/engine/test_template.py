"""Chat templates run in a sandbox, and their faults are told in words."""

import pytest

from models import chat
from models.engine.template import ChatTemplate
from models.errors import InvalidRequest, LoadFailed

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
