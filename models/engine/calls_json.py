"""Readers of calls whose arguments are a JSON object: all in one object, or behind a name."""

import re
from collections.abc import Collection, Iterator
from functools import lru_cache

from models.engine.calls import Outcome, Piece, Step, SteppedReader, passed, skip_space
from models.engine.decoder import Held, Tokens
from models.engine.json_scan import ObjectScan, call_in, is_object, string_in
from models.markup import PLACES, Calls

_LONGEST_HEAD = 256  # characters: no name is longer, with what stands around it
_KEYED = '{"{name}"'  # a call that is an object with the name as its only key


class JsonCall(SteppedReader):
    """``{"name": "look_up", "arguments": {"city": "Bern"}}``, several, or a list; and the end tag.

    Arguments are told as they come where the name stands before them. What else is JSON with a
    name in it is told at its end. With ``names``, one of which it must have, what is none of
    them is known for text as soon as it differs.
    """

    def __init__(self, calls: Calls, names: Collection[str] = ()) -> None:
        super().__init__(self._read_open)
        self._row = calls
        self._names = names
        self._keyed = calls.call.startswith(_KEYED)
        self._tail: list[str] = []  # texts that are to be passed over behind the arguments
        self._object = ObjectScan(calls.end)
        self._arguments: list[str] = []
        self._in_list = False
        self._before = 0  # characters of the text in front of the next object

    def _read_open(self, held: Held, last: bool) -> Iterator[Piece]:
        """Find what a list begins with. It is left there: the first object may be no call."""
        text, at = held.text, 0
        for word in self._row.open.split() or ("[",):
            rest = text[at:].lstrip()
            if word.startswith(rest) and len(rest) < len(word) and not last:
                return
            if rest.startswith(word):
                at = len(text) - len(rest) + len(word)
                self._in_list |= word == "["
        self._before = at
        self._next(self._read_head)
        yield from ()

    def _read_head(self, held: Held, last: bool) -> Iterator[Piece]:
        text = held.text[self._before :]
        if self._names and not _may_name(text, self._names):
            self.outcome = Outcome.TEXT
            return
        head = _KEYED_HEAD if self._keyed else _HEAD
        if (found := head.match(text)) and (name := string_in(found["name"])):
            yield Piece(name=name, tokens=self._taken(held, found.end()))
            self._begin_arguments(self._read_rest)
            return
        self._object.read(text)
        whole = None
        if self._object.closed:
            whole = call_in(text[: self._object.length], keyed=self._keyed)
        if whole:
            yield Piece(name=whole.name, tokens=self._taken(held, self._object.length))
            yield Piece(arguments=whole.arguments)
            self._next(self._read_end)
        elif self._object.closed or self._object.broken or last:
            self.outcome = Outcome.TEXT

    def _taken(self, held: Held, length: int) -> Tokens:
        before, self._before = self._before, 0
        return held.take(before + length).tokens

    def _begin_arguments(self, behind: Step) -> None:
        self._object = ObjectScan(self._row.end)
        self._arguments.clear()
        self._behind = behind
        self._next(self._read_arguments)

    def _read_arguments(self, held: Held, last: bool) -> Iterator[Piece]:
        said = self._object.read(held.text)
        if said:
            span = held.take(self._object.length)
            self._object.length = 0
            self._arguments.append(said)
            yield Piece(arguments=said, tokens=span.tokens)
        if self._object.closed or self._object.broken or last:
            self.faulty |= not is_object("".join(self._arguments))
            closed, self._object = self._object.closed, ObjectScan(self._row.end, depth=1)
            self._next(self._behind if closed else self._read_end)

    def _read_rest(self, held: Held, last: bool) -> Iterator[Piece]:
        """Pass over what else is in the object; that its last brace is missing is no matter."""
        self._object.read(held.text)
        held.take(self._object.length)
        self._object.length = 0
        if self._object.closed or self._object.broken or last:
            self._next(self._read_end)
        yield from ()

    def _read_end(self, held: Held, last: bool) -> Iterator[Piece]:
        skip_space(held)
        end, text = self._row.end, held.text
        if not text and not last:
            return
        if (end and text.startswith(end)) or (last and end.startswith(text)):
            held.take(len(end))
            self.outcome = Outcome.OVER
        elif end.startswith(text):
            return
        elif text[0] in "},;" or (text[0] == "]" and self._in_list):
            self._in_list &= text[0] != "]"
            held.take(1)
            self._next(self._read_end)
        elif text[0] == "{":
            self._object = ObjectScan(end)
            self._next(self._read_head)
        else:
            self.outcome = Outcome.OVER
        yield from ()


# Anything in a string may have been escaped, and there may be spaces everywhere.
_STRING = r'"(?:[^"\\]|\\.)*"'
_SMALL = rf'(?:"(?:id|type|tool_call_id)"\s*:\s*{_STRING}\s*,\s*)*'
_HEAD = re.compile(
    rf'\s*\{{\s*{_SMALL}"(?:name|tool_name|function)"\s*:\s*(?P<name>{_STRING})\s*,\s*'
    rf'{_SMALL}"(?:arguments|parameters)"\s*:\s*(?=\{{)',
    re.DOTALL,
)
_KEYED_HEAD = re.compile(rf"\s*\{{\s*(?P<name>{_STRING})\s*:\s*(?=\{{)", re.DOTALL)


def _may_name(text: str, names: Collection[str]) -> bool:
    """Whether an object that begins like this may be a call by one of the names."""
    text = "".join(text[: 2 * _LONGEST_HEAD].split())
    heads = (
        f'{{{kind}"{key}":"{"".join(name.split())}"'
        for kind in ("", '"type":"function",')
        for key in ("name", "function")
        for name in names
    )
    return any(head.startswith(text) or text.startswith(head) for head in heads)


class NamedCall(JsonCall):
    """``look_up``, words of the family's own, and ``{"city": "Bern"}``; what is JSON, likewise."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self._head = _head_of(calls.call)
        before, _, _ = calls.call.partition("{name}")
        self._lead = (_TAGS.findall(before) or [""])[0]  # by which a further call is known
        _, _, behind = calls.call.partition("{arguments}")
        self._words = _TAGS.findall(behind)
        self._step = self._read_name

    def _read_name(self, held: Held, last: bool) -> Iterator[Piece]:
        if held.text.lstrip()[:1] in ("{", "["):
            self._next(self._read_open)
        elif found := self._head.match(held.text):
            span = held.take(found.end())
            yield Piece(name=found["name"], tokens=span.tokens, call_id=self._id(found))
            self._begin_arguments(self._read_words)
        elif last or "{" in held.text or len(held.text) > _LONGEST_HEAD or self._ends(held.text):
            self.outcome = Outcome.TEXT

    @staticmethod
    def _id(head: re.Match[str]) -> str:
        """What the model itself calls it, where it must find it again by that."""
        return _TAG.sub("", head[0]).strip() if "index" in head.groupdict() else ""

    def _ends(self, text: str) -> bool:
        return bool(self._row.end) and self._row.end in text

    def _read_words(self, held: Held, last: bool) -> Iterator[Piece]:
        for word in self._words:
            found = passed(held, word, last=last)
            if found is None:
                return
        self._next(self._read_next)
        yield from ()

    def _read_next(self, held: Held, last: bool) -> Iterator[Piece]:
        skip_space(held)
        if self._lead and self._lead.startswith(held.text[: len(self._lead)]):
            if len(held.text) >= len(self._lead):
                self._next(self._read_name)
            elif last:
                self._next(self._read_end)
        else:
            self._next(self._read_end)
        yield from ()


_TAG = re.compile(r"<[^<>{}\s]+>")
_TAGS = re.compile(r"<[^<>{}\s]+>|[^<\s]+")
_PATTERNS = {
    "name": r"(?P<name>[^\s<>{}\[\]\"|]+)",
    "arguments": r"(?=\{)",
    "id": r"[^\s<>{}\[\]]*",
    "index": r"(?P<index>\d+)",
    "key": r'(?P<key>[^<>"]+?)',
    "string": r"(?P<string>true|false)",
}


@lru_cache(maxsize=64)
def _head_of(call: str) -> re.Pattern[str]:
    """Return what a call of this form looks like, up to its arguments."""
    return re.compile(pattern_of(call.partition("{arguments}")[0] + "{arguments}"))


def pattern_of(written: str) -> str:
    """Return what looks like a part of a call that a row has, whatever space is in it."""
    parts = (
        _PATTERNS[part] if place % 2 else r"\s*".join(map(re.escape, re.split(r"\s+", part)))
        for place, part in enumerate(PLACES.split(written))
    )
    return r"\s*" + r"\s*".join(parts)
