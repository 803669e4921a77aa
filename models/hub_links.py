"""A page of the hub as people paste it, and the model that it shows."""

import re
from urllib.parse import unquote

from models.hub_files import quantization

_PAGE = re.compile(r"https?://(?:www\.)?(?:huggingface|hf)\.co/([^?#]+)[?#]?.*", re.IGNORECASE)


def model_at(text: str) -> str:
    """Return ``org/repo``, or ``org/repo:Q8_0`` where a link leads to one GGUF file.

    What is no link to the hub comes back as it is, without the space around it.
    """
    text = text.strip()
    page = _PAGE.fullmatch(text)
    match unquote(page[1]).strip("/").split("/") if page else ():
        case [organisation, repo, "blob" | "resolve", _revision, *path] if _is_gguf(path):
            return f"{organisation}/{repo}:{quantization('/'.join(path))}"
        case [organisation, repo, *_]:
            return f"{organisation}/{repo}"
        case _:
            return text


def _is_gguf(path: list[str]) -> bool:
    return bool(path) and path[-1].lower().endswith(".gguf")
