"""Modelfiles are read as Ollama reads them, and written so that they make the same again."""

from dataclasses import replace
from pathlib import Path

import pytest

from models import modelfile, parameters
from models.errors import InvalidRequest
from models.model import Adapter, Profile, Said
from tests.fakes import a_model


def test_every_command():
    found = modelfile.parse(
        b"""# a comment
from llama3.2:3b
PARAMETER temperature 0.5
Parameter stop "<end of it>"
PARAMETER\tstop\tzzz
PARAMETER num_ctx 4096

SYSTEM \"\"\"
You are a "cat".
# this is no comment
\"\"\"
TEMPLATE "{{ .Prompt }}
A:"
MESSAGE user hi there
MESSAGE assistant \"\"\"Meow.\"\"\"
LICENSE MIT
LICENSE  none other
ADAPTER ./a.gguf
RENDERER qwen3
"""
    )

    assert found.bases == ["llama3.2:3b"]
    assert found.parameters == {
        "temperature": ["0.5"],
        "stop": ["<end of it>", "zzz"],
        "num_ctx": ["4096"],
    }
    assert found.system == '\nYou are a "cat".\n# this is no comment\n'
    assert found.template == "{{ .Prompt }}\nA:"
    assert found.messages == [Said("user", "hi there"), Said("assistant", "Meow.")]
    assert found.licenses == ["MIT", "none other"]
    assert found.adapters == ["./a.gguf"]
    assert found.without_effect == ["RENDERER qwen3"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_editors_of_windows_write(encoding: str):
    found = modelfile.parse("FROM m\r\nSYSTEM Grüße\r\n".encode(encoding))

    assert (found.bases, found.system) == (["m"], "Grüße")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"SYSTEM hi\n", "no FROM line"),
        (b"", "no FROM line"),
        (b"FROM m\nWONDER x\n", "(line 2): command must be one of "),
        (b'FROM m\nSYSTEM """hi\n', "(line 2): a quotation does not end"),
        (b"FROM m\nPARAMETER stop\n", "(line 2): a value is missing"),
        (b"FROM m\nMESSAGE robot hi\n", "message role must be one of "),
        (b"FROM \xff\n", "The Modelfile is no text in UTF-8 or UTF-16."),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: bytes, sentence: str):
    with pytest.raises(InvalidRequest) as caught:
        modelfile.parse(text)

    assert str(caught.value).startswith(sentence)


PROFILE = Profile(
    context_length=4096,
    max_tokens=9,
    stop=("<end>", "a b", '"'),
    sampling={"temperature": 0.5, "seed": 7},
    template='{{ if .System }}"{{ .System }}"\n{{ end }}{{ .Prompt }}',
    system=" two\nlines ",
    messages=(Said("user", "hi"), Said("assistant", 'He said "no".\nAnd "yes"')),
    adapters=(Adapter(Path("/a b/c.gguf"), 0.5),),
    license=("MIT", "# of its own\n"),
)


def test_what_is_written_makes_the_same_again():
    model = replace(a_model("mine"), profile=PROFILE)

    found = modelfile.parse(modelfile.written(model).encode())

    assert found.bases == ["mine:latest"]
    assert parameters.apply(Profile(), found.parameters) == (
        Profile(context_length=4096, max_tokens=9, stop=PROFILE.stop, sampling=PROFILE.sampling),
        (),
    )
    assert (found.template, found.system) == (PROFILE.template, PROFILE.system)
    assert tuple(found.messages) == PROFILE.messages
    assert tuple(found.licenses) == PROFILE.license
    assert found.adapters == ["/a b/c.gguf@0.5"]


class TestParameters:
    def test_numbers_and_texts_of_numbers_are_the_same(self):
        as_json = {"temperature": 0, "num_ctx": 1024, "stop": ["a", "b"], "top_k": 4.0}
        as_text = {"temperature": ["0"], "num_ctx": ["1024"], "stop": ["a", "b"], "top_k": "4"}

        assert parameters.apply(Profile(), as_json) == parameters.apply(Profile(), as_text)

    def test_what_is_unknown_is_named_and_the_rest_of_the_profile_stays(self):
        before = Profile(system="S", sampling={"seed": 1})

        found, unknown = parameters.apply(before, {"num_gpu": 99, "temperature": 1})

        assert found == replace(before, sampling={"seed": 1, "temperature": 1})
        assert unknown == ("num_gpu",)

    def test_no_limit_is_none(self):
        found, _ = parameters.apply(Profile(max_tokens=4), {"num_predict": -1, "num_ctx": 0})

        assert (found.max_tokens, found.context_length) == (None, None)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("temperature", "hot"),
            ("temperature", True),
            ("temperature", "nan"),
            ("temperature", -1),
            ("top_p", 2),
            ("num_ctx", "many"),
            ("num_ctx", "1e300"),
            ("num_ctx", "inf"),
            ("num_predict", {}),
            ("seed", []),
            ("stop", 5),
            ("stop", ["a", 5]),
            ("stop", ["x"] * 100),
        ],
    )
    def test_a_value_that_will_not_do_is_refused(self, name: str, value: object):
        with pytest.raises(InvalidRequest, match=f'parameter "{name}" must be'):
            parameters.apply(Profile(), {name: value})
