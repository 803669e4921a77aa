"""Lists as OpenAI gives them out, a page at a time."""

from collections.abc import Sequence

from models.errors import InvalidRequest
from server.fields import Json
from server.query import Query

_MOST_ITEMS = 100
_USUAL_ITEMS = 20


def page(items: Sequence[Json], query: Query) -> Json:
    """Return a page of items that are given oldest first: the newest, unless ``order`` is asc.

    Raises InvalidRequest.
    """
    limit = query.integer("limit", least=1, most=_MOST_ITEMS)
    order = query.text("order") or "desc"
    if order not in ("asc", "desc"):
        raise InvalidRequest(
            f"\"order\" must be 'asc' or 'desc', not {order[:40]!r}.", field="order"
        )
    rest = list(items) if order == "asc" else list(reversed(items))
    after = query.text("after")
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
