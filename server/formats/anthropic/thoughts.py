"""The signature of a thought. Ours proves nothing: it is there for clients that drop a thought
without one, and where the thought itself is not to be shown, it carries it."""

import base64

_PLAIN = "inglenook"
_CARRYING = "inglenook:"  # and the thought behind it


def signature(thought: str, *, shown: bool) -> str:
    if shown:
        return _PLAIN
    return _CARRYING + base64.b64encode(thought.encode("utf-8", "replace")).decode()


def hidden_thought(signature: str) -> str:
    """Return what a signature carries; "" where it carries nothing, or is somebody else's."""
    if not signature.startswith(_CARRYING):
        return ""
    try:
        return base64.b64decode(signature.removeprefix(_CARRYING), validate=True).decode()
    except ValueError:
        return ""
