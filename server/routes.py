"""All routes of the API, family by family: what /openapi.json, its page and the docs are made of."""

from dataclasses import dataclass

from server.contract import Route
from server.formats.anthropic import contract as anthropic
from server.formats.ollama import contract as ollama
from server.formats.openai import contract as openai


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    routes: tuple[Route, ...]


HEALTH = Route(method="GET", path="/health", summary="Tells whether the engines do their work.")
OPENAPI = Route(method="GET", path="/openapi.json", summary="Describes this API.")
DOCS = Route(method="GET", path="/docs", summary="The same, as a page to read.")

FAMILIES = (
    Family("OpenAI", openai.ROUTES),
    Family("Ollama", ollama.ROUTES),
    Family("Anthropic", anthropic.ROUTES),
    Family("Inglenook", (HEALTH, OPENAPI, DOCS)),
)
