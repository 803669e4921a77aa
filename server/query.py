"""What is asked for in an address, read by name; what nobody read is known at the end."""

from werkzeug.datastructures import Headers, MultiDict

from models.errors import InvalidRequest
from server.ignored import ignored_headers


class Query:
    """The names and values after the question mark of a request.

    Each reader returns None, or nothing, where the name is absent, and raises InvalidRequest
    with a sentence that names it where its value is wrong.
    """

    def __init__(self, asked: "MultiDict[str, str]") -> None:
        self._asked = asked
        self._read: set[str] = set()

    def ignore(self, name: str) -> None:
        """Count a name as ignored although its value has been looked at."""
        self._read.discard(name)

    def text(self, name: str) -> str | None:
        self._read.add(name)
        return self._asked.get(name)

    def texts(self, name: str) -> list[str]:
        """Both ways in use: the name again and again, or with brackets."""
        self._read.add(name)
        return [*self._asked.getlist(name), *self._asked.getlist(f"{name}[]")]

    def integer(self, name: str, *, least: int, most: int = 2**53) -> int | None:
        text = self.text(name)
        if text is None:
            return None
        if not text.isascii() or not text.isdigit() or not least <= int(text[:20]) <= most:
            end = "on" if most == 2**53 else f"to {most}"
            raise InvalidRequest(
                f'"{name}" must be a whole number from {least} {end}, not {text[:40]!r}.',
                field=name,
            )
        return int(text)

    def flag(self, name: str) -> bool | None:
        text = self.text(name)
        if text is None:
            return None
        if text.lower() not in ("true", "false"):
            raise InvalidRequest(f'"{name}" must be true or false, not {text[:40]!r}.', field=name)
        return text.lower() == "true"

    def ignored_headers(self, asked: Headers) -> dict[str, str]:
        """Return the header that names what nobody has read: call it last.

        Raises:
            InvalidRequest: there is such, and the headers ``asked`` for strictness.
        """
        given = dict.fromkeys(name.removesuffix("[]") for name in self._asked)
        return ignored_headers((name for name in given if name not in self._read), asked)
