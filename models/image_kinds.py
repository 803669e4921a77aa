"""What a file is that is no picture we read, seen by how it begins: for one sentence about it."""

from collections.abc import Sequence

_CONVERT = "convert it to PNG or JPEG."
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_SOUND_BRANDS = (b"M4A ", b"M4B ")
_LOOKED_AT = 1024  # bytes, for what is written as text

# How it begins, and what it is.
_BEGINNINGS: Sequence[tuple[bytes, str]] = (
    (b"%PDF", f"The picture is a PDF document, which is not read here: {_CONVERT}"),
    (b"\0\0\0\x0cjP  ", f"The picture is a JPEG 2000, which is not read here: {_CONVERT}"),
    (b"\0\0\0\x0cJXL ", f"The picture is a JPEG XL, which is not read here: {_CONVERT}"),
    (b"\xff\x0a", f"The picture is a JPEG XL, which is not read here: {_CONVERT}"),
    (b"8BPS", f"The picture is a Photoshop document, which is not read here: {_CONVERT}"),
    (b"\0\0\x01\0", f"The picture is an icon, which is not read here: {_CONVERT}"),
)
_SOUND = "The picture is a sound, and sounds are not heard here: leave it out."
_VIDEO = "The picture is a video, and videos are not seen here: send one of its pictures."
_SOUNDS = (b"ID3", b"OggS", b"fLaC", b"\xff\xfb", b"\xff\xf3", b"\xff\xf1")
_VIDEOS = (b"\x1aE\xdf\xa3", b"\0\0\x01\xba", b"FLV\x01")


def explain(data: bytes) -> str:
    """Return the sentence for whoever sent this as a picture."""
    if not data:
        return "The picture is empty: there is not one byte in it."
    for beginning, sentence in _BEGINNINGS:
        if data.startswith(beginning):
            return sentence
    if data.startswith(_SOUNDS) or (data[:4] == b"RIFF" and data[8:12] == b"WAVE"):
        return _SOUND
    if data.startswith(_VIDEOS) or (data[:4] == b"RIFF" and data[8:12] == b"AVI "):
        return _VIDEO
    if data[4:8] == b"ftyp":
        return _of_boxes(data[8:12])
    return _of_text(data[:_LOOKED_AT].lstrip(b"\xef\xbb\xbf \t\r\n").lower())


def _of_boxes(brand: bytes) -> str:
    if brand in _HEIC_BRANDS:
        return f"The picture is a HEIC, which is not read here: {_CONVERT}"
    return _SOUND if brand in _SOUND_BRANDS else _VIDEO


def _of_text(beginning: bytes) -> str:
    if beginning.startswith(b"<svg") or (b"<svg" in beginning and beginning.startswith(b"<")):
        return f"The picture is an SVG drawing, which is not read here: {_CONVERT}"
    if beginning.startswith((b"<!doctype html", b"<html")):
        return "The picture is a page of the web: give the address of the picture itself."
    return "This is no picture that can be read here: PNG, JPEG, WebP, GIF, BMP, TIFF and AVIF can."
