"""One file a command, or a few that belong together. Each imports what it needs, no more."""


class CommandFailed(Exception):
    """``str(error)`` is one sentence, for the terminal."""
