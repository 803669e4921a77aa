from pathlib import Path

import pytest

from app import words
from models.errors import ModelNotFound


@pytest.mark.parametrize(
    ("size_bytes", "said"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (250_000, "250 kB"),
        (2_028_441, "2.0 MB"),
        (65e9, "65.0 GB"),
        (4.2e12, "4.2 TB"),
        (9e15, "9000 TB"),
    ],
)
def test_sizes_are_said_as_disks_are_sold(size_bytes: float, said: str) -> None:
    assert words.size(size_bytes) == said


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("127.0.0.1", "127.0.0.1:11434"),
        ("0.0.0.0", "127.0.0.1:11434"),
        ("::", "[::1]:11434"),
        ("::1", "[::1]:11434"),
        ("box.lan", "box.lan:11434"),
    ],
)
def test_a_server_is_reached_where_it_listens(host: str, said: str) -> None:
    assert words.own_address(host, 11434) == said


def test_an_address_says_who_may_come() -> None:
    assert words.address("0.0.0.0", 1) == "0.0.0.0:1"
    assert words.address("::", 1) == "[::]:1"


def test_what_goes_wrong_is_a_sentence_and_a_bug_is_none(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    try:
        missing.read_bytes()
    except OSError as error:
        assert words.sentence(error) == f"{missing}: No such file or directory."
    try:
        (tmp_path / "b\udce9").name.encode()
    except UnicodeError as error:
        assert words.sentence(error) == (
            "A name here is not UTF-8: rename the file or folder, or choose another."
        )
    assert words.sentence(OSError("Odd.")) == "Odd."
    assert words.sentence(OSError(5, "Input/output error")) == "Input/output error."
    assert "'x' is not on this computer" in (words.sentence(ModelNotFound("x")) or "")
    assert words.sentence(KeyError("x")) is None
    assert words.sentence(UnicodeEncodeError("ascii", "é", 0, 1, "not ASCII")) is None
