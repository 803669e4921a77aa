"""The fields of a JSON object, read by name and strictly; what nobody read is known at the end."""

import re
from typing import Any, TypeAlias, cast

from models.errors import InvalidRequest
from server.strict_json import kind

Json: TypeAlias = dict[str, Any]

_MOST = 2**63 - 1  # what a number may be, either way


class Fields:
    """One JSON object of a request.

    Each reader returns None where the field is absent or null, and raises InvalidRequest
    with a sentence that names the field where its type is wrong.
    """

    def __init__(self, values: Json, path: str = "") -> None:
        self._values = values
        self._path = path
        self._read: set[str] = set()
        self._ignored: set[str] = set()
        self._children: list[Fields] = []
        self._inner: dict[str, Fields] = {}  # by their names: who asks again gets the same

    def name(self, field: str) -> str:
        """The field as the caller would write it: ``messages[0].content``."""
        return f"{self._path}.{field}" if self._path else field

    def value(self, field: str) -> Any:  # noqa: ANN401 - JSON is anything
        """Whatever is there, unchecked."""
        self._read.add(field)
        return self._values.get(field)

    def has(self, field: str) -> bool:
        return field in self._values

    def raw(self) -> Json:
        """The whole object as it stands; all of it counts as read."""
        self._read.update(self._values)
        return self._values

    def given(self) -> Json:
        """The whole object as it stands, to be told again: nothing of it counts as read."""
        return self._values

    def text(self, field: str) -> str | None:
        """A string of any length, the empty one too."""
        value = self.value(field)
        if value is not None and not isinstance(value, str):
            raise self.wrong(field, "a string", value)
        return value

    def required_text(self, field: str) -> str:
        """Text that must be there, although it may be empty."""
        text = self.text(field)
        if text is None:
            raise self.missing(field)
        return text

    def texts(self, field: str) -> tuple[str, ...]:
        """A list of strings, or one string as a list of one; () where there is none."""
        value = self.value(field)
        if value is None:
            return ()
        several = cast("list[Any]", value) if isinstance(value, list) else [value]
        for each in several:
            if not isinstance(each, str):
                raise self.wrong(field, "a string or a list of strings", value)
        return tuple(several)

    def flag(self, field: str) -> bool | None:
        """true or false, and no number that might stand for them."""
        value = self.value(field)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(field, "true or false", value)
        return value

    def integer(self, field: str, *, least: int = -_MOST, most: int = _MOST) -> int | None:
        """A whole number from ``least`` to ``most``, both included; 24.0 is one too."""
        value = self.value(field)
        if value is None:
            return None
        if isinstance(value, float):
            value = self._cut(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(field, "a whole number", value)
        self._check_range(field, value, least, most)
        return value

    def _cut(self, value: float) -> float:
        """Return a float as a whole number where it is one."""
        return int(value) if value.is_integer() else value

    def number(self, field: str, *, least: float = -_MOST, most: float = _MOST) -> float | None:
        """A number from ``least`` to ``most``, both included; 24 is one too."""
        value = self.value(field)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(field, "a number", value)
        self._check_range(field, value, least, most)
        return float(value)

    def array(self, field: str) -> list[Any] | None:
        """A list of anything, its items unchecked; all of it counts as read."""
        value = self.value(field)
        if value is not None and not isinstance(value, list):
            raise self.wrong(field, "a list", value)
        return cast("list[Any] | None", value)

    def inner(self, field: str, read_by: "type[Fields] | None" = None) -> "Fields | None":
        """An object, whose own fields count as unread too until they are."""
        value = self.value(field)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(field, "an object", value)
        if field not in self._inner:
            child = self._child(cast("Json", value), self.name(field), read_by or Fields)
            self._inner[field] = child
        return self._inner[field]

    def objects(self, field: str) -> "list[Fields] | None":
        """A list of objects."""
        values = self.array(field)
        if values is None:
            return None
        return [self._item(field, index, each) for index, each in enumerate(values)]

    def ignore(self, field: str) -> None:
        """Count a field as ignored although its type has been checked."""
        self._ignored.add(field)

    def ignored(self) -> list[str]:
        """The fields that were given and have no effect, each once: nobody has read them."""
        names = [
            self.name(field)
            for field, value in self._values.items()
            if value is not None and (field in self._ignored or field not in self._read)
        ]
        names += [name for child in self._children for name in child.ignored()]
        return list(dict.fromkeys(re.sub(r"\[\d+\]", "[]", name) for name in names))

    def missing(self, field: str) -> InvalidRequest:
        name = self.name(field)
        return InvalidRequest(f'"{name}" is missing.', field=name)

    def wrong(self, field: str, wanted: str, value: Any) -> InvalidRequest:  # noqa: ANN401
        name = self.name(field)
        return InvalidRequest(f'"{name}" must be {wanted}, not {kind(value)}.', field=name)

    def not_yet(self, field: str) -> InvalidRequest:
        name = self.name(field)
        return InvalidRequest(f'"{name}" is not supported yet.', field=name)

    def _check_range(self, field: str, value: float, least: float, most: float) -> None:
        name = self.name(field)
        if value < least:
            raise InvalidRequest(f'"{name}" must be at least {least}.', field=name)
        if value > most:
            raise InvalidRequest(f'"{name}" must be at most {most}.', field=name)

    def _item(self, field: str, index: int, value: Any) -> "Fields":  # noqa: ANN401
        path = f"{self.name(field)}[{index}]"
        if not isinstance(value, dict):
            raise InvalidRequest(f'"{path}" must be an object, not {kind(value)}.', field=path)
        return self._child(cast("Json", value), path, Fields)

    def _child(self, values: Json, path: str, read_by: "type[Fields]") -> "Fields":
        child = read_by(values, path)
        self._children.append(child)
        return child
