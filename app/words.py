"""How sizes, addresses and errors are written, in the window and in the terminal alike."""

import json
from typing import cast

from models.chat import ToolCall, ToolResult
from models.errors import ContextOverflow, InferenceError

_THOUSAND = 1000
_THREE_DIGITS = 100  # from here on a decimal says nothing
_SCREEN_WIDTH = 1000  # characters
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def size(size_bytes: float) -> str:
    """As ``2.0 GB``: in powers of a thousand, as disks and downloads are sold."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size_bytes < _THOUSAND or unit == "TB":
            break
        size_bytes /= _THOUSAND
    digits = 0 if unit == "bytes" or size_bytes >= _THREE_DIGITS else 1
    return f"{size_bytes:.{digits}f} {unit}"


def speed(tokens_per_second: float) -> str:
    """As ``35.4 tokens/s``."""
    digits = 0 if tokens_per_second >= _THREE_DIGITS else 1
    return f"{tokens_per_second:,.{digits}f} tokens/s"


def address(host: str, port: int) -> str:
    """As ``127.0.0.1:11434`` or ``[::1]:11434``, as it stands in a URL."""
    return f"{f'[{host}]' if ':' in host else host}:{port}"


def own_address(host: str, port: int) -> str:
    """Return where this computer reaches a server that listens on ``host``."""
    return address(_EVERYWHERE.get(host, host), port)


def sentence(error: Exception) -> str | None:
    """Return an error as a person may read it; None for a bug of ours."""
    match error:
        case InferenceError():
            return str(error)
        case UnicodeEncodeError() if _is_bytes(error):
            return "A name here is not UTF-8: rename the file or folder, or choose another."
        case OSError(strerror=str(reason), filename=name):
            return f"{_text(name)}: {reason}." if name else f"{reason}."
        case OSError():
            return str(error)
        case _:
            return None


def left_out(dropped_messages: int) -> str:
    """Tell that a chat has grown too long for a model; "" where it has not."""
    match dropped_messages:
        case 0:
            return ""
        case 1:
            return "The oldest message no longer fits and was left out"
        case count:
            return f"The {count:,} oldest messages no longer fit and were left out"


def thought(seconds: float) -> str:
    """As ``Thought for 12 s``; without a time where it is not known, or was none to speak of."""
    return f"Thought for {_time(seconds)}" if seconds >= 1 else "Thought"


def thinking(seconds: float) -> str:
    return f"Thinking for {_time(seconds)}" if seconds >= 1 else "Thinking"


def asked_for(call: ToolCall) -> str:
    """As ``Asked for get_weather(city="Paris")``, on one line."""
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if isinstance(arguments, dict):
        pairs = cast("dict[str, object]", arguments).items()
        said = ", ".join(f"{key}={json.dumps(each, ensure_ascii=False)}" for key, each in pairs)
    else:
        said = call.arguments
    return f"Asked for {call.name}({one_line(said)})"


def answered(result: ToolResult) -> str:
    """As ``get_weather answered: 12 °C``, on one line."""
    does = "failed" if result.is_error else "answered"
    return f"{result.name or 'A tool'} {does}: {one_line(result.text)}"


def one_line(text: str) -> str:
    """Return its beginning on one line, no longer than any screen is wide."""
    return " ".join(text[:_SCREEN_WIDTH].split())


def in_a_chat(error: InferenceError) -> str:
    """Return an error as who reads it in the window can act on it: they see no prompt."""
    if isinstance(error, ContextOverflow):
        return (
            f"This message is longer than the {error.context_length:,} tokens that the model has "
            "room for: shorten it, or choose another context length in the settings."
        )
    return str(error)


def _time(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _is_bytes(error: UnicodeEncodeError) -> bool:
    """Whether it is what stands for a byte in a name that is not UTF-8 (PEP 383)."""
    return "\udc80" <= error.object[error.start] <= "\udcff"


def _text(name: object) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)
