"""Where a model is pushed to: the address of a registry, and the name that it has there."""

import re
from dataclasses import dataclass

from models.errors import InvalidRequest
from models.names import DEFAULT_TAG, ModelName

# As Ollama has it (types/model/name.go): a host stands before a namespace, and never alone.
_ADDRESS = re.compile(
    r"(?:(?P<scheme>https?)://)?"
    r"(?P<host>(?:[A-Za-z0-9_.\-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?)"
    r"/(?P<namespace>[^/:]+)/(?P<name>[^/]+)"
)
_LIBRARY = "library"  # Ollama's namespace for the models of nobody in particular
# They take a push from nobody, or from those alone who have an account and its key.
_CLOSED = ("hf.co", "huggingface.co", "ollama.ai", "ollama.com")


@dataclass(frozen=True, slots=True)
class Address:
    host: str  # with its port
    base: str  # the address below which the repository is
    tag: str
    local: str  # what the model is called here


def host_in(name: str) -> bool:
    """Whether a name has a registry's host before it."""
    return _ADDRESS.fullmatch(name) is not None


def parse(name: str, *, insecure: bool) -> Address:
    """Read ``[SCHEME://]HOST[:PORT]/NAMESPACE/MODEL[:TAG]``; ``insecure``: http will do.

    Raises:
        InvalidModelName, InvalidRequest: it is none, or not one that can be pushed to.
    """
    found = _ADDRESS.fullmatch(name)
    if found is None:
        raise InvalidRequest(
            f"{name[:80]!r} names no registry to push to: give the model a name there as "
            "HOST/NAMESPACE/MODEL.",
            field="model",
        )
    host = found["host"]
    bare = host.lower().rpartition(":")[0] or host.lower()
    if any(bare == each or bare.endswith(f".{each}") for each in _CLOSED):
        raise InvalidRequest(
            f"{host} takes models only from those who are signed in there, which is not possible "
            "here: push to a registry of your own.",
            field="model",
        )
    if found["scheme"] == "http" and not insecure:
        raise InvalidRequest("insecure protocol http", field="insecure")  # Ollama's words
    plain = insecure and found["scheme"] != "https"
    there = ModelName.parse(f"{found['namespace']}/{found['name']}")
    repository = f"{there.namespace or _LIBRARY}/{there.model}"
    return Address(
        host=host,
        base=f"{'http' if plain else 'https'}://{host}/v2/{repository}",
        tag=there.tag or DEFAULT_TAG,
        local=str(there),
    )
