"""The requests of the five documents, cut out of their text: only what the print lost is put back.

What it lost: a file browser put a bar behind every line of one, another is a single line, and
one has lines that are commented out. The documents are described in their folder's README.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import TESTDATA

FOLDER = TESTDATA.parent / "reference/documents"

MAY_2024 = "ollama-openai-2024-05"
LATE_2024 = "ollama-openai-2024-late"
BLOG = "ollama-blog-2024-02"
QWEN_VL = "qwen-vl-server"
KTRANSFORMERS = "ktransformers-api"

_FENCE = re.compile(r"```[ ]?(python|javascript|shell|modelfile)?\s(.*?)```", re.DOTALL)
_HEADING_OR_BOX = re.compile(r"### `(/v1/[^`]+)`|- \[[x ]\] (.+?)(?= - \[|\s#|\s*\n|\s*$)")
_HEADING_OR_FIELD = re.compile(r"### `(/v1/[^`]+)`|- \[([ x])\] `(\w+)`")


@dataclass(frozen=True)
class Program:
    """One that the print has whole: what it begins with, and its requests by the names it gives
    their answers."""

    document: str
    prelude: str
    requests: dict[str, str]

    def __str__(self) -> str:
        return self.document


def is_vision(request: str) -> bool:
    return "image_url" in request


def lost_its_picture(request: str) -> bool:
    """Whether the print has an empty string where a picture was."""
    return re.search(r'(image_url|url)"?: ""', request) is not None


def with_picture(request: str, address: str) -> str:
    """Return the request with this picture for the one that it lost, or has on the web."""
    return re.sub(r'((?:image_url|url)"?: )"[^"]*"', rf'\1"{address}"', request)


def text_of(document: str) -> str:
    text = (FOLDER / f"{document}.txt").read_text(encoding="utf-8")
    if document == MAY_2024:
        text = "\n".join(line for line in text.splitlines() if line != "|")
    if document == LATE_2024:
        text = re.sub(r"(?<!const) (?=(?:const )?\w+ = )", "\n", text)
        text = re.sub(r"((?:#|//) required but ignored) ", r"\1\n", text)
        text = re.sub(r" \\ (?=-)", " \\\\\n", text)
        text = re.sub(r" (?=curl http)|(?<=\}') (?=```)| (?=PARAMETER )", "\n", text)
    if document == QWEN_VL:
        # In code alone: elsewhere such a line is a heading.
        text = _FENCE.sub(lambda code: re.sub(r"^(#|//) ?", "", code[0], flags=re.M), text)
    return text


def fenced(document: str, language: str) -> str:
    """Return all code of this language, in its order."""
    return "\n".join(code for kind, code in _FENCE.findall(text_of(document)) if kind == language)


def curls(document: str) -> list[str]:
    """Return each curl command, as a shell takes it."""
    found: list[str] = []
    command = ""
    for line in text_of(document).splitlines():
        if not command and not line.startswith("curl "):
            continue
        command += line + "\n"
        open_quote = (command.count("'") - command.count("\\'")) % 2
        if not open_quote and not line.endswith("\\"):
            found.append(command.strip())
            command = ""
    return found


def python_program(document: str) -> Program:
    code = (
        _between("OpenAI Python library\n", "OpenAI JavaScript library\n")
        if document == BLOG
        else fenced(document, "python")
    )
    prelude: list[str] = []
    requests: dict[str, str] = {}
    for statement in ast.parse(code).body:
        source = ast.get_source_segment(code, statement) or ""
        match statement:
            case ast.Assign(targets=[ast.Name(name)]) if "client." in source:
                requests[name] = source
            case _:
                prelude.append(source)
    ours = [each for each in prelude if not each.startswith("print")]
    return Program(document, "\n".join(ours), requests)


def javascript_program(document: str) -> Program:
    code = (
        _between("OpenAI JavaScript library\n", "Examples\n")
        if document == BLOG
        else fenced(document, "javascript")
    )
    return _javascript(document, code)


def next_js_route() -> Program:
    """The edit of an example that is not in the document: ``messages`` is that example's own."""
    return _javascript(BLOG, _between("to use Ollama:\n", "Next, run the app:\n"))


def ollama_commands(document: str) -> list[str]:
    return re.findall(r"ollama (?:pull|cp|create) [\w.-]+(?: [\w.-]+)?", text_of(document))


def autogen_program() -> str:
    return _between("to use Ollama with Autogen:\n", "Lastly, run the example")


def boxes(document: str) -> Iterator[tuple[str, str]]:
    """Every box, ticked or not: its route, and what stands beside it."""
    route = ""
    for match in _HEADING_OR_BOX.finditer(text_of(document)):
        route = match[1] or route
        if match[2]:
            yield route, match[2].replace("`", "")


def fields(document: str) -> Iterator[tuple[str, str, bool]]:
    """Every field that has a box: its route, its name, and whether that is ticked."""
    route = ""
    for match in _HEADING_OR_FIELD.finditer(text_of(document)):
        route = match[1] or route
        if match[3]:
            yield route, match[3], match[2] == "x"


def _javascript(document: str, code: str) -> Program:
    statements = re.split(r"\n(?=const |import |console)", code.strip())
    requests = {
        each.split()[1]: each for each in statements if re.match(r"const \w+ = await ", each)
    }
    rest = [
        each
        for each in statements
        if each not in requests.values() and not each.startswith("console")
    ]
    return Program(document, "\n".join(rest), requests)


def _between(before: str, after: str) -> str:
    return text_of(BLOG).partition(before)[2].partition(after)[0]


def available() -> bool:
    return all(
        Path(FOLDER / f"{each}.txt").is_file()
        for each in (MAY_2024, LATE_2024, BLOG, QWEN_VL, KTRANSFORMERS)
    )
