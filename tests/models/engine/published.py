"""The published chat templates, each compiled once for all tests: few take as long as that."""

from functools import cache

from models.engine.template import ChatTemplate
from tests.conftest import TESTDATA

SOURCES = {
    path.stem: path.read_text(encoding="utf-8")
    for path in sorted((TESTDATA / "chat-templates").glob("*.jinja"))
}


@cache
def compiled(name: str) -> ChatTemplate:
    return ChatTemplate(SOURCES[name], bos_token="<s>", eos_token="</s>")
