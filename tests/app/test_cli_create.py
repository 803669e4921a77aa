"""``ingle create``: by the Modelfiles that people have, and by those that we write."""

from pathlib import Path

import pytest

from app import cli
from models.builtin import FOLDER
from models.model import Adapter, Kind, Profile, Said
from models.store import Store
from tests import adapters
from tests.models.test_store import gguf_file

MODELFILE = """FROM pocket
# a longer context
PARAMETER num_ctx 1024
PARAMETER temperature 0.5
PARAMETER stop "<end>"
PARAMETER mirostat 1
TEMPLATE \"\"\"{{ .System }}
{{ .Prompt }}\"\"\"
SYSTEM You are a cat.
MESSAGE user hi
MESSAGE assistant Meow.
LICENSE MIT
"""
PROFILE = Profile(
    context_length=1024,
    sampling={"temperature": 0.5},
    stop=("<end>",),
    template="{{ .System }}\n{{ .Prompt }}",
    system="You are a cat.",
    messages=(Said("user", "hi"), Said("assistant", "Meow.")),
    license=("MIT",),
)


@pytest.fixture
def store(inglenook_home: Path) -> Store:
    return Store(inglenook_home, builtin=FOLDER)


def write(folder: Path, text: str) -> str:
    path = folder / "Modelfile"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_modelfile_makes_a_model(
    tmp_path: Path, store: Store, capsys: pytest.CaptureFixture[str]
):
    assert cli.main(["create", "cat", "-f", write(tmp_path, MODELFILE)]) == 0

    said = capsys.readouterr()
    assert said.out.splitlines()[-2:] == ["success", "Made cat:latest."]
    assert said.err == "ingle: PARAMETER mirostat has no effect here.\n"
    assert store.find("cat").profile == PROFILE


def test_what_show_writes_makes_the_same_again(
    tmp_path: Path, store: Store, capsys: pytest.CaptureFixture[str]
):
    cli.main(["create", "cat", "-f", write(tmp_path, MODELFILE)])
    capsys.readouterr()
    assert cli.main(["show", "cat", "--modelfile"]) == 0
    shown = capsys.readouterr().out

    assert cli.main(["create", "again", "-f", write(tmp_path, shown)]) == 0

    again, cat = store.find("again"), store.find("cat")
    assert (again.profile, again.files, again.digest) == (cat.profile, cat.files, cat.digest)


def test_the_modelfile_of_this_folder_is_the_usual_one(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
):
    write(tmp_path, "FROM pocket\nSYSTEM S\n")
    monkeypatch.chdir(tmp_path)

    assert cli.main(["create", "cat"]) == 0
    assert store.find("cat").profile.system == "S"


def test_files_are_found_beside_the_modelfile_and_stay_there(tmp_path: Path, store: Store):
    path = gguf_file(tmp_path)
    adapters.write_gguf(tmp_path / "a.gguf")

    assert (
        cli.main(["create", "m", "-f", write(tmp_path, "FROM ./model.gguf\nADAPTER a.gguf@0.5\n")])
        == 0
    )

    model = store.find("m")
    assert (model.path, model.kind) == (path, Kind.LLAMA)
    assert model.profile.adapters == (Adapter(tmp_path / "a.gguf", 0.5),)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("SYSTEM x\n", "no FROM line"),
        ("FROM pocket\nPARAMETER temperature hot\n", 'parameter "temperature" must be a number'),
        ("FROM pocket\nTEMPLATE {{ .Prompt\n", "template error: template: :1: unclosed action"),
        ("FROM nothere\n", "Model 'nothere' is not on this computer."),
        ("FROM a\nFROM b\n", "there are several FROM lines"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, sentence: str
):
    assert cli.main(["create", "cat", "-f", write(tmp_path, text)]) == 1

    assert sentence in capsys.readouterr().err


def test_a_modelfile_that_is_not_there(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["create", "cat", "-f", "/nothing/here"]) == 1

    assert capsys.readouterr().err.startswith("ingle: /nothing/here cannot be read: ")
