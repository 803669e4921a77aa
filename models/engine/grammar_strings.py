r"""A regular expression of a text, as one of the string of JSON that the text is.

llguidance can do this itself, for ``pattern``; the one that is in llama.cpp's server takes a string
for ended where a class stands behind an escape (xllamacpp 2026.10.11549).

A character is written in one way: ``"`` and ``\`` behind a backslash, tab, line ends, form feed and
backspace by their letters, what else is below a space by its number, and the others as they are.
"""

import json
import re
from functools import lru_cache
from unicodedata import category

_LETTERED = "\t\n\r\f\b"
_ESCAPED = '"\\' + _LETTERED  # what a class may stand for; the others below a space are named alone
_PLAIN = r'[^"\\\x00-\x1f]'
_META = re.compile(r"[\\.+*?()|\[\]{}^$#&\-~]")
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_ESCAPE = re.compile(
    r"\\(?:(?P<kind>[dDwWsS])"
    r"|(?P<not>[pP])(?:(?P<group>[A-Z])|\{(?P<groups>[A-Z][a-z]?)\})"
    r"|(?P<letter>[ntrfva])"
    r"|x(?P<hex>[0-9a-fA-F]{2})|u(?P<four>[0-9a-fA-F]{4})|[xu]\{(?P<any>[0-9a-fA-F]{1,6})\}"
    r"|(?P<other>[^0-9A-Za-z<>]))",
    re.DOTALL,
)
_GROUP = re.compile(r"\((?:\?(?:P?<\w+>|(?P<on>[imsu]*)(?:-(?P<off>[imsu]+))?(?P<end>[:)])))?")
_REPEAT = re.compile(r"[*+?]|\{\d+(?:,\d*)?\}")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\\\[\]&~-]|-(?!-)|&(?!&)|~(?!~))*\]", re.DOTALL)


class _NotRead(Exception):
    """It has something that is not known here."""


@lru_cache(maxsize=256)
def string_regex(pattern: str) -> str | None:
    """Return a regular expression, for between slashes, of all strings whose texts match.

    None: nothing in them is written behind a backslash, or ``pattern`` is not of whole texts, or
    has something that is not known here.
    """
    if not (pattern.startswith("^") and pattern.endswith("$")) or pattern.endswith("\\$"):
        return None
    reader = _Reader(pattern[1:-1])
    try:
        made = reader.read()
    except (_NotRead, re.error, OverflowError, ValueError):
        return None
    return between_slashes(f'"{made}"') if reader.escapes else None


def between_slashes(regex: str) -> str:
    """Return a regular expression as Lark has it between its slashes."""
    escaped = re.sub(r"(\\.)|/", lambda found: found[1] or "\\/", regex, flags=re.DOTALL)
    return escaped.replace("\n", "\\n")


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._flags: list[frozenset[str]] = [frozenset()]  # of each group that is open
        self.escapes = False  # whether anything may be written behind a backslash

    def read(self) -> str:
        made: list[str] = []
        while self._at < len(self._text):
            made.append(self._next(self._text[self._at]))
        if len(self._flags) > 1:
            raise _NotRead
        return "".join(made)

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise _NotRead
        self._at = found.end()
        return found

    def _next(self, sign: str) -> str:
        match sign:
            case "\\":
                return self._escape(self._take(_ESCAPE))
            case "[":
                said = self._take(_CLASS)[0]
                return self._class(said, [each for each in _ESCAPED if _is_in(said, each)])
            case "(":
                return self._group(self._take(_GROUP))
            case "*" | "+" | "?" | "{":
                return self._take(_REPEAT)[0]
            case "^" | "$":
                raise _NotRead
            case _:
                self._at += 1
                return self._sign(sign)

    def _sign(self, sign: str) -> str:
        """Read what is a sign long, and is taken."""
        match sign:
            case ".":
                every = "s" in self._flags[-1]
                return self._class(
                    r"[\s\S]" if every else r"[^\n]",
                    [each for each in _ESCAPED if every or each != "\n"],
                )
            case ")":
                if len(self._flags) == 1:
                    raise _NotRead
                self._flags.pop()
                return ")"
            case "|":
                if len(self._flags) == 1:  # its ends are not those of the whole
                    raise _NotRead
                return "|"
            case _:
                return self._character(sign)

    def _group(self, found: re.Match[str]) -> str:
        flags = self._flags[-1] | {*(found["on"] or "")} - {*(found["off"] or "")}
        if found["end"] == ")":
            self._flags[-1] = flags
            return found[0]
        self._flags.append(flags)
        return found[0] if found["end"] else "(?:"

    def _escape(self, found: re.Match[str]) -> str:
        if kind := found["kind"]:
            return self._class(f"[\\{kind}]", [e for e in _ESCAPED if _is_in(f"[\\{kind}]", e)])
        if groups := found["group"] or found["groups"]:
            inside = [each for each in _ESCAPED if category(each).startswith(groups)]
            if found["not"] == "P":
                inside = [each for each in _ESCAPED if each not in inside]
            return self._class(f"[{found[0]}]", inside)
        if code := found["hex"] or found["four"] or found["any"]:
            return self._character(chr(int(code, 16)))
        return self._character(found["other"] or _LETTERS[found["letter"]])

    def _class(self, said: str, escaped: list[str]) -> str:
        """``escaped`` is what of it stands behind a backslash."""
        if not escaped:
            return said
        letters = "".join(_quoted(_written(each)[1]) for each in escaped)
        return f"(?:[{said}&&{_PLAIN}]|{self._behind(f'[{letters}]')})"

    def _character(self, character: str) -> str:
        written = _written(character)
        if written == character:
            return _quoted(character)
        return f"(?:{self._behind(_quoted(written[1:]))})"

    def _behind(self, regex: str) -> str:
        self.escapes = True
        return rf"(?-i:\\{regex})" if "i" in self._flags[-1] else rf"\\{regex}"


def _is_in(said: str, character: str) -> bool:
    """Whether a class has a character, which is ASCII: there Rust's and Python's are the same."""
    return re.fullmatch(said, character, re.ASCII) is not None


def _written(character: str) -> str:
    return json.dumps(character, ensure_ascii=False)[1:-1]


def _quoted(text: str) -> str:
    return _META.sub(r"\\\g<0>", text)
