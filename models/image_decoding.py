"""From a picture's file to ``Picture``, by Pillow. No start of the program needs to import it."""

import hashlib
from io import BytesIO

from PIL import Image, ImageOps

from models.errors import InvalidRequest
from models.images import MOST_BYTES, MOST_PIXELS, Picture

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


def decode(data: bytes, longest_side: int) -> Picture:
    """As ``models.images.read_picture``."""
    if len(data) > MOST_BYTES:
        raise InvalidRequest(
            f"The picture has {len(data):,} bytes, and {MOST_BYTES:,} are the most: send a "
            "smaller one."
        )
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            return _picture(image, longest_side)
    except InvalidRequest:
        raise
    except Exception:
        raise InvalidRequest("The picture cannot be read.") from None


def _picture(image: Image.Image, longest_side: int) -> Picture:
    if image.width * image.height > MOST_PIXELS:
        raise InvalidRequest(
            f"The picture has {image.width:,} × {image.height:,} pixels, and {MOST_PIXELS:,} "
            "are the most: send a smaller one."
        )
    upright = ImageOps.exif_transpose(image).convert("RGB")
    upright.thumbnail((longest_side, longest_side))
    pixels = upright.tobytes()
    size = f"{upright.width}x{upright.height}:".encode()
    written = BytesIO()
    upright.save(written, "PNG", compress_level=1)
    digest = hashlib.sha256(size + pixels).hexdigest()
    return Picture(written.getvalue(), upright.width, upright.height, digest)
