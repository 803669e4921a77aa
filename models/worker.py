"""What starts a process of ours: Python, deaf to the folder it is started in."""

import sys
from collections.abc import Sequence
from typing import TypeAlias

Command: TypeAlias = Sequence[str]
"""Starts Python on a file, whose path is added."""

# Isolated (-I): the folder it is started in must not shadow a module.
PYTHON: Command = (sys.executable, "-I")
