"""Prompt templates in Go's words become Jinja that says the same."""

import pytest

from models.chat import (
    Message,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    assistant,
    system,
    user,
)
from models.engine.template import ChatTemplate
from models.errors import InvalidRequest
from models.go_jinja import to_jinja

CHATML = """{{- if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}{{ if .Prompt }}<|im_start|>user
{{ .Prompt }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ .Response }}<|im_end|>
"""
WITH_MESSAGES = """{{- if or .System .Tools }}<system>{{ .System }}
{{- range .Tools }}
{"type": "function", "function": {{ .Function }}}
{{- end }}
{{ end }}
{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1 -}}
{{- if eq .Role "user" }}<user>{{ .Content }}
{{ else if eq .Role "assistant" }}<assistant>
{{- if .Content }}{{ .Content }}
{{- else if .ToolCalls }}
{{- range .ToolCalls }}
{{- with .Function }}<call>{"name": "{{ .Name }}", "arguments": {{ .Arguments }}}{{ end }}
{{- end }}
{{- end }}{{ if not $last }}<end>
{{ end }}
{{- else if eq .Role "tool" }}<result>{{ .Content }}
{{ end }}
{{- if and (ne .Role "assistant") $last }}<assistant>{{ end }}
{{- end }}"""


def rendered(template: str, *messages: Message, tools: tuple[Tool, ...] = (), thinking=None) -> str:
    return ChatTemplate(to_jinja(template)).render(messages, tools, thinking)


def one_turn(template: str, *, system_text: str = "", prompt: str = "") -> str:
    before = (system(system_text),) if system_text else ()
    return rendered(template, *before, user(prompt))


class TestExchanges:
    """What a template without ``.Messages`` is given."""

    def test_values_are_put_in(self):
        template = "{{ .System }} Q: {{.Prompt}} A:"

        assert one_turn(template, system_text="S", prompt="P") == "S Q: P A:"

    def test_the_prompt_ends_where_the_reply_begins(self):
        assert one_turn(CHATML, prompt="hi") == (
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
        )
        assert one_turn("{{ .Prompt }}{{ if .Response }} never{{ end }}", prompt="P") == "P"

    def test_earlier_exchanges_are_written_out_whole(self):
        said = rendered(CHATML, system("S"), user("a"), assistant("b"), user("c"))

        assert said == (
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\na<|im_end|>\n"
            "<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n"
            "<|im_start|>assistant\n"
        )

    def test_a_reply_that_was_begun_is_gone_on_with(self):
        assert rendered(CHATML, user("a"), assistant("b")).endswith("<|im_start|>assistant\nb")

    def test_messages_of_one_role_in_a_row_are_one(self):
        assert rendered("[{{ .Prompt }}]", user("a"), user("b")) == "[a\n\nb]"

    def test_an_if_takes_the_branch_of_what_is_there(self):
        template = "{{ if .System }}a{{ else if .Prompt }}b{{ else }}c{{ end }}d"

        assert one_turn(template, system_text="S", prompt="P") == "ad"
        assert one_turn(template, prompt="P") == "bd"
        assert one_turn(template) == "cd"

    def test_a_dash_eats_the_white_space_beside_it(self):
        assert one_turn("a \n {{- .Prompt -}} \t b", prompt="P") == "aPb"
        assert one_turn("a {{- /* nothing */ -}} b") == "ab"

    @pytest.mark.parametrize(
        "text", ["{{ .System }}", "{{ messages }}", "' ~ 1 ~ '", "\\n", "ü€😀"]
    )
    def test_what_is_put_in_is_not_read_again(self, text):
        assert one_turn("{{ .Prompt }}", prompt=text) == text

    def test_the_text_of_a_template_is_no_jinja(self):
        assert one_turn("it's # {# a \\n 'b' {{ .Prompt }}", prompt="P") == "it's # {# a \\n 'b' P"


class TestMessages:
    def test_a_chat_with_tools(self):
        said = rendered(
            WITH_MESSAGES,
            system("S"),
            user("a"),
            Message("assistant", (ToolCall("c", "f", '{"x": 1}'),)),
            Message("tool", (ToolResult("c", (Text("ok"),)),)),
            tools=(Tool("f", "d", {"type": "object"}),),
        )

        assert said == (
            '<system>S\n{"type": "function", "function": {"name":"f","description":"d",'
            '"parameters":{"type":"object"}}}\n'
            '<user>a\n<assistant><call>{"name": "f", "arguments": {"x":1}}<end>\n'
            "<result>ok\n<assistant>"
        )

    def test_the_last_reply_is_gone_on_with(self):
        assert rendered(WITH_MESSAGES, user("a"), assistant("b")) == "<user>a\n<assistant>b"

    def test_all_system_texts_are_one(self):
        template = "{{ .System }}{{ range .Messages }}{{ end }}"

        assert rendered(template, system("a"), user("x"), system("b")) == "a\n\nb"

    def test_what_is_assigned_in_a_block_holds_outside_of_it(self):
        template = (
            "{{ $n := 0 }}{{ range .Messages }}{{ if eq .Role `user` }}{{ $n = 1 }}{{ end }}"
            "{{ end }}{{ if $n }}yes{{ end }}"
        )

        assert rendered(template, user("a")) == "yes"

    @pytest.mark.parametrize(
        ("thinking", "said"), [(True, "on"), (False, "off"), ("high", "on high"), (None, "")]
    )
    def test_thinking(self, thinking, said):
        template = (
            "{{ if .IsThinkSet }}{{ if .Think }}on{{ else }}off{{ end }}{{ end }}"
            "{{ with .ThinkLevel }} {{ . }}{{ end }}"
        )

        assert rendered(template, user("a"), thinking=thinking) == said

    def test_properties_of_tools_by_their_names(self):
        schema = {"properties": {"a": {"type": "string"}, "b": {"type": "number"}}}
        template = (
            "{{ range .Messages }}{{ end }}{{ range .Tools }}{{ with .Function.Parameters }}"
            "{{ range $name, $of := .Properties }}{{ $name }}:{{ $of.Type }} {{ end }}"
            "{{ end }}{{ end }}"
        )

        said = rendered(template, user("x"), tools=(Tool("f", "", schema),))

        assert said == "a:string b:number "


def test_a_template_that_is_jinja_stays_as_it_is():
    assert to_jinja("{% for m in messages %}{{ m.content }}{% endfor %}").startswith("{% for m")


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{{ .Prompt", "template: :1: unclosed action"),
        ("a\n{{ if .Prompt }}x\n", "template: :2: unexpected EOF"),
        ("x{{ end }}", "template: :1: unexpected {{end}}"),
        ("x{{ else }}", "template: :1: unexpected {{else}}"),
        ("{{ if .Prompt }}a{{ else }}b{{ else }}c{{ end }}", "template: :1: unexpected {{else}}"),
        ("{{ if .Prompt }}" * 200, "template: :1: too many blocks are open"),
        ("{{ .Nothing }}", '"template" has {{ .Nothing }}, which is not supported.'),
        ("{{ range .Messages }}{{ .Who }}{{ end }}", '"template" has {{ .Who }}'),
        ('{{ template "x" }}', '"template" has {{ template "x" }}, which is not supported.'),
        ("{{ printf .Prompt }}", '"template" has {{ printf }}, which is not supported.'),
        ("{{ $x }}", '"template" has {{ $x }}, which is not supported.'),
        ("{{ % }}", '"template" has {{ % }}, which is not supported.'),
        ("{{ " + "(" * 5000, "template: :1: unclosed action"),
        ("{{ " + "(" * 5000 + " }}", '"template" has {{ ((('),
    ],
)
def test_what_is_broken_or_unknown_is_refused(template, sentence):
    with pytest.raises(InvalidRequest) as caught:
        to_jinja(template)

    assert str(caught.value).startswith(sentence)
    assert caught.value.field == "template"


def test_a_long_broken_template_is_refused_at_once():
    with pytest.raises(InvalidRequest):
        to_jinja("{{" * 200_000)
