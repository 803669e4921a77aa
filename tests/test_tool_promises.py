"""What README.md says of tools: questions of a public leaderboard are answered as it promises."""

import re
from collections.abc import Iterator

import openai
import pytest

from app.services import api_server, open_everything
from benchmarks.tool_calls import GREEDY, SAMPLING, ask, choice_for
from benchmarks.tool_questions import FOLDER, IRRELEVANCE, SETS, tool_questions
from models.engine.installed import has_mlx
from models.model_family import family_of
from tests.conftest import REPOSITORY, TESTDATA

# Questions of each set; benchmarks/tool_calls.py asks fifty.
COUNTS = {"MLX": 1, "llama.cpp": 4}
MODELS = {"MLX": "pocket:mlx", "llama.cpp": "pocket:latest"}
NO_TOOLS = ("DeepSeek-V3.1", "R1-Distill", "llama-cpp-deepseek-r1")  # in their templates


def promises() -> dict[str, str]:
    """Return what README's row on tools says of each engine."""
    lines = (REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()
    (head,) = (line for line in lines if line.startswith("| | MLX |"))
    (row,) = (line for line in lines if line.startswith("| Tools and reasoning"))
    _, *engines = (cell.strip() for cell in head.strip("|").split("|"))
    promise, *cells = (cell.strip() for cell in row.strip("|").split("|"))
    assert promise.endswith(
        "called as the request allows, arguments to the letter of their schemas"
    )
    return dict(zip(engines, cells, strict=True))


def families() -> Iterator[tuple[list[str], str]]:
    """Yield the names in each row of the table that it points at, and how they were tested."""
    text = (REPOSITORY / "docs/decisions/tools.md").read_text(encoding="utf-8")
    _, _, table = text.partition("| family | a call |")
    rows, _, _ = table.partition("\n\n")
    for row in rows.splitlines()[2:]:
        name, *_, tested = (cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip("|")))
        yield re.findall(r"[A-Z][A-Za-z]{2,}|gpt-oss", name), tested


def test_the_row_says_the_same_of_both_engines_and_where_the_families_are() -> None:
    assert promises() == {
        "MLX": "most families: [which](docs/decisions/tools.md)",
        "llama.cpp": "the same",
    }


@pytest.mark.skipif(not TESTDATA.is_dir(), reason="no chat templates here")
def test_each_family_that_it_leads_to_has_its_template_here() -> None:
    sources = {
        path.stem: path.read_text(encoding="utf-8")
        for path in (TESTDATA / "chat-templates").glob("*.jinja")
    }
    called = {name for name, source in sources.items() if family_of(source).calls}
    table = list(families())

    for names, tested in table:
        if "template" in tested:
            assert any(word.lower() in stem.lower() for word in names for stem in called), names
    known = [word.lower() for names, _ in table for word in names]
    for stem in called:
        if not any(each in stem for each in NO_TOOLS):
            assert any(word in stem.lower() for word in known), stem


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> None:
    """The server and the engines outlive a test: the fixture below ends them."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    with open_everything(tmp_path_factory.mktemp("home")) as services:
        server = api_server(services, "127.0.0.1", [0])
        server.start()
        url = f"http://127.0.0.1:{server.ports[0]}/v1"
        with openai.OpenAI(base_url=url, api_key="none") as client:
            yield client
        server.stop()


@pytest.mark.skipif(not FOLDER.is_dir(), reason="no questions here: set INGLENOOK_TESTDATA")
@pytest.mark.parametrize("engine", promises())
@pytest.mark.parametrize("kind", SETS)
def test_calls_are_as_the_request_allows_to_the_letter(
    client: openai.OpenAI, engine: str, kind: str
) -> None:
    if engine == "MLX" and not has_mlx():
        pytest.skip("MLX is not installed here")
    first = list(SETS).index(kind)  # so that one of the sets has a tool by its name
    for place, question in enumerate(tool_questions(kind, COUNTS[engine]), first):
        choice = choice_for(question, place)
        drawn = GREEDY if kind == IRRELEVANCE else SAMPLING

        outcome = ask(client, MODELS[engine], question, choice, {**drawn, "seed": place})

        assert outcome.fault == "", question.id
