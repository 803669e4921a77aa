"""Which files of a repository on the hub make up the model that is asked for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from models import weights
from models.hub_errors import NothingSuitable
from models.names import DEFAULT_TAG
from models.quantization import SHARD, quantization

# The best for most people first: as Ollama takes them from the hub.
_FAVOURITES = ("Q4_K_M", "Q4_0", "Q8_0")
_PROJECTOR = "mmproj"
_NOT_MODELS = (_PROJECTOR, "imatrix")  # parts that lie beside a model
# Of what reads pictures a few bits more are worth their room; BF16 is slow on most processors.
_FAVOURITE_PROJECTORS = ("F16", "Q8_0", "BF16", "F32")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    path: str  # in the repository, with '/'
    size_bytes: int
    sha256: str | None  # of large files
    blob_id: str | None  # git's SHA-1, of small ones

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name


@dataclass(frozen=True, slots=True)
class Choice:
    """The files of one model. ``main_file`` is its (first) GGUF file; None for MLX.

    Where there is one, the projector that reads pictures for it is among them.
    """

    files: tuple[RemoteFile, ...]
    main_file: str | None

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


def choose(repo: str, files: Iterable[RemoteFile], tag: str) -> Choice:
    """Pick the GGUF file with the quantisation ``tag``, or a good one; else an MLX model.

    Raises:
        NothingSuitable: naming what there is instead.
    """
    files = list(files)
    ggufs = _gguf_models(files)
    if ggufs:
        shards = _choose_gguf(repo, ggufs, tag)
        return Choice((*shards, *_projector(files, shards[0])), shards[0].name)
    mlx = [file for file in files if weights.is_mlx_file(file.path)]
    names = {file.path for file in mlx}
    if "config.json" in names and any(name.endswith(".safetensors") for name in names):
        if tag != DEFAULT_TAG:
            raise NothingSuitable(f"{repo} has one model and no {tag!r}: leave out ':{tag}'.")
        return Choice(tuple(mlx), None)
    raise NothingSuitable(
        f"{repo} has no model that runs here: neither GGUF files nor MLX weights."
    )


def _gguf_models(files: Sequence[RemoteFile]) -> list[tuple[RemoteFile, ...]]:
    """Return the models among the files: each a single file, or its shards in order."""
    models: dict[str, list[RemoteFile]] = {}
    for file in sorted(files, key=lambda each: (each.path.count("/"), each.path)):
        path = PurePosixPath(file.path)
        if path.suffix.lower() != ".gguf" or "\\" in file.path:
            continue
        if any(part in path.name.lower() for part in _NOT_MODELS):
            continue
        models.setdefault(SHARD.sub("", str(path.with_suffix(""))), []).append(file)
    return [tuple(shards) for shards in models.values()]


def _choose_gguf(
    repo: str, models: Sequence[tuple[RemoteFile, ...]], tag: str
) -> tuple[RemoteFile, ...]:
    by_label: dict[str, tuple[RemoteFile, ...]] = {}
    for shards in models:
        by_label.setdefault(quantization(shards[0].path), shards)
    if tag != DEFAULT_TAG:
        for label, shards in by_label.items():
            names = {label, shards[0].name, PurePosixPath(shards[0].name).stem}
            if tag.lower() in {name.lower() for name in names}:
                return shards
        there = ", ".join(sorted(by_label))
        raise NothingSuitable(f"{repo} has no {tag!r}. There is: {there}.")
    for label in _FAVOURITES:
        if label in by_label:
            return by_label[label]
    return min(models, key=lambda shards: sum(shard.size_bytes for shard in shards))


def _projector(files: Sequence[RemoteFile], model: RemoteFile) -> tuple[RemoteFile, ...]:
    """Return the projector to take along, if there is one: the nearest to the model's folder."""
    folder = PurePosixPath(model.path).parent
    found = [
        each
        for each in files
        if each.name.lower().endswith(".gguf") and _PROJECTOR in each.name.lower()
        if PurePosixPath(each.path).parent in (folder, *folder.parents)
    ]

    def rank(file: RemoteFile) -> tuple[int, int, int]:
        label = quantization(file.path)
        liked = _FAVOURITE_PROJECTORS
        place = liked.index(label) if label in liked else len(liked)
        return -file.path.count("/"), place, file.size_bytes

    return (min(found, key=rank),) if found else ()
