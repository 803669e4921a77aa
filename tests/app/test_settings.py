import json
import math
from pathlib import Path

import pytest

from app.settings import Settings, SettingsFile


def test_what_was_set_is_there_the_next_time(tmp_path: Path) -> None:
    SettingsFile(tmp_path).change(theme="dark", ports=(1234, 11434), model="org/model:Q8_0")

    assert Settings.load(tmp_path) == Settings(
        theme="dark", ports=(1234, 11434), model="org/model:Q8_0"
    )


def test_for_ever_survives_json(tmp_path: Path) -> None:
    Settings(keep_alive_seconds=math.inf).save(tmp_path)

    json.loads(
        (tmp_path / "settings.json").read_text(),
        parse_constant=lambda word: pytest.fail(f"{word} is not JSON"),
    )
    assert Settings.load(tmp_path).keep_alive_seconds == math.inf


def test_without_a_file_there_are_defaults_and_still_no_file(tmp_path: Path) -> None:
    assert Settings.load(tmp_path / "nothing") == Settings()
    assert not (tmp_path / "nothing").exists()


def test_a_broken_file_is_kept_aside(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"theme": "dar')

    assert Settings.load(tmp_path) == Settings()
    assert (tmp_path / "settings.json.broken").read_text() == '{"theme": "dar'


@pytest.mark.parametrize(
    "wrong",
    [
        {"ports": "11434"},
        {"ports": [0, 70000, True]},
        {"api_enabled": 1},
        {"theme": "purple"},
        {"context_length": -1},
        {"keep_alive_seconds": "5m"},
        {"host": ""},
        {"from_a_newer_version": [1, 2]},
    ],
)
def test_a_wrong_value_costs_itself_alone(tmp_path: Path, wrong: dict[str, object]) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({"model": "kept", **wrong}))

    assert Settings.load(tmp_path) == Settings(model="kept")


def test_a_disk_that_takes_nothing_does_not_stop_the_program(tmp_path: Path) -> None:
    in_the_way = tmp_path / "a file"
    in_the_way.write_text("")
    settings = SettingsFile(in_the_way / "home")

    settings.change(theme="dark")

    assert settings.value.theme == "dark"
