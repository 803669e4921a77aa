"""``ingle cache``: what is remembered of prompts, as a person sees and clears it."""

from pathlib import Path

import pytest

from app import cli
from app.settings import Settings
from models.builtin import FOLDER
from models.prompt_entry import HEADER, Note, Owner, PromptKind, Tokens
from models.prompt_folder import PromptFolder
from models.store import Store
from tests.models.test_store import gguf_file


def remember(home: Path, name: str, digest: str, *, first_token: int = 1) -> Path:
    folder = PromptFolder(home)
    folder.prepare()
    tokens = Tokens.of(range(first_token, first_token + 300))
    entry = folder.add(
        Owner(engine="llama", model=digest, name=name, form={}),
        Note(kind=PromptKind.TURN, tokens=tokens, cuttable=True, file="slot.bin"),
        lambda path: path.write_bytes(bytes(50_000)),
        lambda: False,
    )
    assert entry
    return entry.folder


def ingle(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    capsys.readouterr()
    assert cli.main(arguments) == 0
    return capsys.readouterr().out.splitlines()


def test_what_is_remembered_is_shown_by_model_with_the_room_it_may_take(
    inglenook_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remember(inglenook_home, "one", "1" * 64)
    remember(inglenook_home, "two", "2" * 64)
    remember(inglenook_home, "two", "2" * 64, first_token=500)
    broken = remember(inglenook_home, "three", "3" * 64)
    (broken / HEADER).write_bytes(b"")
    Settings(disk_cache_bytes=10**9).save(inglenook_home, ["disk_cache_bytes"])

    heading, *rows, empty, last = ingle(capsys, "cache")

    assert heading.split() == ["MODEL", "PROMPTS", "SIZE"]
    assert [row.split()[:2] for row in rows] == [["two", "2"], ["one", "1"], ["(damaged)", "1"]]
    assert empty == ""
    assert " kB of 1.0 GB, by 'ingle settings disk_cache_bytes', in " in last
    assert last.endswith(str(PromptFolder(inglenook_home).path))


def test_where_nothing_is_remembered_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = ingle(capsys, "cache")

    assert line.startswith("0 bytes of ")


def test_it_is_cleared_by_model_and_as_a_whole(
    inglenook_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pocket = Store(inglenook_home, builtin=FOLDER).find("pocket")
    remember(inglenook_home, "Another name of it", pocket.digest)
    remember(inglenook_home, "gone", "1" * 64)
    remember(inglenook_home, "two", "2" * 64)
    remember(inglenook_home, "two", "2" * 64, first_token=500)

    def told(*arguments: str) -> str:
        (line,) = ingle(capsys, "cache", *arguments)
        return line.partition(",")[0]

    assert told("clear", "pocket") == "Forgot 1 prompt"
    assert told("clear", "Gone") == "Forgot 1 prompt"
    assert told("clear", "gone") == "Forgot 0 prompts"
    assert told("clear") == "Forgot 2 prompts"
    assert list(PromptFolder(inglenook_home).path.iterdir()) == []


def test_removing_a_model_forgets_its_prompts_unless_another_name_has_it(
    inglenook_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(inglenook_home, builtin=None)
    model = store.import_path(gguf_file(tmp_path, "mine.gguf"), "mine")
    store.copy("mine", "other")
    builtin = Store(inglenook_home, builtin=FOLDER).find("pocket")
    own = remember(inglenook_home, "mine", model.digest)
    others = remember(inglenook_home, "pocket", builtin.digest)

    ingle(capsys, "rm", "mine")
    assert own.exists()

    ingle(capsys, "rm", "other")
    assert not own.exists()
    assert others.exists()


def test_a_wrong_word_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["cache", "empty"])

    assert ended.value.code == 2
