"""What lies beside a model and reads pictures for it: which it is, and what it needs."""

from collections.abc import Callable, Mapping
from pathlib import Path

from models import gguf
from models.errors import LoadFailed
from models.gguf_header import Header, Value
from models.images import LONGEST_SIDE
from models.model import Files, Model

_ARCHITECTURE = "clip"
_EYES = "vision"  # in an MLX model's folder
# Projectors of these families go with no other family's models, whatever their widths. Both are
# by llama.cpp's names (tools/mtmd/clip-impl.h, src/llama-arch.cpp).
_FAMILIES = ("gemma", "glm", "llama4", "qwen")
# What has other sizes than its own is cut up, or shrunk; all others take a picture as it comes.
_ONE_SIZE = frozenset(
    (
        "adapter",
        "cogvlm",
        "gemma3",
        "gemma3nv",
        "idefics3",
        "internvl",
        "janus_pro",
        "ldp",
        "ldpv2",
        "llama4",
        "minicpmv",
        "mlp",
        "resampler",
    )
)
# Every token of a picture looks at all others of it, so they go through the model at once: the
# most there can be (tools/mtmd/mtmd.cpp, mtmd_decode_use_non_causal; clip.cpp).
_READ_AT_ONCE = {"gemma3": 256, "gemma4v": 1120, "gemma4uv": 1120, "deepseek4v": 384}
_MOST_PATCHES = 16_384  # llama.cpp shrinks a picture that has more
_NUMBER_BYTES = 4
# Numbers of a patch on its way through a layer, in widths of that, beside what is between.
_WIDTHS = 8


def beside(path: Path) -> str:
    """Return the name of the projector that goes with the GGUF file ``path``; "" for none.

    It lies in the same folder with "mmproj" in its name, as repositories have it, sees, and
    makes embeddings of the model's width. Of several the smallest is taken.
    """
    found: list[tuple[int, str]] = []
    model = None
    for each in path.parent.glob("*mmproj*.gguf"):
        if each.name == path.name:
            continue
        try:
            model = model or gguf.read(path)
            if _goes_with(gguf.read(each), model):
                found.append((each.stat().st_size, each.name))
        except LoadFailed:
            continue  # a file of somebody else's, or the model itself: that is told later
    return min(found)[1] if found else ""


def is_projector(path: Path) -> bool:
    """Whether a file is one, of whatever model."""
    try:
        about = gguf.read(path).metadata
    except LoadFailed:
        return False
    return (
        about.get("general.architecture") == _ARCHITECTURE or about.get("general.type") == "mmproj"
    )


def picture_bytes(files: Files) -> int:
    """Return how much memory it takes to read one picture, beside the projector's weights.

    Measured with llama.cpp's: 45 KB a patch where this says 54, and 59 where it says 61.

    Raises:
        LoadFailed: the file cannot be read.
    """
    if not files.projector:
        return 0
    said = gguf.read(files.folder / files.projector).metadata
    width, between = _number(said, "embedding_length"), _number(said, "feed_forward_length")
    side = _number(said, "image_size")
    if kind_of(said) not in _ONE_SIZE:
        side = max(side, LONGEST_SIDE)
    patches = min(_MOST_PATCHES, (side // max(1, _number(said, "patch_size"))) ** 2)
    return patches * (between + _WIDTHS * width) * _NUMBER_BYTES


def likely_tokens(files: Files) -> Callable[[int, int], int]:
    """Return what says how many tokens a picture of some width and height will have.

    It is exact where the picture is shrunk to one size, and within some percent elsewhere. A
    loaded model counts by itself.

    Raises:
        LoadFailed: the file cannot be read.
    """
    said = gguf.read(files.folder / files.projector).metadata
    kind = kind_of(said)
    pooled = 4 if kind.startswith("gemma") else _number(said, "projector.scale_factor")
    merged = 2 if kind.startswith(("qwen", "glm")) else _number(said, "spatial_merge_size")
    cell = max(1, _number(said, "patch_size")) * max(1, pooled, merged)
    own = _number(said, "image_size")

    def count(width: int, height: int) -> int:
        if kind in _ONE_SIZE:
            return max(1, own // cell) ** 2
        return max(1, round(width / cell)) * max(1, round(height / cell))

    return count


def read_at_once(model: Model) -> int:
    """Return how many tokens of a picture have to go through the model at once; 0: any number.

    Raises:
        LoadFailed: as ``check``.
    """
    files = model.files
    if not files.projector:
        return 0
    return _READ_AT_ONCE.get(kind_of(gguf.read(files.folder / files.projector).metadata), 0)


def check(model: Model) -> None:
    """Raises LoadFailed where a model's projector is gone, damaged, or another model's."""
    name = model.files.projector
    if not name:
        return
    path = model.files.folder / name
    problem = ""
    if not path.is_file():
        problem = f"its projector {path} is gone: put it back, or import the model again"
    else:
        try:
            projector = gguf.read(path)
        except LoadFailed:
            problem = f"its projector {name} is damaged or incomplete: download it again"
        else:
            if not _goes_with(projector, gguf.read(model.path)):
                problem = f"its projector {name} was made for another model"
    if problem:
        raise LoadFailed(f"Model '{model.name}' cannot be loaded: {problem}.")


def kind_of(metadata: Mapping[str, Value]) -> str:
    """Return what kind of projector it is, in llama.cpp's words."""
    for key in ("clip.vision.projector_type", "clip.projector_type"):
        if isinstance(kind := metadata.get(key), str):
            return kind
    return "mlp"  # the oldest do not tell


def _goes_with(projector: Header, model: Header) -> bool:
    said = projector.metadata
    if said.get("general.architecture") != _ARCHITECTURE:
        return False
    if said.get("clip.has_vision_encoder") is False:  # it hears
        return False
    architecture = str(model.metadata.get("general.architecture"))
    width = model.metadata.get(f"{architecture}.embedding_length")
    kind = kind_of(said)
    family = next((each for each in _FAMILIES if kind.startswith(each)), "")
    return said.get("clip.vision.projection_dim", width) == width and architecture.startswith(
        family
    )


def _number(said: Mapping[str, Value], name: str) -> int:
    found = said.get(f"clip.vision.{name}", 0)
    return found if isinstance(found, int) and found >= 0 else 0


def eyes_of(folder: Path) -> Path:
    """Return where an MLX model's vision tower and its processor are."""
    return folder / _EYES if has_eyes_apart(folder) else folder


def has_eyes_apart(folder: Path) -> bool:
    """Whether they lie in a folder of their own, beside a model that reads texts alone."""
    return (folder / _EYES / "config.json").is_file()
