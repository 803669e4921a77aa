"""Where later prompts are likely to part from this one: the ends of what was said in it.

For models whose state cannot be cut: there only what was kept at such a place is found again.
"""

from collections.abc import Callable, Sequence

from models.chat import Message
from models.errors import InvalidRequest

_LATEST = 2  # of what users and tools have said


def without_oldest(messages: tuple[Message, ...], dropped: int) -> tuple[Message, ...]:
    """Return what is left of a chat that has lost so many messages; the system's stay."""
    kept: list[Message] = []
    for message in messages:
        if dropped and message.role != "system":
            dropped -= 1
        else:
            kept.append(message)
    return tuple(kept)


def ends(
    messages: tuple[Message, ...], text: str, render: Callable[[tuple[Message, ...]], str]
) -> list[int]:
    """Return characters of the prompt at which later ones may part from it, ascending.

    Args:
        text: the whole prompt.
        render: the first messages of it, without asking for a reply.
    """
    lengths = [1] if messages[0].role == "system" else []
    said = [place for place, each in enumerate(messages, 1) if each.role in ("user", "tool")]
    lengths += [length for length in said[-_LATEST:] if length not in lengths]
    found: set[int] = set()
    for length in lengths:
        try:
            rendered = render(messages[:length])
        except InvalidRequest:
            continue  # some templates do not take a system prompt alone
        found.add(_common(rendered, text))
    return sorted(found - {0})


def _common(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    if other.startswith(one):
        return len(one)
    alike, different = 0, len(one)
    while different - alike > 1:
        middle = (alike + different) // 2
        if other.startswith(one[:middle]):
            alike = middle
        else:
            different = middle
    return alike


def places(
    encode: Callable[[str], list[int]],
    text: str,
    tokens: Sequence[int],
    characters: Sequence[int],
) -> tuple[int, ...]:
    """Return how many of a text's tokens end with each of these characters, ascending.

    The text is tokenised once more, in parts, by ``encode``. Where a token goes over the end
    of one, the place is before it, and those behind are left out.

    Raises:
        ModelCrashed
    """
    found: list[int] = []
    done = start = 0
    for end in characters:
        part = encode(text[start:end])
        same = 0
        for one, other in zip(part, tokens[done : done + len(part)], strict=False):
            if one != other:
                break
            same += 1
        done += same
        start = end
        if same:
            found.append(done)
        if same < len(part):
            break
    return tuple(found)
