"""What can go wrong between the hub and this disk, each told in one sentence."""

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from http import HTTPStatus

from models import proxies
from models.disk import room_needed
from models.errors import DiskFull, InferenceError

log = logging.getLogger(__name__)


class HubError(InferenceError):
    """The hub cannot be asked, or says no."""

    status_hint = 502


class PullFailed(HubError):
    """A model could not be downloaded. What has arrived is kept for the next try."""


class NothingSuitable(HubError):
    """The repository has no model that we can run, or not in that quantisation."""


class DamagedDownload(HubError):
    """What arrived is not what the hub said it would send."""


class ProxyUnusable(HubError):
    def __init__(self, variables: Sequence[str]) -> None:
        # Not what they say: there may be a password in it.
        named = " and ".join(variables) or "this computer's settings"
        super().__init__(
            f"The proxy that {named} names cannot be used: write its address as "
            "http://HOST:PORT or socks5://HOST:PORT, or unset it."
        )


class PullCancelled(InferenceError):
    """The download was stopped by whoever asked for it. It can be taken up again."""

    def __init__(self) -> None:
        super().__init__("The download was stopped.")


@contextmanager
def told(error_class: type[HubError], what: str) -> Generator[None]:
    """Say in one sentence what went wrong, whoever noticed."""
    try:
        with room_needed():
            yield
    except (PullCancelled, PullFailed, DiskFull):
        raise
    except InferenceError as error:
        raise error_class(str(error)) from None
    except Exception as error:
        sentence = _sentence(error, what)
        if sentence is None:
            raise
        log.info("The hub: %r", error)
        raise error_class(sentence) from None


def _sentence(error: Exception, what: str) -> str | None:
    """Return None for a bug of ours."""
    from huggingface_hub import errors  # noqa: PLC0415

    match error:
        case errors.GatedRepoError():
            return (
                f"{what} is open only to those who accept its conditions: do so on its page, "
                "and sign in with 'hf auth login'."
            )
        case errors.RepositoryNotFoundError() | errors.RevisionNotFoundError():
            return (
                f"The hub has no model {what}, or it is private: check the name, "
                "or sign in with 'hf auth login'."
            )
        case errors.HFValidationError():
            return f"{what} cannot be the name of a repository on the hub."
        case errors.HfHubHTTPError():
            return _refusal(error.response.status_code, what)
        case errors.OfflineModeIsEnabled():
            return "The hub is not asked: HF_HUB_OFFLINE is set."
        case OSError():
            return f"{what} cannot be written to the disk: {error.strerror or error}."
        case _:
            return _not_reached(error)


def _not_reached(error: Exception) -> str | None:
    from httpx2 import HTTPError, InvalidURL  # noqa: PLC0415

    match error:
        case InvalidURL():
            return "HF_ENDPOINT is not an address: write it as https://huggingface.co, or unset it."
        case UnicodeEncodeError():
            return "HF_TOKEN is not a token: copy it anew from the hub, or unset it."
        case HTTPError():
            through = " and ".join(proxies.variables())
            proxy = f" and the proxy that {through} names" if through else ""
            return f"The hub cannot be reached: check the connection{proxy}, and try again."
        case _:
            return None


def _refusal(status: int, what: str) -> str:
    match status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return f"The hub does not let you have {what}: sign in with 'hf auth login'."
        case HTTPStatus.NOT_FOUND:
            return f"The hub has lost a file of {what}: try again later."
        case HTTPStatus.TOO_MANY_REQUESTS:
            return "The hub has had too many requests from here: try again in some minutes."
        case _:
            return f"The hub cannot answer now (HTTP {status}): try again later."
