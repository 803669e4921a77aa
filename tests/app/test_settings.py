import json
import math
import threading
from dataclasses import fields
from pathlib import Path

import pytest

from app.settings import TABLE, Settings, SettingsFile
from models import atomic


def test_what_was_set_is_there_the_next_time(tmp_path: Path) -> None:
    settings = SettingsFile(tmp_path)
    settings.change(theme="dark", ports=(1234, 11434), model="org/model:Q8_0")
    settings.close()

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
        {"keep_alive_seconds": 10**400},
        {"allowed_hosts": ["fine.lan", "a/b"]},
        {"allowed_hosts": "mybox.lan"},
        {"picture_hosts": ["nas.lan", 5]},
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

    settings.close()
    assert settings.value.theme == "dark"


def test_a_broken_file_that_cannot_be_set_aside_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings.json").write_text("{")
    (tmp_path / "settings.json.broken").mkdir()  # in the way: os.replace raises

    assert Settings.load(tmp_path) == Settings()


def test_the_table_has_every_setting_with_words_and_a_default_of_its_kind() -> None:
    assert list(TABLE) == [field.name for field in fields(Settings)]
    for about in TABLE.values():
        kind = about.kind
        for value in (about.default, *(value for _words, value in about.choices)):
            assert kind.read(json.loads(json.dumps(kind.write(value)))) == value
            if value != "":
                assert kind.parse(kind.show(value)) == value
        assert about.explanation.endswith(".")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("keep_alive_seconds", 300.0, "300 seconds"),
        ("keep_alive_seconds", math.inf, "forever"),
        ("context_length", 8192, "8192 tokens"),
        ("context_length", None, "auto"),
        ("ports", (1234, 8080), "1234, 8080"),
        ("allowed_hosts", (), "none"),
        ("disk_cache_bytes", 2_500_000_000, "2500 MB"),
        ("disk_cache_bytes", 0, "off"),
    ],
)
def test_only_a_number_is_told_with_its_unit(key: str, value: object, words: str) -> None:
    assert TABLE[key].words(value) == words


@pytest.mark.parametrize(
    ("key", "typed", "value"),
    [
        ("keep_alive_seconds", "90", 90.0),
        ("keep_alive_seconds", "5m", 300.0),
        ("keep_alive_seconds", "forever", math.inf),
        ("keep_alive_seconds", "soon", None),
        ("keep_alive_seconds", "-5", None),
        ("context_length", "8,192", 8192),
        ("context_length", "much", None),
        ("ports", "11434, 8080 11434", (11434, 8080)),
        ("ports", "11434, none", None),
        ("ports", "", None),
        ("allowed_hosts", "mybox.lan, X.ts.net", ("mybox.lan", "x.ts.net")),
        ("allowed_hosts", "", ()),
        ("allowed_hosts", "http://mybox.lan/", None),
        ("picture_hosts", "NAS.lan, 192.168.1.0/24 ::1", ("nas.lan", "192.168.1.0/24", "::1")),
        ("picture_hosts", "192.168.1.0/33", None),
        ("picture_hosts", "http://nas.lan", None),
        ("disk_cache_bytes", "5GB", 5 * 10**9),
        ("disk_cache_bytes", "1.5 gb", 1_500_000_000),
        ("disk_cache_bytes", "100", 100),
        ("disk_cache_bytes", "Off", 0),
        ("disk_cache_bytes", "5 G", None),
        ("disk_cache_bytes", "-1", None),
        ("api_enabled", "off", False),
        ("api_enabled", "perhaps", None),
        ("theme", "Dark", "dark"),
        ("theme", "purple", None),
        ("host", " ", None),
    ],
)
def test_what_is_typed_is_understood_or_refused_with_a_sentence(
    key: str, typed: str, value: object
) -> None:
    kind = TABLE[key].kind
    if value is not None:
        assert kind.parse(typed) == value
        return
    with pytest.raises(ValueError, match=r"^[A-Z].*\.$"):
        kind.parse(typed)


def test_a_change_leaves_alone_what_it_is_not_about(tmp_path: Path) -> None:
    """What a newer version wrote, and what the command wrote while the window was open."""
    settings = SettingsFile(tmp_path)
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"from_a_newer_version": [1, 2], "ports": [8080]}))

    settings.change(theme="dark")
    settings.close()

    saved = json.loads(path.read_text())
    assert saved["from_a_newer_version"] == [1, 2]
    assert Settings.load(tmp_path) == Settings(theme="dark", ports=(8080,))


def test_whoever_watches_hears_what_was_and_what_is_and_only_of_changes(tmp_path: Path) -> None:
    settings = SettingsFile(tmp_path)
    heard: list[tuple[str, str]] = []
    settings.watch(lambda was, now: heard.append((was.theme, now.theme)))

    settings.change(theme="dark")
    settings.change(theme="dark")
    settings.close()

    assert heard == [("system", "dark")]


def test_a_change_does_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    write = atomic.write

    def slow(path: Path, data: bytes) -> None:
        let_go.wait(10)
        write(path, data)

    monkeypatch.setattr(atomic, "write", slow)
    settings = SettingsFile(tmp_path)

    settings.change(theme="dark")
    assert settings.value.theme == "dark"
    assert not (tmp_path / "settings.json").exists()
    let_go.set()
    settings.close()

    assert Settings.load(tmp_path).theme == "dark"


def test_what_another_program_wrote_is_taken_up_and_a_newer_change_stays(tmp_path: Path) -> None:
    settings = SettingsFile(tmp_path)
    heard: list[str] = []
    settings.watch(lambda _was, now: heard.append(now.theme))
    Settings(theme="dark").save(tmp_path, ["theme"])

    settings.take(settings.reread().result())
    assert heard == ["dark"]

    early = settings.reread().result()
    settings.change(theme="light")
    settings.take(early)
    settings.take(settings.reread().result())
    settings.close()

    assert settings.value.theme == "light"
    assert heard == ["dark", "light"]


def test_a_file_that_is_being_edited_changes_nothing_and_stays_where_it_is(tmp_path: Path) -> None:
    settings = SettingsFile(tmp_path)
    settings.change(theme="dark")
    settings.reread().result()
    (tmp_path / "settings.json").write_text('{"theme": "li')

    settings.take(settings.reread().result())
    settings.close()

    assert settings.value.theme == "dark"
    assert (tmp_path / "settings.json").read_text() == '{"theme": "li'
