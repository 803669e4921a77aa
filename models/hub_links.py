"""A page of the hub as people paste it, and the model that it shows."""

from models.errors import InvalidModelName
from models.names import DEFAULT_TAG, ModelName


def model_at(text: str) -> str:
    """Return ``org/repo``, or ``org/repo:Q8_0`` where a link leads to one GGUF file.

    What is no link to a model comes back as it is, without the space around it.
    """
    text = text.strip()
    if not text.lower().startswith(("http://", "https://")):
        return text
    try:
        name = ModelName.parse(text)
    except InvalidModelName:
        return text
    return str(name).removesuffix(f":{DEFAULT_TAG}") if name.namespace else text
