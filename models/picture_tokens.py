"""How many tokens a picture will have for a GGUF model, told by its projector's header alone.

A model that is loaded counts by itself; this is for one that is not. It is exact where the
projector shrinks all pictures to one size, a bound from above where it cuts large ones into
tiles, and within some percent elsewhere. Names and defaults are llama.cpp's (tools/mtmd/clip.cpp,
mtmd-image.cpp).
"""

from collections.abc import Callable, Mapping
from math import ceil, prod

from models import gguf
from models.gguf_header import Value
from models.model import Files
from models.projectors import OWN_SIZE, kind_of, number_of

# Of what is cut into tiles, how many there are at the most where the file does not tell.
_MOST_TILES = {"internvl": 12, "llama4": 16, "minicpmv": 9, "resampler": 9}
_BY_AREA = ("minicpmv", "resampler")  # how many: elsewhere by width and height
_QUERIES = 64  # tokens of a tile of MiniCPM-V's, where the file does not tell (2.5's are 96)
# Tokens that tell where a tile is, a tag in front of it and one behind, or the end of a line; and
# where the whole picture is.
_MARKED_TILES = ("idefics3", "llama4", "minicpmv", "resampler")
_MARKS_OF_TILE, _MARKS_OF_TILES, _MARKS = 3, 4, 2
_UNMARKED = ("adapter", "cogvlm", "janus_pro", "ldp", "ldpv2", "mlp")


def likely_tokens(files: Files) -> Callable[[int, int], int]:
    """Return what says how many tokens a picture of some width and height will have.

    Raises:
        LoadFailed: the projector cannot be read.
    """
    said = gguf.read(files.folder / files.projector).metadata
    marks = 0 if kind_of(said) in _UNMARKED else _MARKS
    cell, own, most = _cell(said), number_of(said, "image_size"), _most(said)
    a_tile = _of_tile(said, own, cell)
    tiles = _tiles(said, own)

    def count(width: int, height: int) -> int:
        if a_tile is None:
            found = max(1, round(width / cell)) * max(1, round(height / cell))
            return marks + (min(found, most) if most else found)
        cut = tiles(width, height)
        if cut and kind_of(said) in _MARKED_TILES:
            return (1 + cut) * a_tile + cut * _MARKS_OF_TILE + _MARKS_OF_TILES
        return (1 + cut) * a_tile + marks

    return count


def _cell(said: Mapping[str, Value]) -> int:
    """Return the side of what becomes one token, in pixels."""
    kind = kind_of(said)
    pooled = 4 if kind.startswith("gemma") else number_of(said, "projector.scale_factor")
    merged = 2 if kind.startswith(("qwen", "glm")) else number_of(said, "spatial_merge_size")
    return max(1, number_of(said, "patch_size")) * max(1, pooled, merged)


def _most(said: Mapping[str, Value]) -> int:
    """Return how many tokens a picture has at the most that is not cut; 0: not told."""
    return number_of(said, "image_max_pixels") // _cell(said) ** 2


def _of_tile(said: Mapping[str, Value], own: int, cell: int) -> int | None:
    """Return the tokens of what has the projector's own size; None: it takes any size."""
    kind = kind_of(said)
    if kind in _BY_AREA:
        queries = said.get("clip.minicpmv_query_num")
        return queries if isinstance(queries, int) and queries > 0 else _QUERIES
    return max(1, own // cell) ** 2 if kind in OWN_SIZE else None


def _tiles(said: Mapping[str, Value], own: int) -> Callable[[int, int], int]:
    """Return what says how many tiles there will be beside the whole picture; 0: it is not cut."""
    kind, own = kind_of(said), max(1, own)
    longest = number_of(said, "preproc_image_size")
    most = number_of(said, "preproc_max_tiles") or _pinned(said, own) or _MOST_TILES.get(kind, 0)

    def count(width: int, height: int) -> int:
        sides = (width, height)
        if kind == "idefics3":  # stretched to its longest side first
            return prod(ceil(each * longest / max(sides) / own) for each in sides)
        if max(sides) <= own:
            return 0
        if kind in _BY_AREA:
            return min(ceil(width * height / own**2) + 1, most)
        return min(prod(ceil(each / own) for each in sides), most)

    return count


def _pinned(said: Mapping[str, Value], own: int) -> int:
    """Return the tiles of the largest size that a file names; 0: it names none."""
    sizes = said.get("clip.vision.image_grid_pinpoints")
    if not isinstance(sizes, tuple):
        return 0
    numbers = [each for each in sizes if isinstance(each, int)]
    areas = [a * b for a, b in zip(numbers[::2], numbers[1::2], strict=False)]
    return max(areas, default=0) // own**2
