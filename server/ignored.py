"""What a request asked for without effect: told in a header, or refused where that is wanted."""

from collections.abc import Iterable
from urllib.parse import quote

from werkzeug.datastructures import Headers

from models.errors import InvalidRequest

_MOST_NAMES = 50  # a header has its limits


def ignored_headers(ignored: Iterable[str], asked: Headers) -> dict[str, str]:
    """Return ``X-Inglenook-Ignored`` for the names of fields.

    Raises:
        InvalidRequest: there are any, and the headers ``asked`` for strictness.
    """
    names = [quote(name, safe="[]", errors="replace") for name in ignored][:_MOST_NAMES]
    if not names:
        return {}
    if asked.get("X-Inglenook-Strict", "").strip() == "1":
        raise InvalidRequest(f"Not supported here: {', '.join(names)}.", field=names[0])
    return {"X-Inglenook-Ignored": ",".join(names)}
