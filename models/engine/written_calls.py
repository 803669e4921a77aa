"""Tool calls as a model of a family has written them, for templates that tell of none."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from models.chat import ToolCall
from models.markup import PLACES, CallForm, Calls


def written(calls: Sequence[ToolCall], row: Calls) -> str:
    """Return the text of some calls of one answer."""
    texts = [_call(each, row, index) for index, each in enumerate(calls)]
    begin = "" if row.bare else row.begin
    if row.between is not None:
        return begin + row.open + row.between.join(texts) + row.close + row.end
    return "\n".join(begin + row.open + each + row.close + row.end for each in texts)


def _call(call: ToolCall, row: Calls, index: int) -> str:
    said = {
        "name": call.name,
        "arguments": call.arguments,
        "id": call.id,
        "index": str(index),
        "parameters": "".join(_parameters(call, row)),
    }
    return _filled(row.call, said)


def _parameters(call: ToolCall, row: Calls) -> list[str]:
    if not row.parameter:
        return []
    write = _as_python if row.form is CallForm.PYTHON else _as_text
    found = [
        _filled(
            row.parameter,
            {"key": key, "value": write(value), "string": json.dumps(isinstance(value, str))},
        )
        for key, value in _object(call.arguments).items()
    ]
    return [", ".join(found)] if row.form in (CallForm.PYTHON, CallForm.GEMMA) else found


def _filled(text: str, said: Mapping[str, str]) -> str:
    return "".join(
        said[part] if place % 2 else part for place, part in enumerate(PLACES.split(text))
    )


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _as_python(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _object(text: str) -> Mapping[str, Any]:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {"arguments": text}
