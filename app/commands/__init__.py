"""One file a command, or a few that belong together. Each imports what it needs, no more."""

INTERRUPTED = 130  # as a shell says it: 128 + SIGINT


class CommandFailed(Exception):
    """``str(error)`` is one sentence, for the terminal."""
