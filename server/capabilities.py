"""What a model can do here, in the words that Ollama's clients look for."""

from functools import cache

from models.abilities import Ability, of
from models.model import Model

# types/model/capability.go has a word for these; the others are nobody's.
_WORDS = (
    Ability.COMPLETION,
    Ability.VISION,
    Ability.TOOLS,
    Ability.INSERT,
    Ability.THINKING,
    Ability.EMBEDDING,
)


def capabilities(model: Model) -> list[str]:
    able = of(model)
    if Ability.COMPLETION in able:
        # One that writes makes vectors too, but Ollama's clients take the word for a model
        # that is for nothing else.
        able -= {Ability.EMBEDDING}
    return list(_words_for(able))


@cache  # a list of models asks for each of them
def _words_for(able: frozenset[Ability]) -> tuple[str, ...]:
    return tuple(word.value for word in _WORDS if word in able)
