"""API keys: each has a name, and is kept as a hash alone. docs/decisions/api-keys.md says why."""

import hmac
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

from models import atomic
from models.errors import InferenceError, InvalidRequest

_FILE = "api-keys.json"
_LOCK = ".api-keys.lock"
_PREFIX = "ingle-"  # so that programs that look for secrets know one
_RANDOM_BYTES = 32
_NAME = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,58}[^\s\x00-\x1f\x7f])?")


class KeyRefused(InferenceError):
    status_hint = 401


@dataclass(frozen=True, slots=True)
class Key:
    name: str
    sha256: str
    created_at: str  # ISO 8601


class Keys:
    """The keys that are kept under ``home``. Every call reads the file anew, or writes it.

    Raises everywhere:
        OSError: the disk will not have it.
        InvalidRequest: the file cannot be understood.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / _FILE
        self._lock = home / _LOCK

    def all(self) -> tuple[Key, ...]:
        try:
            saved: Any = json.loads(self._path.read_text(encoding="utf-8"))
            listed = cast("list[dict[str, str]]", saved["keys"])
            return tuple(
                Key(**{name: str(value) for name, value in each.items()}) for each in listed
            )
        except FileNotFoundError:
            return ()
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise InvalidRequest(
                f"The API keys in {self._path} cannot be understood: mend the file, or delete it "
                "and make new ones."
            ) from None

    def add(self, name: str) -> str:
        """Return a new key. It is told this once: it cannot be found out later.

        Raises InvalidRequest: there is one of this name, or the name will not do.
        """
        if not _NAME.fullmatch(name):
            raise InvalidRequest("A key's name is a short text, such as 'laptop' or 'my editor'.")
        with atomic.lock(self._lock):
            known = self.all()
            if any(each.name == name for each in known):
                raise InvalidRequest(f"There is a key named {name!r} already.")
            token = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
            created_at = datetime.now(UTC).isoformat(timespec="seconds")
            self._write([*known, Key(name, _digest(token), created_at)])
        return token

    def remove(self, name: str) -> None:
        """Raises InvalidRequest: there is none of this name."""
        with atomic.lock(self._lock):
            known = self.all()
            left = [each for each in known if each.name != name]
            if len(left) == len(known):
                raise InvalidRequest(f"There is no key named {name!r}: see 'ingle key list'.")
            self._write(left)

    def _write(self, keys: Sequence[Key]) -> None:
        saved = {"version": 1, "keys": [asdict(each) for each in keys]}
        atomic.write(self._path, f"{json.dumps(saved, indent=2)}\n".encode())


def key_needed(wish: str, host: str) -> bool:
    """Whether a server that listens on ``host`` asks for keys.

    ``wish`` is "always" or "never"; anything else: where other computers can call. A name that
    is not known may mean any address.
    """
    if wish in ("always", "never"):
        return wish == "always"
    try:
        return host.lower() != "localhost" and not ip_address(host).is_loopback
    except ValueError:
        return True


def are(token: str, keys: Sequence[Key]) -> bool:
    """Whether it is one of them. It takes as long for a wrong one as for any right one."""
    digest = _digest(token)
    found = False
    for each in keys:
        found |= hmac.compare_digest(digest, each.sha256)
    return found


def _digest(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
