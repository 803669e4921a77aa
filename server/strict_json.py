"""Strict JSON: from the bytes of a body to an object, or to one sentence on what is wrong.

It needs the standard library alone, as it is a program too: ``server.large_bodies`` runs it
in a process of its own, which is what everything below the line is for.
"""

import json
import marshal
import re
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO, NoReturn, TypeAlias, cast

Object: TypeAlias = dict[str, Any]

MOST_VALUES = 200_000  # of a large body; beyond it an honest request is not thought of

# Halves of characters are written as escapes: UTF-8 itself has none.
_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")
# A string, to its end or the body's, or what stands between values.
_SEPARATOR = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[,{\[]', re.DOTALL)
_LONG = 1024  # characters; longer texts travel by themselves
_PIECE = 1 << 20  # characters of a long text that are taken over at once


class NotJson(ValueError):
    """``str(error)`` is the sentence."""


def parse(data: bytes) -> Object:
    """Raises NotJson."""
    if not data.strip():
        raise NotJson("missing request body")  # Ollama's words
    try:
        value: Any = json.loads(
            data.decode("utf-8-sig"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        if _HALF_CHARACTER.search(data):
            value = _whole_characters(value)
    except UnicodeDecodeError as error:
        raise NotJson(f"The request body is not UTF-8: see byte {error.start}.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise NotJson(f"The request body is not JSON: {error.msg} at {where}.") from None
    except RecursionError:
        raise NotJson("The JSON in the request body is nested too deeply.") from None
    except NotJson:
        raise
    except ValueError:  # Python reads no integer of more than 4300 digits
        raise NotJson("A number in the request body is too long.") from None
    if not isinstance(value, dict):
        raise NotJson(f"The request body must be a JSON object, not {kind(value)}.")
    return cast("Object", value)


def kind(value: object) -> str:
    """Return what JSON calls a value of this type, with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"


def _object(pairs: list[tuple[str, Any]]) -> Object:
    values = dict(pairs)
    if len(values) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = json.dumps(next(name for name in counts if counts[name] > 1))
        raise NotJson(f"{twice} is given twice.")
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise NotJson(f"{name} in the request body is not JSON.")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise NotJson(f"The number {digits[:40]} in the request body is too large.")
    return number


def _whole_characters(value: Any) -> Any:  # noqa: ANN401 - JSON is anything
    """Replace halves of characters: JavaScript can cut an emoji in two, and JSON lets it."""
    match value:
        case str():
            return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        case list():
            return [_whole_characters(each) for each in cast("list[Any]", value)]
        case dict():
            fields = cast("Object", value)
            return {
                _whole_characters(name): _whole_characters(each) for name, each in fields.items()
            }
        case _:
            return value


# -- A process of its own ----------------------------------------------------------
#
# It reads bodies from its stdin, each after its length. Of each it writes a pair: the object,
# with a place holder for every long text, and how many those are; then each of them in
# pieces, with an empty one at its end. A place holder is a tuple, which JSON has none of:
# (number of the text,). A refusal is the sentence, in place of all that. Everything is
# marshalled, and comes after its length.

LENGTH_BYTES = 8


def main() -> None:
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    while length := stdin.read(LENGTH_BYTES):
        _answer(stdin.read(int.from_bytes(length, "big")), stdout)
        stdout.flush()


def _answer(data: bytes, out: BinaryIO) -> None:
    try:
        _count_values(data)
        value = parse(data)
    except NotJson as error:
        _write(out, str(error))
        return
    except MemoryError:
        _write(out, "The request body does not fit into memory.")
        return
    texts: list[str] = []
    value = _taking_long_texts(value, texts)
    _write(out, (value, len(texts)))
    for text in texts:
        for start in range(0, len(text), _PIECE):
            _write(out, text[start : start + _PIECE])
        _write(out, "")


def _write(out: BinaryIO, value: Any) -> None:  # noqa: ANN401 - what can be marshalled
    data = marshal.dumps(value)
    out.write(len(data).to_bytes(LENGTH_BYTES, "big"))
    out.write(data)


def _count_values(data: bytes) -> None:
    """Raise NotJson for more values than MOST_VALUES, without making any of them."""
    if data.count(b",") + data.count(b"{") + data.count(b"[") <= MOST_VALUES:
        return
    count = 0
    for found in _SEPARATOR.finditer(data):
        count += not found[0].startswith(b'"')
        if count > MOST_VALUES:
            raise NotJson(
                f"The request body holds more than {MOST_VALUES} values: send fewer at once."
            )


def _taking_long_texts(value: Object, texts: list[str]) -> Object:
    """Move long texts from ``value`` to ``texts``."""
    for holder, place, each in inside(value):
        if isinstance(each, str) and len(each) > _LONG:
            holder[place] = (len(texts),)
            texts.append(each)
    return value


def inside(value: Object) -> Iterator[tuple[Any, Any, Any]]:
    """Yield all that is in an object: what holds it, where, and what it is."""
    holders: list[Any] = [value]
    while holders:
        holder = holders.pop()
        pairs = cast("Object", holder).items() if isinstance(holder, dict) else enumerate(holder)
        for place, each in list[tuple[Any, Any]](pairs):
            if isinstance(each, dict | list):
                holders.append(each)
            else:
                yield holder, place, each


if __name__ == "__main__":
    main()
