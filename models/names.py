"""Names of models: ``[namespace/]model[:tag]``, as people type them.

The grammar is Ollama's (types/model/name.go): letters, digits, ``_``, ``-`` and ``.``,
at most 80 characters a part, compared without case; ``latest`` is the tag where none
is given. ``hf.co/`` and ``huggingface.co/`` in front are understood and dropped.
"""

import re
from dataclasses import dataclass
from typing import Self

from models.errors import InvalidModelName

DEFAULT_TAG = "latest"
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,79}"
_NAME = re.compile(rf"(?:(?P<namespace>{_PART})/)?(?P<model>{_PART})(?::(?P<tag>{_PART}))?")
_HUB_HOSTS = ("hf.co/", "huggingface.co/")


@dataclass(frozen=True, slots=True)
class ModelName:
    """Two names are equal when they differ in case alone."""

    model: str
    namespace: str = ""
    tag: str = DEFAULT_TAG

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises InvalidModelName."""
        rest = text
        for host in _HUB_HOSTS:
            if rest.lower().startswith(host):
                rest = rest[len(host) :]
        found = _NAME.fullmatch(rest)
        if found is None:
            raise InvalidModelName(text)
        return cls(found["model"], found["namespace"] or "", found["tag"] or DEFAULT_TAG)

    @property
    def key(self) -> str:
        """The same for every spelling of the name."""
        return str(self).lower()

    @property
    def repo(self) -> str:
        """Without the tag: ``org/repo``."""
        return f"{self.namespace}/{self.model}" if self.namespace else self.model

    def __str__(self) -> str:
        return f"{self.repo}:{self.tag}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelName) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)
