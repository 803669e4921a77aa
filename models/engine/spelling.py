"""Texts as tokens and chats as prompts, by the tokenizers that count."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.chat import GenerateRequest
from models.engine.prompt import Prompter
from models.engine.tokenizer import SpellingTokenizer
from models.model import Profile
from models.profiles import filled
from models.spelling import Spelled


@dataclass(frozen=True, slots=True)
class CountedSpelling:
    """A ``Spelling``."""

    prompter: Prompter
    tokenizer: SpellingTokenizer
    profile: Profile

    @property
    def template(self) -> str:
        own = self.prompter.template.source if self.prompter.template else ""
        return self.profile.template or own

    def tokens(
        self, text: str, *, add_special: bool = False, parse_special: bool = True
    ) -> list[Spelled]:
        return self.tokenizer.spell(text, add_special=add_special, parse_special=parse_special)

    def text(self, ids: Sequence[int]) -> str:
        return self.tokenizer.text_of(ids)

    def prompt(self, request: GenerateRequest, *, ask: bool = True) -> str:
        (request,) = filled((request,), self.profile)
        return self.prompter.text(request, ask=ask)
