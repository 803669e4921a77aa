"""Lists as OpenAI gives them out, a page at a time; and what else is asked for in an address."""

from collections.abc import Sequence

from werkzeug.datastructures import MultiDict

from models.errors import InvalidRequest
from server.fields import Json

_MOST_ITEMS = 100
_USUAL_ITEMS = 20


def page(items: Sequence[Json], asked: "MultiDict[str, str]") -> Json:
    """Return a page of items that are given oldest first: the newest, unless ``order`` is asc.

    Raises InvalidRequest.
    """
    limit = read_integer(asked, "limit", least=1, most=_MOST_ITEMS)
    order = asked.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidRequest(
            f"\"order\" must be 'asc' or 'desc', not {order[:40]!r}.", field="order"
        )
    rest = list(items) if order == "asc" else list(reversed(items))
    after = asked.get("after")
    if after:
        ids = [each["id"] for each in rest]
        if after not in ids:
            raise InvalidRequest(f'"after" {after[:80]!r} is none of the items.', field="after")
        rest = rest[ids.index(after) + 1 :]
    shown = rest[: limit or _USUAL_ITEMS]
    return list_body(shown, has_more=len(shown) < len(rest))


def list_body(items: Sequence[Json], *, has_more: bool = False) -> Json:
    return {
        "object": "list",
        "data": [*items],
        "has_more": has_more,
        "first_id": items[0]["id"] if items else "",  # the schema has no null for it
        "last_id": items[-1]["id"] if items else "",
    }


def read_integer(
    asked: "MultiDict[str, str]", name: str, *, least: int, most: int = 2**53
) -> int | None:
    """Raises InvalidRequest."""
    text = asked.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not least <= int(text[:20]) <= most:
        raise InvalidRequest(f'"{name}" must be a whole number from {least} on.', field=name)
    return int(text)


def read_flag(asked: "MultiDict[str, str]", name: str) -> bool:
    """Raises InvalidRequest."""
    text = asked.get(name, "false").lower()
    if text not in ("true", "false"):
        raise InvalidRequest(f'"{name}" must be true or false, not {text[:40]!r}.', field=name)
    return text == "true"


def read_texts(asked: "MultiDict[str, str]", name: str) -> list[str]:
    """Both ways in use: the name again and again, or with brackets."""
    return [*asked.getlist(name), *asked.getlist(f"{name}[]")]
