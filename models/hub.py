"""The hub, where models come from: search it, and pull one onto this disk.

huggingface_hub answers who we are, what a repository holds and what an error means. The
bytes we move ourselves (``models.download``): see docs/decisions/downloads.md.
"""

import os
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from models import atomic, download, hub_search, hub_session
from models.disk import check_room
from models.download import Source, wait_for
from models.engine.installed import has_mlx
from models.errors import InferenceError, ModelNotFound
from models.hub_errors import DamagedDownload, HubError, NothingSuitable, PullFailed, told
from models.hub_files import Choice, RemoteFile, choose
from models.hub_progress import PullProgress, Report
from models.hub_search import HubModel
from models.model import Model
from models.names import ModelName
from models.pulls import Pulls
from models.store import Store

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo


class Hub:
    """Searches, and pulls into ``store``. Everything waits for the network: call it from
    a thread that may wait. Several may pull at the same time; those who pull the same model
    share one download.
    """

    def __init__(self, store: Store, endpoint: str | None = None) -> None:
        self._store = store
        self._endpoint = endpoint or os.environ.get("HF_ENDPOINT") or None
        self._pulls = Pulls(self._pull)

    def search(self, query: str, limit: int = 30) -> list[HubModel]:
        """Return models whose names have ``query`` in them, most downloaded first.

        Raises:
            HubError: the hub cannot be reached.
        """
        with told(HubError, "The search"):
            return hub_search.search(self._endpoint, query, limit)

    def pull(
        self,
        name: str,
        on_progress: Callable[[PullProgress], None],
        cancelled: threading.Event,
    ) -> Model:
        """Download a model, verify it, and add it to the store under ``name``.

        ``name`` is a repository, with a quantisation where it has several:
        ``org/model-GGUF:Q8_0``; or a link to its page. Statuses follow one another as with
        Ollama: "pulling manifest", "pulling", "verifying sha256 digest", "writing manifest",
        "success".

        Raises:
            InvalidModelName: it cannot be a name.
            PullCancelled: soon after ``cancelled`` is set. What has arrived is kept.
            DiskFull: there is no room for it, or none any more. Likewise.
            PullFailed: with one sentence that says why.
        """
        if not ModelName.parse(name).namespace:
            return self._already_here(name, on_progress)
        return self._pulls.pull(name, on_progress, cancelled)

    # -- Inside --------------------------------------------

    def _pull(
        self, name: str, on_progress: Callable[[PullProgress], None], cancelled: threading.Event
    ) -> Model:
        parsed = ModelName.parse(name)
        folder = self._store.partial / parsed.file_stem
        report = Report(on_progress)
        with told(PullFailed, parsed.repo), _one_at_a_time(folder, name):
            report.say("pulling manifest")
            revision, choice = self._look(parsed, cancelled)
            hashes = self._fetch_all(parsed, revision, choice, folder, report, cancelled)
            report.say("writing manifest")
            path = folder / choice.main_file if choice.main_file else folder
            model = self._store.adopt(path, name, hashes)
        report.say("success")
        return model

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
            return hub_session.api(self._endpoint).model_info(
                name.repo, files_metadata=True, timeout=hub_session.ASK_SECONDS
            )

        info = wait_for(ask, cancelled)
        files = [
            RemoteFile(
                each.rfilename, each.size, each.lfs.sha256 if each.lfs else None, each.blob_id
            )
            for each in info.siblings or []
            if each.size is not None
        ]
        choice = choose(name.repo, files, name.tag)
        if choice.main_file is None and not has_mlx():
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
        report: Report,
        cancelled: threading.Event,
    ) -> dict[str, str]:
        """Bring the files of a model into ``folder``, and no others; return their SHA-256."""
        from huggingface_hub import hf_hub_url  # noqa: PLC0415

        headers = hub_session.headers()
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
                source = Source(url, headers, file)
                download.fill(source, partial, report.bytes_here, cancelled)
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
            # Alone it has another name here than on the hub.
            present = model.path if file.name == choice.main_file else folder / file.name
            sha256 = _right(present, file, cancelled)
            if sha256 is not None:
                os.link(present, target)
            return sha256
        return None


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


@contextmanager
def _one_at_a_time(folder: Path, name: str) -> Generator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(atomic.lock(folder.with_name(f"{folder.name}.lock"), wait=False))
        except BlockingIOError:
            raise PullFailed(f"{name} is being downloaded already.") from None
        yield
