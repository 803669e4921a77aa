"""Prompts and inputs: a text, the ids of its tokens, or several of either."""

from collections.abc import Sequence
from typing import Any, TypeAlias, cast

from server.fields import Fields

Prompt: TypeAlias = str | tuple[int, ...]
"""A text, or the ids of its tokens."""

_LARGEST_ID = 2**31 - 1


def read_prompts(fields: Fields, name: str) -> tuple[Prompt, ...]:
    """Return all of them; () where there is none.

    Raises InvalidRequest.
    """
    value = fields.value(name)
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    given: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [None]
    texts = [each for each in given if isinstance(each, str)]
    if len(texts) == len(given):
        return tuple(texts)
    if _are_ids(given):
        return (tuple(given),)
    lists = [cast("list[Any]", each) for each in given if isinstance(each, list)]
    if len(lists) == len(given) and all(map(_are_ids, lists)):
        return tuple(map(tuple, lists))
    raise fields.wrong(name, "a text, the ids of its tokens, or a list of either", value)


def _are_ids(values: Sequence[Any]) -> bool:
    return bool(values) and all(type(each) is int and 0 <= each <= _LARGEST_ID for each in values)
