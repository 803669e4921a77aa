"""Ids as OpenAI writes them: what a thing is, and letters that are never the same twice."""

import uuid


def new_id(kind: str) -> str:
    """``kind`` is ``resp``, ``msg``, ``rs``, ``fc``, ``call``, ``cmp`` or ``conv``."""
    return f"{kind}_{uuid.uuid4().hex}"
