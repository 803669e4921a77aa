"""A template that would not end is ended; what it can reach is nothing."""

import threading
import time

import pytest

from models import chat
from models.engine.template import ChatTemplate
from models.errors import InvalidRequest, LoadFailed

HELLO = [chat.user("Hello")]

ENDLESS = {
    "nested loops": "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
    "a loop with a condition": (
        "{% for i in range(99999) %}{% for j in range(99999) if j < 0 %}{% endfor %}{% endfor %}"
    ),
    "a macro that calls itself": (
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}"
    ),
    "a recursive loop": "{% for i in range(99) recursive %}{{ loop(range(99)) }}{% endfor %}",
    "calls of blocks": (
        "{% macro f() %}{{ caller() }}{{ caller() }}{% endmacro %}"
        + "{% call f() %}" * 14
        + "{% for i in range(9999) %}{{ i }}{% endfor %}"
        + "{% endcall %}" * 14
    ),
    "times": "{{ 'a' * 10000000000 }}",
    "plus": (
        "{% set n = namespace(s='ab') %}"
        "{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}{{ n.s }}"
    ),
    "tilde": (
        "{% set n = namespace(s='ab') %}"
        "{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}{{ n.s }}"
    ),
    "numbers": (
        "{% set n = namespace(s=3) %}{% for i in range(60) %}{% set n.s = n.s * n.s %}{% endfor %}"
    ),
    "a power": "{{ 2 ** 10000000000 }}",
    "a format": "{{ '{:>10000000000}'.format('a') }}",
    "a format's argument": "{{ '{:>{w}}'.format('a', w=10000000000) }}",
    "a percent": "{{ '%10000000000s' % 'a' }}",
    "a method's width": "{{ 'a'.ljust(10000000000) }}",
    "tabs": "{{ ('\t' * 9999).expandtabs(9999) }}",
    "center": "{{ 'a' | center(10000000000) }}",
    "a constant": "{{ 'a' | center(10000000000) | center(10000000000) }}",
    "indent": "{{ ('a\n' * 9999) | indent('x' * 9999) }}",
    "join": "{{ range(99999) | join('x' * 99999) }}",
    "replace": "{{ ('a' * 99999) | replace('a', 'b' * 99999) }}",
    "JSON": "{{ range(99999) | list | tojson(indent=9999) }}",
    "batch": "{{ [1] | batch(10000000000, 1) | list }}",
    "round": "{{ 1.5 | round(1000000000, 'ceil') }}",
    "lists in lists": (
        "{% set n = namespace(s=['a']) %}"
        "{% for i in range(60) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s }}"
    ),
    "objects in objects": (
        "{% set n = namespace(s={}) %}"
        "{% for i in range(60) %}{% set n.s = dict(a=n.s, b=n.s) %}{% endfor %}{{ n.s | tojson }}"
    ),
    "a text kept": (
        "{% set b = 'x' * 999999 %}{% set y %}"
        "{% for i in range(99999) %}{{ b }}{% endfor %}{% endset %}{{ y }}"
    ),
    "the template's own text": "{% for i in range(99999) %}" + "x" * 9999 + "{% endfor %}",
    "looking through lists": (
        "{% set l = range(99999) | list %}"
        "{% for i in range(99999) %}{% if -1 in l %}{% endif %}{% endfor %}"
    ),
    "slices": (
        "{% set l = range(99999) | list %}"
        "{% for i in range(99999) %}{% set x = l[::-1] %}{% endfor %}"
    ),
    "sorting": "{% for i in range(99999) %}{% set x = range(99999) | sort %}{% endfor %}",
}


@pytest.mark.parametrize("source", ENDLESS.values(), ids=ENDLESS.keys())
def test_what_would_not_end_is_ended(source: str):
    template = ChatTemplate(source)
    started = time.thread_time()

    with pytest.raises(InvalidRequest, match="chat template"):
        template.render(HELLO)

    assert time.thread_time() - started < 5.0  # of this thread alone; some 0.5 when it is quiet


def test_other_threads_run_while_a_template_does_not_end():
    template = ChatTemplate(ENDLESS["a macro that calls itself"])
    turns = 0

    def render() -> None:
        with pytest.raises(InvalidRequest):
            template.render(HELLO)

    thread = threading.Thread(target=render)
    thread.start()
    while thread.is_alive():
        thread.join(0.001)
        turns += 1

    assert turns > 10


def test_each_run_has_a_count_of_its_own():
    source = "{% for i in range(60000) %}{% endfor %}{{ messages[0].content }}"
    template = ChatTemplate(source)

    assert [template.render(HELLO) for _ in range(5)] == ["Hello"] * 5


def test_long_chats_may_do_more_than_short_ones():
    template = ChatTemplate(
        "{% set n = namespace(s='') %}{% for m in messages %}"
        "{% for i in range(150) %}{% endfor %}{{ m.role ~ ': ' ~ m.content }}{% endfor %}"
    )
    messages = [chat.user("word " * 20) for _ in range(1000)]

    assert template.render(messages).count("word") == 20_000


def test_a_namespace_that_holds_itself_is_written_in_one_word():
    assert ChatTemplate("{% set n = namespace() %}{% set n.n = n %}{{ n }}").render(HELLO)


def test_a_source_of_megabytes_is_no_template():
    with pytest.raises(LoadFailed, match="too long"):
        ChatTemplate("x" * (2 << 20))


def test_a_source_nested_without_end_is_told():
    with pytest.raises(LoadFailed, match="chat template"):
        ChatTemplate("{{ " + "(" * 5000 + ")" * 5000 + " }}")
