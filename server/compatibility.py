"""docs/compatibility.md, written from the contracts: ``python -m server.compatibility``."""

from collections.abc import Iterator

from server.contract import Honour, Row
from server.routes import FAMILIES
from server.schema_words import words

_BEGINNING = """\
# Compatibility

What each route takes, field by field. This page is written from the code (`make docs`), and the
tests hold each row: what is *supported* is read, and done or refused with a reason; what is
*refused* is answered with status 400 and named, since without it the answer would not be what was
asked; what is *ignored* is taken without effect and named in the header `X-Inglenook-Ignored`, as
every field is that is not here. With `X-Inglenook-Strict: 1` that is a 400 too. A field that is
null is as one that is absent. A dot leads into an object, `[]` into each item of a list.

Tool calls of a model that cannot be read come back as text, or with their arguments as they were
written. How many there were is told in the header `X-Inglenook-Unread-Calls`; in a stream, whose
head is sent before, in `unread_calls` in its last object (of several choices, in each one's last).
Where all could be read there is neither.

`/openapi.json` of a running server has the same, and `/docs` shows it.
"""
_HONOURS = {
    Honour.SUPPORTED: "supported",
    Honour.REFUSED: "refused",
    Honour.IGNORED: "ignored, with header",
}


def page() -> str:
    return "".join(_page())


def _page() -> Iterator[str]:
    yield _BEGINNING
    for family in FAMILIES:
        yield f"\n## {family.name}\n"
        for route in family.routes:
            yield f"\n### {route.method} {route.path}\n\n{route.summary}\n"
            if route.streams:
                yield "\nIt streams where it is asked to.\n"
            yield from _table("Query", route.query)
            yield from _table("Field", route.rows)


def _table(heading: str, rows: tuple[Row, ...]) -> Iterator[str]:
    if not rows:
        return
    yield f"\n| {heading} | May be | | |\n|---|---|---|---|\n"
    for row in rows:
        needed = ", required" if row.required else ""
        may_be, honour = words(row.schema) + needed, _HONOURS[row.honour]
        yield f"| `{row.name}` | {may_be} | {honour} | {row.note} |\n"


if __name__ == "__main__":
    print(page(), end="")
