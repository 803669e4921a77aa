"""The part of Go's text/template that prompts are written in."""

import pytest

from models.errors import InvalidRequest
from server.go_template import render

CHATML = """{{- if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}{{ if .Prompt }}<|im_start|>user
{{ .Prompt }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ .Response }}<|im_end|>
"""


def test_values_are_put_in():
    assert render("{{ .System }} Q: {{.Prompt}} A:", system="S", prompt="P") == "S Q: P A:"


def test_the_prompt_ends_where_the_reply_begins():
    assert render(CHATML, system="", prompt="hi") == (
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert render("{{ .Prompt }}{{ if .Response }} never{{ end }}", system="", prompt="P") == "P"


def test_an_if_takes_the_branch_of_what_is_there():
    template = "{{ if .System }}a{{ else if .Prompt }}b{{ else }}c{{ end }}d"

    assert render(template, system="S", prompt="P") == "ad"
    assert render(template, system="", prompt="P") == "bd"
    assert render(template, system="", prompt="") == "cd"


def test_an_if_may_hold_another():
    template = "{{ if .System }}{{ if .Prompt }}both{{ else }}one{{ end }}!{{ end }}"

    assert render(template, system="S", prompt="P") == "both!"
    assert render(template, system="S", prompt="") == "one!"


def test_a_dash_eats_the_white_space_beside_it():
    assert render("a \n {{- .Prompt -}} \t b", system="", prompt="P") == "aPb"
    assert render("a {{- /* nothing */ -}} b", system="", prompt="") == "ab"


def test_what_is_put_in_is_not_read_again():
    assert render("{{ .Prompt }}", system="", prompt="{{ .System }}") == "{{ .System }}"


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{{ .Prompt", "template: :1: unclosed action"),
        ("{{ if .Prompt }}x", "template: :1: unexpected EOF"),
        ("x{{ end }}", "template: :1: unexpected {{end}}"),
        ("x{{ else }}", "template: :1: unexpected {{else}}"),
        (
            "{{ if .Prompt }}a{{ else }}b{{ else }}c{{ end }}",
            "template: :1: unexpected {{else}}",
        ),
        (
            "{{ range .Messages }}{{ end }}",
            '"template" has {{ range .Messages }}: '
            "only .System, .Prompt, .Response, if, else and end are supported.",
        ),
        (
            "{{ .Tools }}",
            '"template" has {{ .Tools }}: '
            "only .System, .Prompt, .Response, if, else and end are supported.",
        ),
        ("{{ if .Prompt }}" * 200, "template: :1: too many blocks are open"),
    ],
)
def test_what_is_broken_or_unknown_is_refused(template, sentence):
    with pytest.raises(InvalidRequest) as caught:
        render(template, system="S", prompt="P")

    assert str(caught.value) == sentence
    assert caught.value.field == "template"


def test_a_long_broken_template_is_refused_at_once():
    with pytest.raises(InvalidRequest):
        render("{{" * 200_000, system="", prompt="")
