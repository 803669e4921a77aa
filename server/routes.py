"""All routes of the API, family by family: what its description and the docs are made of."""

import re
from dataclasses import dataclass

from server.contract import Route
from server.formats.anthropic import contract as anthropic
from server.formats.llama_server import contract as llama_server
from server.formats.ollama import contract as ollama
from server.formats.openai import contract as openai
from server.formats.openai_responses import contract as openai_responses


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    routes: tuple[Route, ...]


HEALTHS = tuple(
    Route(method="GET", path=path, summary="Tells whether the engines do their work.")
    for path in ("/health", "/v1/health")
)
ROOT = Route(method="GET", path="/", summary="Says that Ollama is running, as clients look for.")
METRICS = Route(
    method="GET", path="/metrics", summary="Tells what the program does, as Prometheus reads it."
)
OPENAPI = Route(method="GET", path="/openapi.json", summary="Describes this API.")
DOCS = Route(method="GET", path="/docs", summary="The same, as a page to read.")

FAMILIES = (
    Family("OpenAI", (*openai.ROUTES, *openai_responses.ROUTES)),
    Family("Ollama", ollama.ROUTES),
    Family("Anthropic", anthropic.ROUTES),
    Family("llama.cpp's server", llama_server.ROUTES),
    Family("Inglenook", (ROOT, *HEALTHS, METRICS, OPENAPI, DOCS)),
)

# The methods and paths of those that read an address beyond its path; {} is a part that differs.
WITH_QUERY = frozenset(
    (route.method, re.sub(r"\{\w+\}", "{}", route.path))
    for family in FAMILIES
    for route in family.routes
    if route.query
)
