"""The types of an ASGI application, for those of ours that stand below the framework."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from hypercorn.typing import (
    ASGIReceiveCallable,
    ASGISendCallable,
    HTTPScope,
    LifespanScope,
    WebsocketScope,
)

Calls: TypeAlias = HTTPScope | WebsocketScope
Scope: TypeAlias = Calls | LifespanScope
Asgi: TypeAlias = Callable[[Any, ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]
