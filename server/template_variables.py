"""``chat_template_kwargs``: what a request says to the model's chat template itself."""

from typing import Any

from server.fields import Fields


def read_template_variables(fields: Fields) -> dict[str, Any]:
    """Return them but for ``enable_thinking``, which each family reads with its own words.

    Raises InvalidRequest.
    """
    given = fields.inner("chat_template_kwargs")  # as vLLM and llama.cpp's server have it
    if given is None:
        return {}
    return {name: given.value(name) for name in given.given() if name != "enable_thinking"}
