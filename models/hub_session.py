"""Our way to the hub: huggingface_hub's client and token, and the proxies of this computer."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from models import proxies
from models.hub_errors import ProxyUnusable

if TYPE_CHECKING:
    from httpx2 import Client
    from huggingface_hub import HfApi

ASK_SECONDS = 15.0


def client() -> "Client":
    """Return the one client of this process.

    Raises:
        ProxyUnusable: the environment names a proxy that cannot be spoken to.
    """
    from huggingface_hub.utils import get_session  # noqa: PLC0415  # takes a second

    with by_proxies():
        return get_session()


@contextmanager
def by_proxies() -> Generator[None]:
    """Have a client that is made here take the proxies of this computer.

    Raises:
        ProxyUnusable: the environment names one that cannot be spoken to.
    """
    from httpx2 import InvalidURL  # noqa: PLC0415  # slow, and needed here only

    proxies.translate_socks()
    try:
        yield
    except (InvalidURL, ValueError, ImportError):  # it is made of the proxies' addresses alone
        raise ProxyUnusable(proxies.variables()) from None


def api(endpoint: str | None) -> "HfApi":
    """Return what answers questions about repositories. Raises ProxyUnusable."""
    client()
    from huggingface_hub import HfApi  # noqa: PLC0415

    return HfApi(endpoint=endpoint, library_name="inglenook")


def headers() -> dict[str, str]:
    """With the token that huggingface_hub keeps, where there is one."""
    from huggingface_hub.utils import (  # noqa: PLC0415
        build_hf_headers,  # pyright: ignore[reportUnknownVariableType]
    )

    return build_hf_headers(library_name="inglenook")
