"""Pictures that are named by their paths in what is asked of ``ingle run``."""

import sys
from pathlib import Path

import pytest

from app.commands.pictures import Asked, taken_from
from app.commands.run import Conversation, Question
from models.chat import Image, Message, SamplingParams, Text
from models.images import MOST_BYTES
from tests.fakes import ScriptedBackend, scripted_residency

posix = pytest.mark.skipif(sys.platform == "win32", reason="a backslash is a separator there")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.png", "my photo.JPG", "b.webp", "it's.png", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def image(name: str) -> Image:
    return Image(name.encode(), name=name)


@pytest.mark.parametrize(
    ("typed", "text", "names"),
    [
        ("What is on {}/a.png?", "What is on?", ["a.png"]),
        ("{}/a.png", "", ["a.png"]),
        ("./a.png what is that", "what is that", ["a.png"]),
        ("What is '{}/my photo.JPG' of?", "What is of?", ["my photo.JPG"]),
        ('Read "./my photo.JPG".', "Read.", ["my photo.JPG"]),
        ("{}/my photo.JPG and ./b.webp, which?", "and, which?", ["my photo.JPG", "b.webp"]),
        ("file://{}/a.png", "", ["a.png"]),
        ("~/a.png ~/a.png twice", "twice", ["a.png", "a.png"]),
        ("Line one\n{}/a.png\nline two", "Line one line two", ["a.png"]),
    ],
)
def test_a_path_becomes_its_picture(folder: Path, typed: str, text: str, names: list[str]):
    asked = taken_from(typed.format(folder))

    assert asked == Asked(text, tuple(map(image, names)))


@posix
@pytest.mark.parametrize(
    ("typed", "name"), [(r"./my\ photo.JPG ", "my photo.JPG"), (r"./it\'s.png", "it's.png")]
)
def test_a_path_that_was_dropped_on_a_terminal_is_known(folder: Path, typed: str, name: str):
    assert taken_from(f"{typed} What is it?") == Asked("What is it?", (image(name),))


@pytest.mark.parametrize(
    "text",
    [
        "Is a.png a good name?",  # there is one, but that is what is talked about
        "./nothing.png",
        "./notes.txt",
        "either/or ./a.pngs",
        "https://example.org/a.png",
        "./" + "x" * 5000 + ".png",
        "./\0.png",
        "~nobody-here/a.png",
        "/" * 300 + ".png" * 300,
    ],
)
def test_what_is_no_picture_stays_text(folder: Path, text: str):
    assert taken_from(text) == Asked(text)


def test_no_more_of_a_huge_file_is_read_than_tells_that_it_is_too_large(folder: Path):
    with (folder / "huge.png").open("wb") as file:
        file.truncate(MOST_BYTES * 4)

    (huge,) = taken_from("./huge.png").images

    assert isinstance(huge.source, bytes)
    assert len(huge.source) == MOST_BYTES + 1


QUESTION = Question(model="scripted", system=None, sampling=SamplingParams(), max_tokens=None)


def asked_of(conversation: Conversation, text: str, piped: str = "") -> Message:
    return conversation._asked(text, piped)


def test_a_model_that_sees_is_shown_it_and_one_that_does_not_is_told_the_path(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    residency = scripted_residency(ScriptedBackend())
    sees = Conversation(residency, QUESTION, sees=True)
    blind = Conversation(residency, QUESTION)

    shown = asked_of(sees, "./a.png What is it?", "See ./b.webp")
    told = asked_of(blind, "./a.png What is it?")
    alone = asked_of(sees, "./a.png")
    residency.close()

    assert shown.parts == (image("a.png"), Text("What is it?\n\nSee ./b.webp"))
    assert told.parts == (Text("./a.png What is it?"),)
    assert alone.parts == (image("a.png"),)
    assert capsys.readouterr().err.splitlines() == [
        "ingle: a.png is shown to the model.",
        "ingle: scripted does not see pictures: it is told the path alone.",
        "ingle: a.png is shown to the model.",
    ]
