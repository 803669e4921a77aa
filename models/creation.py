"""Models that are made of others, or of files: ``ingle create`` and Ollama's ``/api/create``.

A model that is made of another shares its files, and has a profile of its own.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from models import adapters, parameters, projectors, weights
from models.blobs import sha256_in
from models.errors import InvalidRequest
from models.go_jinja import to_jinja
from models.hub_progress import PullProgress
from models.model import Adapter, Making, Model, NewAdapter, Profile, Said
from models.store import Store

OnProgress: TypeAlias = Callable[[PullProgress], None]

QUANTIZATIONS = ("F32", "F16", "Q8_0", "Q4_K_S", "Q4_K_M")
_ADAPTER = "adapter.gguf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a model is made of, which is one of the first three, and how it is to be used.

    None leaves it as the base has it.
    """

    base: str | None = None  # the name of a model that is here
    path: Path | None = None  # a GGUF file or MLX folder, which stays where it is
    files: Mapping[str, str] = field(default_factory=dict[str, str])  # sent: digests by name
    sent_adapters: Mapping[str, str] = field(default_factory=dict[str, str])  # likewise
    adapters: tuple[Adapter, ...] = ()  # which stay where they are
    parameters: Mapping[str, object] = field(default_factory=dict[str, object])
    template: str | None = None
    system: str | None = None
    messages: tuple[Said, ...] | None = None
    license: tuple[str, ...] | None = None
    quantize: str = ""


class Creation:
    """A recipe that has been looked through: what can be known to be wrong was said.

    Raises:
        InvalidModelName, InvalidRequest, ModelNotFound, LoadFailed.
    """

    def __init__(self, store: Store, name: str, recipe: Recipe) -> None:
        self._store = store
        self._recipe = recipe
        self._name = str(store.free_name(name))
        if recipe.base is None and recipe.path is None and not recipe.files:
            raise InvalidRequest("neither 'from' or 'files' was specified")  # Ollama's words
        self._base = store.find(recipe.base) if recipe.base is not None else None
        self._quantization = _quantization(recipe.quantize)
        self._sent = _found(store, recipe.files)
        self._sent_adapters = _found(store, recipe.sent_adapters)
        before = self._base.profile if self._base else Profile()
        self._profile, self.ignored = _changed(before, recipe)
        new = tuple(Adapter(path) for path in self._sent_adapters.values())
        if self._base and (new or recipe.adapters):
            adapters.check(self._base, (*self._profile.adapters, *new))

    def run(self, on_progress: OnProgress) -> Model:
        """Make it; statuses are in Ollama's words.

        Raises:
            InvalidRequest, LoadFailed: the files are no model.
            DiskFull
        """

        def say(status: str) -> None:
            on_progress(PullProgress(status))

        with self._store.new_folder(0) as scratch:
            making = Making(self._profile, self._adapters_in(scratch))
            if self._quantization:
                model = self._quantized(making, on_progress)
            elif self._base:
                say(f"using existing layer sha256:{self._base.digest}")
                model = self._store.copy(str(self._base.name), self._name, making)
            elif self._recipe.path:
                say("parsing GGUF" if self._recipe.path.is_file() else "converting model")
                model = self._store.import_path(self._recipe.path, self._name, making=making)
            else:
                model = self._of_files(making, say)
        say("writing manifest")
        for digest in (*self._recipe.files.values(), *self._recipe.sent_adapters.values()):
            self._store.blobs.drop(sha256_in(digest))
        say("success")
        return model

    def _adapters_in(self, scratch: Path) -> tuple[NewAdapter, ...]:
        """Put each adapter that was sent into a folder of its own."""
        found: list[NewAdapter] = []
        for name, digest in self._recipe.sent_adapters.items():
            sha256 = sha256_in(digest)
            folder = scratch / sha256
            folder.mkdir()
            _link(self._sent_adapters[name], folder / _ADAPTER)
            found.append(NewAdapter(folder, _ADAPTER, sha256))
        return tuple(found)

    def _of_files(self, making: Making, say: Callable[[str], None]) -> Model:
        with self._store.new_folder(0) as folder:
            hashes: dict[str, str] = {}
            for name, digest in self._recipe.files.items():
                target = _name_here(name, self._sent[name])
                if target in hashes:
                    raise InvalidRequest(f"Two files are called {target!r}.", field="files")
                say("parsing GGUF" if target.endswith(".gguf") else "converting model")
                (folder / target).parent.mkdir(parents=True, exist_ok=True)
                _link(self._sent[name], folder / target)
                hashes[target] = sha256_in(digest)
                say(f"creating new layer sha256:{hashes[target]}")
            main = _main(folder, hashes)
            if any("mmproj" in each for each in hashes) and not projectors.beside(main):
                raise InvalidRequest("The projector was made for another model.", field="files")
            return self._store.adopt(main, self._name, hashes, making)

    def _quantized(self, making: Making, on_progress: OnProgress) -> Model:
        from models.engine.quantize import quantize  # noqa: PLC0415 - few need it

        source, projector = self._source()
        with self._store.new_folder(source.stat().st_size) as folder:
            target = folder / "model.gguf"
            quantize(source, target, self._quantization, on_progress)
            hashes = {target.name: weights.hash_of(target)}
            if projector:
                shutil.copyfile(projector, folder / "mmproj.gguf")
                hashes["mmproj.gguf"] = weights.hash_of(projector)
            for sha256 in hashes.values():
                on_progress(PullProgress(f"creating new layer sha256:{sha256}"))
            return self._store.adopt(target, self._name, hashes, making)

    def _source(self) -> tuple[Path, Path | None]:
        """Return the GGUF file that is to be quantised, and the projector that goes with it."""
        if self._base:
            files = self._base.files
            paths = [files.path, *([files.folder / files.projector] if files.projector else [])]
        else:
            paths = [self._recipe.path] if self._recipe.path else list(self._sent.values())
        eyes = [each for each in paths if each.is_file() and projectors.is_projector(each)]
        models = [each for each in paths if each not in eyes]
        if len(models) != 1 or not models[0].is_file():
            raise InvalidRequest(
                "Only a model that is one GGUF file can be quantised.", field="quantize"
            )
        return models[0], eyes[0] if eyes else None


def _changed(before: Profile, recipe: Recipe) -> tuple[Profile, tuple[str, ...]]:
    """Return the profile of the new model, and the parameters that have no effect here."""
    profile, ignored = parameters.apply(before, recipe.parameters)
    if recipe.template is not None:
        _check_template(recipe.template)
        profile = replace(profile, template=recipe.template or None)
    if recipe.system is not None:
        profile = replace(profile, system=recipe.system or None)
    if recipe.messages is not None:
        profile = replace(profile, messages=recipe.messages)
    if recipe.license is not None:
        profile = replace(profile, license=recipe.license)
    if recipe.adapters:
        profile = replace(profile, adapters=recipe.adapters)
    return profile, tuple(f"parameters.{name}" for name in ignored)


def _check_template(template: str) -> None:
    from models.engine.template import in_place_of  # noqa: PLC0415 - it brings Jinja along

    try:
        in_place_of(None, to_jinja(template))
    except InvalidRequest as error:
        raise InvalidRequest(f"template error: {error}", field="template") from None


def _quantization(asked: str) -> str:
    wanted = asked.upper()
    if wanted and wanted not in QUANTIZATIONS:
        known = ", ".join(QUANTIZATIONS)
        raise InvalidRequest(
            f"unsupported quantization type {wanted[:20]} - supported types are {known}",
            field="quantize",
        )
    return wanted


def _found(store: Store, files: Mapping[str, str]) -> dict[str, Path]:
    """Return where the files lie that were sent, by their names."""
    found: dict[str, Path] = {}
    for name, digest in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or "\\" in name or ":" in name or ".." in path.parts or not path.name:
            raise InvalidRequest("file path must be relative", field="files")  # Ollama's words
        blob = store.blobs.find(sha256_in(digest))
        if blob is None:
            raise InvalidRequest(
                f"The file {digest} is not here: send it to /api/blobs/{digest} first.",
                field="files",
            )
        found[name] = blob
    return found


def _name_here(name: str, path: Path) -> str:
    """What a file is called in the model's folder."""
    base = PurePosixPath(name).name
    if _is_gguf(path):
        base = base if base.endswith(".gguf") else f"{base}.gguf"
        return f"mmproj-{base}" if projectors.is_projector(path) and "mmproj" not in base else base
    if weights.is_mlx_file(base):
        folder = PurePosixPath(name).parent.name
        own = folder.endswith("_Pooling") or folder == "additional_chat_templates"
        return f"{folder}/{base}" if own else base
    raise InvalidRequest(f"{name!r} is no file of a model that can be run here.", field="files")


def _main(folder: Path, names: Mapping[str, str]) -> Path:
    ggufs = sorted(each for each in names if each.endswith(".gguf") and "mmproj" not in each)
    if ggufs:
        return folder / ggufs[0]
    if any(each.endswith(".gguf") for each in names):
        raise InvalidRequest("There is a projector, and no model that it is for.", field="files")
    return folder


def _is_gguf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"GGUF"


def _link(source: Path, target: Path) -> None:
    """Have a file under a second name, without its bytes twice where the disk can do that."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
