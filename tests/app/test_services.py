import json
import math
import resource
import sys
from pathlib import Path

import pytest

from app import services as made
from app.services import Services, open_everything
from models.chat import GenerateRequest, LoadRequest, Origin, SamplingParams, UnloadRequest
from models.events import Finished
from models.resident import Resident
from tests.listener import Listener

GREEDY = SamplingParams(temperature=0.0)


def load(services: Services) -> Resident:
    """Load the model anew, and see how."""
    for request in (UnloadRequest(model="pocket"), LoadRequest(model="pocket")):
        heard = Listener()
        services.residency.submit(request, heard, origin=Origin("command"))
        heard.end()
    (resident,) = services.residency.residents()
    return resident


def test_as_many_files_may_be_open_as_the_system_allows(inglenook_home: Path) -> None:
    now, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, highest))  # as a Mac has it
    try:
        with open_everything(inglenook_home):
            allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (now, highest))

    assert allowed == (min(10_240, highest), highest)


def test_a_setting_that_changes_holds_for_the_next_model_that_is_loaded(
    inglenook_home: Path,
) -> None:
    with open_everything(inglenook_home) as services:
        services.settings.change(context_length=512, keep_alive_seconds=math.inf)
        first = load(services)
        services.settings.change(context_length=1024, keep_alive_seconds=300.0)
        second = load(services)

    assert (first.context_length, second.context_length) == (512, 1024)
    assert first.expires_at is None
    assert second.expires_at is not None


def test_what_was_set_is_in_force_at_the_next_start(inglenook_home: Path) -> None:
    with open_everything(inglenook_home) as services:
        services.settings.change(context_length=512)

    with open_everything(inglenook_home) as services:
        assert load(services).context_length == 512


def test_what_was_read_before_the_program_ended_is_not_read_again(inglenook_home: Path) -> None:
    request = GenerateRequest(
        model="pocket", prompt="One and one more. " * 80, max_tokens=4, sampling=GREEDY
    )
    answers: list[tuple[str, int, int]] = []
    for _ in range(2):
        with open_everything(inglenook_home) as services:
            heard = Listener()
            services.residency.submit(request, heard, origin=Origin("command"))
            ended = heard.end()
            assert isinstance(ended, Finished)
            counts = ended.usage
            answers.append((heard.text, counts.prompt_tokens, counts.cached_tokens))

    (cold, length, _), (again, _, cached) = answers
    assert again == cold
    assert cached >= length - 1
    assert answers[0][2] == 0


def test_every_process_is_started_by_the_one_command(
    inglenook_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "started"
    note_and_run = (
        "import runpy, sys; from pathlib import Path; sys.argv.pop(0)\n"
        f"open({json.dumps(str(log))}, 'a').write(Path(sys.argv[0]).name + ' ')\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = (sys.executable, "-I", "-c", note_and_run)
    monkeypatch.setattr(made, "worker_command", lambda: command)

    with open_everything(inglenook_home) as services:
        services.residency.count_tokens(GenerateRequest(model="pocket", prompt="Hello"))
        load(services)

    assert log.read_text().split() == ["llama_worker.py"] * 2
