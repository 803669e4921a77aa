"""What lies beside a model and reads pictures for it: which it is, and what it needs."""

from collections.abc import Mapping
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
# What reads pieces of its own size: a picture is shrunk to it, or cut up. All others take it as it
# comes.
OWN_SIZE = frozenset(
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
    width, between = number_of(said, "embedding_length"), number_of(said, "feed_forward_length")
    side = number_of(said, "image_size")
    if kind_of(said) not in OWN_SIZE:
        side = max(side, LONGEST_SIDE)
    patches = min(_MOST_PATCHES, (side // max(1, number_of(said, "patch_size"))) ** 2)
    return patches * (between + _WIDTHS * width) * _NUMBER_BYTES


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


def number_of(said: Mapping[str, Value], name: str) -> int:
    """Return a number of its vision tower; 0: it is not told."""
    found = said.get(f"clip.vision.{name}", 0)
    return found if isinstance(found, int) and found >= 0 else 0


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


def eyes_of(folder: Path) -> Path:
    """Return where an MLX model's vision tower and its processor are."""
    return folder / _EYES if has_eyes_apart(folder) else folder


def has_eyes_apart(folder: Path) -> bool:
    """Whether they lie in a folder of their own, beside a model that reads texts alone."""
    return (folder / _EYES / "config.json").is_file()
