"""A picture in the one form that every engine is given, and how large pictures may be."""

from dataclasses import dataclass

# The limits, each told by its number to who goes beyond it.
MOST_PICTURES = 100  # of one request
MOST_BYTES = 32 << 20  # of a picture's file
MOST_PIXELS = 64_000_000  # of a picture as it comes
MOST_PROPORTION = 100  # of its longer side to the other
MOST_PIXELS_TOGETHER = 100_000_000  # of a request's pictures, once they are shrunk
LONGEST_SIDE = 2048  # pixels, to which it is shrunk
LOW_DETAIL_SIDE = 512  # likewise, where a request wants no details


@dataclass(frozen=True, slots=True)
class Picture:
    """Upright, sRGB, 8 bits a channel, and white where it was transparent."""

    png: bytes  # a plain PNG of mode RGB
    width: int  # pixels
    height: int
    digest: str  # SHA-256 of its size and pixels, in hexadecimal


def read_picture(data: bytes, longest_side: int = LONGEST_SIDE) -> Picture:
    """Read a picture's file, whatever its name: the first frame, where it has several.

    It may take a second, and some hundred megabytes while it does.

    Raises:
        InvalidRequest: it is none, or not whole, or larger than the limits.
    """
    from models.image_decoding import decode  # noqa: PLC0415 (no start needs Pillow)

    return decode(data, longest_side)
