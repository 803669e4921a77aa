"""What a model can do here, in the words that Ollama's clients look for."""

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
    return [word.value for word in _WORDS if word in able]
