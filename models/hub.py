"""The hub, where models come from: search it, and pull one onto this disk.

huggingface_hub answers who we are, what a repository holds and what an error means. The
bytes we move ourselves (``models.download``): see docs/decisions/downloads.md.
"""

import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from models import atomic, download
from models.disk import check_room
from models.download import wait_for
from models.errors import InferenceError, ModelNotFound
from models.hub_errors import (
    DamagedDownload,
    HubError,
    NothingSuitable,
    PullCancelled,
    PullFailed,
    told,
)
from models.hub_files import Choice, RemoteFile, choose
from models.model import Kind, Model
from models.names import ModelName
from models.store import Store

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo

__all__ = ["Hub", "HubError", "HubModel", "PullCancelled", "PullFailed", "PullProgress"]

_ASK_SECONDS = 15.0
_SECONDS_BETWEEN_REPORTS = 0.1
_HUB_LIBRARIES = {Kind.LLAMA: "gguf", Kind.MLX: "mlx"}
# Bytes a number, by the names that safetensors has for types.
_TYPE_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "U16": 2}


@dataclass(frozen=True, slots=True)
class HubModel:
    repo: str  # "org/model"
    kind: Kind
    downloads: int
    likes: int
    size_bytes: int | None  # None: it depends on the quantisation, or is not told


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a pull is. The bytes are those of all files of the model together."""

    status: str  # in Ollama's words: see ``Hub.pull``
    file: str = ""  # the one on its way
    completed_bytes: int = 0
    total_bytes: int = 0  # 0 while it is not known


class Hub:
    """Searches, and pulls into ``store``. Everything waits for the network: call it from
    a thread that may wait. Several may pull at the same time.
    """

    def __init__(self, store: Store, endpoint: str | None = None) -> None:
        self._store = store
        self._endpoint = endpoint or os.environ.get("HF_ENDPOINT") or None

    def search(self, query: str, limit: int = 30) -> list[HubModel]:
        """Return models whose names have ``query`` in them, most downloaded first.

        Raises:
            HubError: the hub cannot be reached.
        """
        kinds = [Kind.LLAMA] if find_spec("mlx_lm") is None else [Kind.LLAMA, Kind.MLX]
        found: dict[str, HubModel] = {}
        with told(HubError, "The search"):
            for kind in kinds:
                for model in self._search(query, kind, limit):
                    found.setdefault(model.repo, model)
        return sorted(found.values(), key=lambda model: -model.downloads)[:limit]

    def pull(
        self,
        name: str,
        on_progress: Callable[[PullProgress], None],
        cancelled: threading.Event,
    ) -> Model:
        """Download a model, verify it, and add it to the store under ``name``.

        ``name`` is a repository, with a quantisation where it has several:
        ``org/model-GGUF:Q8_0``. Statuses follow one another as with Ollama: "pulling
        manifest", "pulling", "verifying sha256 digest", "writing manifest", "success".

        Raises:
            InvalidModelName: it cannot be a name.
            PullCancelled: soon after ``cancelled`` is set. What has arrived is kept.
            PullFailed: with one sentence that says why.
        """
        parsed = ModelName.parse(name)
        if not parsed.namespace:
            return self._already_here(name, on_progress)
        folder = self._store.partial / parsed.file_stem
        report = _Report(on_progress)
        with told(PullFailed, parsed.repo), _alone(folder, name):
            report.say("pulling manifest")
            revision, choice = self._look(parsed, cancelled)
            hashes = self._fetch_all(parsed, revision, choice, folder, report, cancelled)
            report.say("writing manifest")
            path = folder / choice.main_file if choice.main_file else folder
            model = self._store.adopt(path, name, hashes)
        report.say("success")
        return model

    # -- Inside --------------------------------------------

    def _api(self) -> "HfApi":
        from huggingface_hub import HfApi  # noqa: PLC0415  # takes a second

        return HfApi(endpoint=self._endpoint, library_name="inglenook")

    def _search(self, query: str, kind: Kind, limit: int) -> list[HubModel]:
        # Not HfApi.list_models: without a network it tries again for 23 seconds.
        from huggingface_hub.utils import get_session, hf_raise_for_status  # noqa: PLC0415

        response = get_session().get(
            f"{self._api().endpoint}/api/models",
            params={
                "search": query,
                "filter": _HUB_LIBRARIES[kind],
                "sort": "downloads",
                "limit": limit,
                "expand": ["downloads", "likes", "safetensors"],
            },
            headers=_headers(),
            timeout=_ASK_SECONDS,
        )
        hf_raise_for_status(response)
        found = cast("list[dict[str, Any]]", response.json())
        return [
            HubModel(
                repo=str(entry["id"]),
                kind=kind,
                downloads=int(entry.get("downloads") or 0),
                likes=int(entry.get("likes") or 0),
                size_bytes=_weight_bytes(entry) if kind is Kind.MLX else None,
            )
            for entry in found
        ]

    def _already_here(self, name: str, on_progress: Callable[[PullProgress], None]) -> Model:
        """The pocket model, and what was imported, need no hub."""
        try:
            model = self._store.find(name)
        except ModelNotFound:
            raise PullFailed(
                f"{name!r} names no repository of the hub: write 'org/model', "
                "or 'org/model:Q4_K_M' for one of several quantisations."
            ) from None
        on_progress(PullProgress("success"))
        return model

    def _look(self, name: ModelName, cancelled: threading.Event) -> tuple[str, Choice]:
        """Ask what is in the repository; return its revision, and what we take."""

        def ask() -> "ModelInfo":
            return self._api().model_info(name.repo, files_metadata=True, timeout=_ASK_SECONDS)

        info = wait_for(ask, cancelled)
        files = [
            RemoteFile(
                each.rfilename, each.size, each.lfs.sha256 if each.lfs else None, each.blob_id
            )
            for each in info.siblings or []
            if each.size is not None
        ]
        choice = choose(name.repo, files, name.tag)
        if choice.main_file is None and find_spec("mlx_lm") is None:
            raise NothingSuitable(
                f"{name.repo} is for MLX, which is not on this computer: "
                "look for a GGUF version of it."
            )
        return info.sha or "main", choice

    def _fetch_all(
        self,
        name: ModelName,
        revision: str,
        choice: Choice,
        folder: Path,
        report: "_Report",
        cancelled: threading.Event,
    ) -> dict[str, str]:
        """Bring the files of a model into ``folder``, and no others; return their SHA-256."""
        from huggingface_hub import hf_hub_url  # noqa: PLC0415

        headers = _headers()
        _keep_only(choice, folder)
        here = sum(each.stat().st_size for each in folder.iterdir())
        check_room(folder, choice.size_bytes - here)
        report.begin(choice.size_bytes)
        hashes: dict[str, str] = {}
        for file in choice.files:
            target = folder / file.name
            report.next_file(file)
            sha256 = _right(target, file, cancelled) or self._take_over(
                name, choice, file, target, cancelled
            )
            if sha256 is None:
                partial = download.partial_path(folder, file)
                url = hf_hub_url(name.repo, file.path, revision=revision, endpoint=self._endpoint)
                download.fill(url, headers, file, partial, report.bytes_here, cancelled)
                report.say("verifying sha256 digest")
                sha256 = _verified(partial, file, cancelled)
                partial.rename(target)
            hashes[file.name] = sha256
            report.bytes_here(file.size_bytes)
        return hashes

    def _take_over(
        self,
        name: ModelName,
        choice: Choice,
        file: RemoteFile,
        target: Path,
        cancelled: threading.Event,
    ) -> str | None:
        """Link a file that the model of this name already has here; None where it has not."""
        with suppress(InferenceError, OSError):
            model = self._store.find(str(name))
            if not self._store.owns(model):
                return None
            folder = model.files.folder
            alone = choice.main_file is not None and len(choice.files) == 1
            present = model.path if alone else folder / file.name
            sha256 = _right(present, file, cancelled)
            if sha256 is not None:
                os.link(present, target)
            return sha256
        return None


class _Report:
    """Tells of progress, ten times a second at most, and of each new status."""

    def __init__(self, on_progress: Callable[[PullProgress], None]) -> None:
        self._on_progress = on_progress
        self._said = PullProgress("")
        self._before = 0  # bytes of the files that came before this one
        self._size = 0  # of this one
        self._next_report = 0.0

    def say(self, status: str) -> None:
        self._said = replace(self._said, status=status)
        self._on_progress(self._said)

    def begin(self, total_bytes: int) -> None:
        self._said = replace(self._said, total_bytes=total_bytes)

    def next_file(self, file: RemoteFile) -> None:
        self._before += self._size
        self._size = file.size_bytes
        self._said = replace(self._said, file=file.name, completed_bytes=self._before)
        self.say("pulling")

    def bytes_here(self, count: int) -> None:
        """``count`` bytes of the file on its way are on the disk."""
        self._said = replace(self._said, completed_bytes=self._before + count)
        now = time.monotonic()
        if count == self._size or now >= self._next_report:
            self._next_report = now + _SECONDS_BETWEEN_REPORTS
            self._on_progress(self._said)


def _keep_only(choice: Choice, folder: Path) -> None:
    """Make ``folder``, or delete from it what an older version of the model left there."""
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)  # a download that goes on is not an old one: see ``Store``
    wanted = {file.name for file in choice.files}
    wanted |= {download.partial_path(folder, file).name for file in choice.files}
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()


def _right(path: Path, file: RemoteFile, cancelled: threading.Event) -> str | None:
    """Return the SHA-256 of a file that is there, if it is what the hub has."""
    if not path.is_file() or path.stat().st_size != file.size_bytes:
        return None
    try:
        return download.verify(path, file, cancelled)
    except DamagedDownload:
        return None


def _verified(partial: Path, file: RemoteFile, cancelled: threading.Event) -> str:
    try:
        return download.verify(partial, file, cancelled)
    except DamagedDownload:
        partial.unlink()  # the next pull begins again
        raise


def _headers() -> dict[str, str]:
    """With the token that huggingface_hub keeps, where there is one."""
    from huggingface_hub.utils import (  # noqa: PLC0415
        build_hf_headers,  # pyright: ignore[reportUnknownVariableType]
    )

    return build_hf_headers(library_name="inglenook")


def _weight_bytes(entry: dict[str, Any]) -> int | None:
    facts = cast("dict[str, Any]", entry.get("safetensors") or {})
    counts = cast("dict[str, int]", facts.get("parameters") or {})
    return sum(count * _TYPE_BYTES.get(kind, 1) for kind, count in counts.items()) or None


@contextmanager
def _alone(folder: Path, name: str) -> Generator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(atomic.lock(folder.with_name(f"{folder.name}.lock"), wait=False))
        except BlockingIOError:
            raise PullFailed(f"{name} is being downloaded already.") from None
        yield
