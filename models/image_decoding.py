"""From a picture's file to ``Picture``, by Pillow. No start of the program needs to import it.

Sizes are looked at before anything is decoded, and Pillow gives up the GIL while it decodes.
"""

import ctypes
import hashlib
import logging
import warnings
from contextlib import suppress
from io import BytesIO
from typing import Any

from PIL import Image, ImageCms, ImageFile, TiffImagePlugin

from models.errors import InvalidRequest
from models.image_kinds import explain
from models.images import MOST_BYTES, MOST_PIXELS, MOST_PROPORTION, Picture

log = logging.getLogger(__name__)

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "MPO")
# A progressive JPEG has some ten; each goes over all of the picture, however few bytes it has.
_MOST_SCANS = 100
_SCAN = b"\xff\xda"
_ORIENTATION = 0x0112  # of EXIF
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DAMAGED = "The picture is damaged, or not whole: send it again."

_SRGB = ImageCms.ImageCmsProfile(
    ImageCms.createProfile("sRGB")  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] (Pillow does not say)
)

# Of whatever is odd about a file: that it cannot be read is told to whoever sent it.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)
# Our own limit is lower, and looked at before; Pillow's is a warning at first.
Image.MAX_IMAGE_PIXELS = None


def _silence_libtiff() -> None:
    """Keep libtiff from writing on stderr what it thinks of a file: Pillow has no switch for it."""
    with suppress(OSError, AttributeError):  # Pillow may be built without it, or round it
        pillow = ctypes.CDLL(Image.core.__file__)
        for kind in ("Error", "Warning"):
            set_handler = getattr(pillow, f"TIFFSet{kind}Handler")
            set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            set_handler(None)


_silence_libtiff()


def decode(data: bytes, longest_side: int) -> Picture:
    """As ``models.images.read_picture``."""
    if len(data) > MOST_BYTES:
        raise InvalidRequest(
            f"The picture has {len(data):,} bytes, and {MOST_BYTES:,} are the most: send a "
            "smaller one."
        )
    try:
        image = Image.open(BytesIO(data), formats=_FORMATS)
    except Exception:  # the decoders raise whatever comes to them
        raise InvalidRequest(explain(data)) from None
    with image:
        _check(image, data)
        try:
            shown = _shrunk(image, longest_side)
        except MemoryError:
            raise
        except Exception as error:
            log.debug("A picture could not be decoded: %r", error)
            raise InvalidRequest(_DAMAGED) from None
    return _picture(shown)


def _check(image: ImageFile.ImageFile, data: bytes) -> None:
    """Raises InvalidRequest where decoding would take too much."""
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise InvalidRequest(
            f"The picture has {width:,} × {height:,} pixels, and {MOST_PIXELS:,} are the most: "
            "send a smaller one."
        )
    if max(width, height) > MOST_PROPORTION * min(width, height):
        raise InvalidRequest(
            f"The picture has {width:,} × {height:,} pixels, and one side may be "
            f"{MOST_PROPORTION} times the other at the most: cut it into several."
        )
    scans = image.format in ("JPEG", "MPO") and data.count(_SCAN) > _MOST_SCANS
    if scans or _has_huge_tiles(image):
        raise InvalidRequest("The picture takes too long to read: save it anew, as PNG or JPEG.")


def _has_huge_tiles(image: ImageFile.ImageFile) -> bool:
    """Those of a TIFF are decoded whole, however small the picture is."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    tags: dict[int, Any] = dict(image.tag_v2)
    width, height = tags.get(TiffImagePlugin.TILEWIDTH), tags.get(TiffImagePlugin.TILELENGTH)
    if not isinstance(width, int) or not isinstance(height, int):
        return False
    return width * height > MOST_PIXELS


# -- Decoded, shrunk, and made plain -------------------------------------------


def _shrunk(image: ImageFile.ImageFile, longest_side: int) -> Image.Image:
    # A JPEG is decoded at a half, a quarter or an eighth of its size, where that is enough.
    image.draft("", (longest_side, longest_side))
    image.load()
    turned = _UPRIGHT.get(_orientation(image))
    profile = image.info.get("icc_profile")
    plain = _plain(image)
    plain.thumbnail((longest_side, longest_side), reducing_gap=2.0)
    plain = _on_white(_in_srgb(plain, profile))
    return plain.transpose(turned) if turned is not None else plain


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # what is written about the picture may be damaged where it is not
        return 1


def _plain(image: Image.Image) -> Image.Image:
    """Return it in a mode that can be shrunk: a colour for each pixel, 8 bits a channel."""
    if image.mode.startswith("I;16"):
        # Pillow would make white of whatever is above 255.
        return image.convert("I").point(_by_256).convert("L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in ("I", "F"):
        return _scaled(image)
    if image.mode in ("1", "P", "PA"):
        return image.convert("RGB")
    return image


def _by_256(value: Any) -> Any:  # noqa: ANN401 - Pillow calls it with what stands for a pixel
    return value * (1 / 256) + 0


def _scaled(image: Image.Image) -> Image.Image:
    """Numbers of no known range: the largest becomes white."""
    real = image.convert("F")
    extrema: Any = real.getextrema()
    largest = max(float(extrema[1]), 1e-9)
    return real.point(lambda value: value * (255 / largest) + 0).convert("L")


def _in_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Return it in sRGB, where it says of its colours that they are others."""
    if not isinstance(profile, bytes) or image.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return image
    try:
        made: Image.Image | None = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(BytesIO(profile)),
            _SRGB,
            outputMode="RGBA" if image.mode == "RGBA" else "RGB",
        )
    except Exception:  # a damaged profile costs the colours their shade
        return image
    return made or image


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image.convert("RGB")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _picture(shown: Image.Image) -> Picture:
    written = BytesIO()
    Image.frombytes("RGB", shown.size, pixels := shown.tobytes()).save(
        written, "PNG", compress_level=1
    )
    size = f"{shown.width}x{shown.height}:".encode()
    digest = hashlib.sha256(size + pixels).hexdigest()
    return Picture(written.getvalue(), shown.width, shown.height, digest)
