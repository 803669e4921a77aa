"""Push a model to a registry of Ollama's protocol, which is much like that for containers.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md#push, and Ollama's
server/upload.go. What the registry has already is not sent again.
"""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from models import registry_layers
from models.errors import InferenceError
from models.hub_progress import PullProgress
from models.hub_session import by_proxies
from models.registry_address import Address, host_in, parse
from models.registry_upload import RegistryRefused, Upload
from models.store import Store

if TYPE_CHECKING:
    from httpx2 import Client

_WAIT_SECONDS = 30.0  # for a byte, or for an answer

OnProgress = Callable[[PullProgress], None]


class PushFailed(InferenceError):
    """The registry cannot be reached, or does not take the model."""

    status_hint = HTTPStatus.BAD_GATEWAY


class Registry:
    """Pushes from ``store``. It waits for the network: call it from a thread that may wait."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def push(
        self, name: str, on_progress: OnProgress, cancelled: threading.Event, *, insecure: bool
    ) -> None:
        """Send a model to ``HOST/NAMESPACE/MODEL[:TAG]``: here it is called what follows the host.

        Statuses follow one another as with Ollama: "retrieving manifest", "pushing" with the
        bytes of one file, "pushing manifest", "success". ``insecure``: by http.

        Raises:
            ModelNotFound, LoadFailed: as ``Store.find``.
            InvalidModelName, InvalidRequest: the name has no host that takes models, or the
                model is none that a registry can keep.
            PushFailed: with one sentence that says why.
            PullCancelled: soon after ``cancelled`` is set.
        """
        if not host_in(name):
            self._store.find(name)
        address = parse(name, insecure=insecure)
        model = self._store.find(address.local)
        registry_layers.check(model)
        on_progress(PullProgress("retrieving manifest"))
        layers = registry_layers.layers_of(model)
        config = registry_layers.config_of(model, layers)
        with _told(address), _client() as client:
            upload = Upload(client, address.base, on_progress, cancelled)
            for each in (*layers, config):
                upload.send(each)
            on_progress(PullProgress("pushing manifest"))
            upload.put_manifest(address.tag, registry_layers.manifest(config, layers))
        on_progress(PullProgress("success"))


def _client() -> "Client":
    """Raises ProxyUnusable."""
    from httpx2 import Client, Timeout  # noqa: PLC0415  # slow, and needed here only

    with by_proxies():
        return Client(timeout=Timeout(_WAIT_SECONDS))


@contextmanager
def _told(address: Address) -> Generator[None]:
    """Say in one sentence what went wrong between us and the registry."""
    from httpx2 import HTTPError, InvalidURL  # noqa: PLC0415

    try:
        yield
    except RegistryRefused as error:
        raise PushFailed(_refusal(error, address.host)) from None
    except (HTTPError, InvalidURL):
        by = address.base.partition(":")[0]
        hint = "" if by == "http" else ", or push with 'insecure' if it has no certificate"
        raise PushFailed(
            f"The registry {address.host} cannot be reached by {by}: check its address{hint}."
        ) from None


def _refusal(error: RegistryRefused, host: str) -> str:
    said = f": {error.said}" if error.said else ""
    match error.status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return (
                f"The registry {host} takes models only from those who are signed in there, "
                "which is not possible here."
            )
        case HTTPStatus.NOT_FOUND | HTTPStatus.METHOD_NOT_ALLOWED:
            return f"{host} is no registry that models can be pushed to{said}."
        case _:
            return f"The registry {host} does not take the model (HTTP {error.status}){said}."
