"""Everything that can go wrong with a request, told to whoever made it.

    InferenceError
    ├── InvalidRequest        the request could never work
    │   ├── InvalidModelName  what was given cannot be a model's name
    │   ├── ContextOverflow   the prompt is longer than the context
    │   └── NotAble           the model, or its engine, cannot do that
    ├── ModelNotFound         no such model on this computer
    ├── LoadFailed            the model's files are there and cannot be run
    ├── DiskFull              there is no room for the model on the disk
    ├── OutOfMemory           the model or its KV cache does not fit
    ├── ModelCrashed          the process that ran the model has died
    ├── ServerBusy            too many requests are waiting already
    └── EngineClosed          the program is shutting down

What downloads raise beside these is in ``models/hub_errors.py`` (``HubError`` and its
children, ``PullCancelled``), what bodies raise in ``server/body.py``.

Anything else that is raised is a bug, and is left to look like one.
"""

from typing import ClassVar, Self


class InferenceError(Exception):
    """``str(error)`` is one sentence that a person can act on."""

    status_hint: ClassVar[int] = 500  # for the families that speak HTTP

    def again(self) -> Self:
        """Return the same error anew, for one reader: tracebacks of several would mix."""
        same = type(self).__new__(type(self), *self.args)
        same.__dict__.update(self.__dict__)
        return same

    def __str__(self) -> str:
        # A file's name need not be UTF-8, and a sentence must pass every wire and terminal.
        return super().__str__().encode("utf-8", "replace").decode()


class InvalidRequest(InferenceError):
    status_hint = 400

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidModelName(InvalidRequest):
    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} cannot be a model's name: use letters, digits, '.', '_' and '-', "
            "as in 'llama3.2:3b' or 'org/model'.",
            field="model",
        )
        self.name = name


class ContextOverflow(InvalidRequest):
    """``at_least``: it was not counted to its end. ``what`` is too long: "the prompt"."""

    def __init__(
        self,
        *,
        prompt_tokens: int,
        context_length: int,
        at_least: bool = False,
        what: str = "the prompt",
    ) -> None:
        count = f"at least {prompt_tokens}" if at_least else f"{prompt_tokens}"
        super().__init__(
            f"{what[0].upper()}{what[1:]} has {count} tokens and the context holds "
            f"{context_length}: shorten {what} or ask for a longer context."
        )
        self.prompt_tokens = prompt_tokens
        self.context_length = context_length


class NotAble(InvalidRequest):
    """``lacking`` are the values of ``models.abilities.Ability`` that it would need.

    ``remedy`` is a sentence, where the model could have them.
    """

    def __init__(self, model: str, lacking: tuple[str, ...], remedy: str = "") -> None:
        super().__init__(
            f"Model {model!r} cannot do this here: {', '.join(lacking)}. "
            f"{remedy or 'Leave it out, or choose another model.'}"
        )
        self.model = model
        self.lacking = lacking
        self.remedy = remedy


class ModelNotFound(InferenceError):
    status_hint = 404

    def __init__(self, model: str) -> None:
        super().__init__(f"Model {model!r} is not on this computer.")
        self.model = model


class LoadFailed(InferenceError):
    pass


class DiskFull(InferenceError):
    status_hint = 507


class OutOfMemory(InferenceError):
    status_hint = 503


class ModelCrashed(InferenceError):
    pass


class ServerBusy(InferenceError):
    status_hint = 503


class EngineClosed(InferenceError):
    status_hint = 503
