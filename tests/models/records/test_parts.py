import os
from dataclasses import replace
from pathlib import Path

import pytest

from models.chat import Image, KeptFile, Part, Reasoning, Text, ToolCall, ToolResult
from models.records.blobs import Blobs
from models.records.parts import decode, encode

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


EVERY_KIND: tuple[Part, ...] = (
    Reasoning("First I look.\n"),
    Text("Here \u2028 \x00 it is"),
    Image(PNG, "low", name="a cat.png"),
    Image("https://example.org/cat.png"),
    ToolCall("call_1", "look", '{"at": "the \\"cat\\""}'),
    ToolResult("call_1", (Text("a cat"), Image(PNG), Text("!")), name="look", is_error=True),
    ToolResult("", ()),
    Text("Done."),
)


def read(part: Part) -> Part:
    """The same with its pictures read."""
    match part:
        case Image(source=KeptFile() as kept):
            return replace(part, source=kept.read())
        case ToolResult(parts=parts):
            return replace(part, parts=tuple(map(read, parts)))
        case _:
            return part


def test_every_kind_of_part_comes_back_as_it_was(blobs: Blobs) -> None:
    parts = decode(encode(EVERY_KIND, blobs), blobs)

    assert [read(each) for each in parts] == [*EVERY_KIND]
    # Pictures are files until they are wanted.
    assert [type(each.source) for each in parts if isinstance(each, Image)] == [KeptFile, str]
    assert decode(encode(parts, blobs), blobs) == parts


def test_a_picture_is_kept_once_however_often_it_is_said(blobs: Blobs, tmp_path: Path) -> None:
    encode(EVERY_KIND, blobs)

    assert [path.read_bytes() for path in (tmp_path / "blobs").iterdir()] == [PNG]


def test_what_a_newer_program_wrote_is_passed_over_and_the_rest_is_read(blobs: Blobs) -> None:
    rows = [
        (0, None, "text", "Before", None),
        (1, None, "hologram", '{"depth": 3}', None),
        (2, 1, "text", "inside the hologram", None),
        (3, None, "tool_call", '{"id": "a", "function": "renamed"}', None),
        (4, None, "tool_result", "no JSON at all", None),
        (5, None, "text", "After", None),
    ]

    assert decode(rows, blobs) == (Text("Before"), Text("After"))


def test_a_picture_whose_file_is_gone_or_damaged_costs_itself_alone(
    blobs: Blobs, tmp_path: Path
) -> None:
    rows = encode((Text("Look:"), Image(PNG)), blobs)
    file = next((tmp_path / "blobs").iterdir())

    file.write_bytes(b"something else")
    assert decode(rows, blobs) == (Text("Look:"),)
    file.unlink()
    assert decode(rows, blobs) == (Text("Look:"),)


def test_a_blob_that_nothing_refers_to_goes_once_it_is_old(blobs: Blobs, tmp_path: Path) -> None:
    wanted, unwanted, young = (blobs.put(data) for data in (b"wanted", b"unwanted", b"young"))
    for digest in (wanted, unwanted):
        os.utime(tmp_path / "blobs" / digest, (0, 0))

    blobs.sweep({wanted})

    kept = [blobs.find(each) for each in (wanted, unwanted, young)]
    assert [each and each.read() for each in kept] == [b"wanted", None, b"young"]


def test_a_blob_that_is_put_again_is_young_again(blobs: Blobs, tmp_path: Path) -> None:
    digest = blobs.put(b"twice")
    os.utime(tmp_path / "blobs" / digest, (0, 0))

    blobs.put(b"twice")
    blobs.sweep(set())

    assert (kept := blobs.find(digest)) and kept.read() == b"twice"
