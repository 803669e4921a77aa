"""What a request asked for without effect: told in a header, or refused where that is wanted."""

from urllib.parse import quote

from werkzeug.datastructures import Headers

from models.errors import InvalidRequest
from server.fields import Fields

_MOST_NAMES = 50  # a header has its limits


def ignored_headers(fields: Fields, asked: Headers) -> dict[str, str]:
    """Return ``X-Inglenook-Ignored``, once everything has been read.

    Raises:
        InvalidRequest: something is ignored, and the headers ``asked`` for strictness.
    """
    names = [quote(name, safe="[]") for name in fields.ignored()][:_MOST_NAMES]
    if not names:
        return {}
    if asked.get("X-Inglenook-Strict", "").strip() == "1":
        raise InvalidRequest(f"Not supported here: {', '.join(names)}.", field=names[0])
    return {"X-Inglenook-Ignored": ",".join(names)}
