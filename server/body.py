"""From the bytes of a request to a JSON object, with everything refused that is neither."""

import asyncio
import json
import re
from collections import Counter
from typing import Any, NoReturn, cast

from quart import Request

from models.errors import InvalidRequest
from server.fields import Json, kind

MOST_BYTES = 256 << 20  # a dozen photographs in base64
_STALL_SECONDS = 60.0  # without a byte
# Written as an escape: UTF-8 itself has none.
_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")


class BodyTooLarge(InvalidRequest):
    status_hint = 413


class BodyStalled(InvalidRequest):
    status_hint = 408


class EncodingUnsupported(InvalidRequest):
    status_hint = 415


async def read_json(request: Request) -> Json:
    """Return the JSON object that a request carries, whatever type it claims to have.

    Raises:
        InvalidRequest: there is none, with a sentence that says why.
    """
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise EncodingUnsupported(
            f"A request body encoded as {encoding!r} is not supported: send plain JSON."
        )
    return parse_json(await _read(request))


def parse_json(data: bytes) -> Json:
    """Raises InvalidRequest."""
    if not data.strip():
        raise InvalidRequest("missing request body")  # Ollama's words
    try:
        value: Any = json.loads(
            data.decode("utf-8-sig"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The request body is not UTF-8: see byte {error.start}.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest(f"The request body is not JSON: {error.msg} at {where}.") from None
    except RecursionError:
        raise InvalidRequest("The JSON in the request body is nested too deeply.") from None
    except ValueError:  # Python reads no integer of more than 4300 digits
        raise InvalidRequest("A number in the request body is too long.") from None
    if _HALF_CHARACTER.search(data):
        value = _whole_characters(value)
    if not isinstance(value, dict):
        raise InvalidRequest(f"The request body must be a JSON object, not {kind(value)}.")
    return cast("Json", value)


async def _read(request: Request) -> bytes:
    """Read the body to its end even where it is too large: until then nobody hears us."""
    data = bytearray()
    size = 0
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_STALL_SECONDS) as limit:
            async for chunk in request.body:
                limit.reschedule(loop.time() + _STALL_SECONDS)
                size += len(chunk)
                if size <= MOST_BYTES:
                    data += chunk
                else:
                    data.clear()
    except TimeoutError:
        raise BodyStalled("The request body stopped coming.") from None
    if size > MOST_BYTES:
        raise BodyTooLarge(
            f"The request body has {size} bytes, and {MOST_BYTES} is the most that is read."
        )
    return bytes(data)


def _object(pairs: list[tuple[str, Any]]) -> Json:
    values = dict(pairs)
    if len(values) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = json.dumps(next(name for name in counts if counts[name] > 1))
        raise InvalidRequest(f"{twice} is given twice.")
    return values


def _whole_characters(value: Any) -> Any:  # noqa: ANN401 - JSON is anything
    """Replace halves of characters: JavaScript can cut an emoji in two, and JSON lets it."""
    match value:
        case str():
            return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        case list():
            return [_whole_characters(each) for each in cast("list[Any]", value)]
        case dict():
            fields = cast("Json", value)
            return {
                _whole_characters(name): _whole_characters(each) for name, each in fields.items()
            }
        case _:
            return value


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidRequest(f"{name} in the request body is not JSON.")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise InvalidRequest(f"The number {digits[:40]} in the request body is too large.")
    return number
