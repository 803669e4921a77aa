"""Fill-in-the-middle: the tokens that models have for it.

What stands before and behind the gap is put between three tokens, and the model goes on with
what belongs in between.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a family of models writes the tokens."""

    prefix: str
    suffix: str
    middle: str  # "": none
    suffix_first: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(each for each in (self.prefix, self.suffix, self.middle) if each)


# As llama.cpp knows them (src/llama-vocab.cpp), and at the end what mistral-common knows
# (tokens/tokenizers/instruct.py, encode_fim).
SPELLINGS = (
    Spelling("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen, CodeGemma
    Spelling("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder, Granite
    Spelling("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    Spelling(
        "<\uff5cfim\u2581begin\uff5c>", "<\uff5cfim\u2581hole\uff5c>", "<\uff5cfim\u2581end\uff5c>"
    ),  # DeepSeek
    Spelling("\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>"),  # CodeLlama
    Spelling("<PRE>", "<SUF>", "<MID>"),
    Spelling("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),  # GLM
    Spelling("<|prefix|>", "<|suffix|>", "<|middle|>"),  # Falcon H1
    Spelling("<|plamo:fim_prefix|>", "<|plamo:fim_suffix|>", "<|plamo:fim_middle|>"),
    Spelling("[PREFIX]", "[SUFFIX]", "", suffix_first=True),  # Codestral
)
# Before the name of a repository, and before that of each file in it.
REPOSITORIES = (
    *("<|repo_name|>", "<|fim_repo|>", "<fim-repo>", "<REPO>"),
    *("<reponame>", "<repo_name>"),  # Granite, StarCoder 2
)
FILES = ("<|file_sep|>", "<file_sep>")  # Qwen, StarCoder 2


@dataclass(frozen=True, slots=True)
class FillIn:
    """The tokens of one model, by their ids."""

    prefix: int
    suffix: int
    middle: int | None
    suffix_first: bool = False
    repository: int | None = None
    file: int | None = None

    @property
    def count(self) -> int:
        """How many tokens it adds."""
        return 2 if self.middle is None else 3

    def around(self, before: Sequence[int], after: Sequence[int]) -> list[int]:
        """Return the prompt that asks for what is between ``before`` and ``after``."""
        parts = [[self.prefix, *before], [self.suffix, *after]]
        if self.suffix_first:
            parts.reverse()
        return [*parts[0], *parts[1], *([] if self.middle is None else [self.middle])]


def find(id_of: Callable[[str], int | None]) -> FillIn | None:
    """Return the tokens of a vocabulary; None: it has none, or not all.

    ``id_of`` is what the vocabulary has for a token as it is spelled.
    """
    for spelling in SPELLINGS:
        ids = [id_of(text) for text in spelling.texts]
        known = [each for each in ids if each is not None]
        if len(known) == len(ids):
            found = FillIn(known[0], known[1], (*known, None)[2], spelling.suffix_first)
            return with_files(found, id_of)
    return None


def with_files(found: FillIn, id_of: Callable[[str], int | None]) -> FillIn:
    """Return the same with the tokens for several files, as far as there are any."""
    repository, file = (
        next((id for text in texts if (id := id_of(text)) is not None), None)
        for texts in (REPOSITORIES, FILES)
    )
    return replace(found, repository=repository, file=file)
