"""``ingle key``, and what the other commands do with a key."""

import re

import pytest

from app import cli
from tests.app.test_cli import posix, started
from tests.conftest import free_port


def test_a_key_is_shown_once_listed_by_its_name_and_removed(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["key", "add", "laptop"]) == 0
    token = capsys.readouterr().out.strip()
    assert re.fullmatch(r"ingle-[\w-]{43}", token)

    assert cli.main(["key", "list"]) == 0
    listed = capsys.readouterr().out
    assert "laptop" in listed and token not in listed

    assert cli.main(["key", "rm", "laptop"]) == 0
    assert cli.main(["key", "rm", "laptop"]) == 1
    assert "There is no key named 'laptop'" in capsys.readouterr().err


@posix
def test_a_server_for_other_computers_needs_a_key_and_the_command_sends_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    port = str(free_port())
    with started("serve", "--host", "0.0.0.0", "--port", port) as process:
        assert process.stdout
        assert "answers on" in process.stdout.readline()
        assert "'ingle key add NAME'" in process.stdout.readline()

        assert cli.main(["ps", "--port", port]) == 1
        assert "INGLENOOK_API_KEY" in capsys.readouterr().err

        assert cli.main(["key", "add", "terminal"]) == 0
        monkeypatch.setenv("INGLENOOK_API_KEY", capsys.readouterr().out.strip())
        assert cli.main(["ps", "--port", port]) == 0
