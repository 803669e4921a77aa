"""What of a chat a model is sent."""

from collections.abc import Sequence

from models.chat import Message, without_images
from models.records.values import Turn


def prompt_of(turns: Sequence[Turn], *, sees: bool) -> tuple[Message, ...]:
    """Return all that was said. A model that does not see hears where there were pictures.

    Those of the last message stay: it is refused, for it would be answered unseen.
    """
    messages = [turn.message for turn in turns if turn.parts]
    if not sees:
        messages[:-1] = map(without_images, messages[:-1])
    return tuple(messages)
