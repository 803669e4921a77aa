"""Names of models: ``[namespace/]model[:tag]``, as people type and paste them.

The grammar is Ollama's (types/model/name.go), with parts as long as the hub allows them:
letters, digits, ``_``, ``-`` and ``.``, compared without case; ``latest`` is the tag where
none is given. What stands for nothing is dropped: the address of the hub or of Ollama's
registry, its namespace ``library``, and the rest of a page's address.
"""

import re
from dataclasses import dataclass
from typing import Self

from models.errors import InvalidModelName
from models.quantization import quantization

DEFAULT_TAG = "latest"
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,95}"  # the hub's longest: huggingface_hub's REPO_ID_REGEX
_NAME = re.compile(rf"(?:(?P<namespace>{_PART})/)?(?P<model>{_PART})(?::(?P<tag>{_PART}))?")
_LONGEST = 230  # characters of a whole name: a file is called after it, which may have 255
_HOST = re.compile(
    r"(?:https?://)?(?:www\.)?(?P<host>hf\.co|huggingface\.co|registry\.ollama\.ai|ollama\.com)/",
    re.IGNORECASE,
)
# What follows a repository's name in the address of one of its pages. Another revision
# than main would be another model: it is no name.
_PAGE = re.compile(r"/(?:tree/main|(?:blob|resolve)/main/(?P<file>.*))\Z")
# Where Ollama's registry has the models of nobody in particular.
_LIBRARY = re.compile(r"library/(?P<rest>[^/]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ModelName:
    """Two names are equal when they differ in case alone."""

    model: str
    namespace: str = ""
    tag: str = DEFAULT_TAG

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises InvalidModelName."""
        found = _NAME.fullmatch(_plain(text))
        if found is None:
            raise InvalidModelName(text)
        name = cls(found["model"], found["namespace"] or "", found["tag"] or DEFAULT_TAG)
        if len(str(name)) > _LONGEST:
            raise InvalidModelName(text)
        return name

    @property
    def key(self) -> str:
        """The same for every spelling of the name."""
        return str(self).lower()

    @property
    def repo(self) -> str:
        """Without the tag: ``org/repo``."""
        return f"{self.namespace}/{self.model}" if self.namespace else self.model

    @property
    def file_stem(self) -> str:
        """What files are called after the name, the same for every spelling of it."""
        # Neither character is ever part of a name, or forbidden in a file's name.
        return self.key.replace("/", "+").replace(":", "@")

    def __str__(self) -> str:
        return f"{self.repo}:{self.tag}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelName) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def _plain(text: str) -> str:
    """Return ``[namespace/]model[:tag]`` of an address that has one in it."""
    host = _HOST.match(text)
    rest = text if host is None else _of_page(text[host.end() :])
    library = _LIBRARY.fullmatch(rest)
    on_hub = host is not None and "ollama" not in host["host"].lower()
    return rest if library is None or on_hub else library["rest"]


def _of_page(path: str) -> str:
    rest = re.split("[?#]", path, maxsplit=1)[0].rstrip("/")
    page = _PAGE.search(rest)
    if page is None:
        return rest
    file = page["file"] or ""
    label = f":{quantization(file)}" if file.lower().endswith(".gguf") else ""
    return rest[: page.start()] + label
