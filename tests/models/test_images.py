"""Every picture comes to the engines in one form, and what is none is told in one sentence."""

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image, ImageCms

from models.errors import InvalidRequest
from models.images import LONGEST_SIDE, MOST_BYTES, MOST_PIXELS, Picture, read_picture

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def halves(mode: str = "RGB", size: tuple[int, int] = (64, 32)) -> Image.Image:
    """The left half is red, the right one blue."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    return image.convert(mode)


def file(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    written = io.BytesIO()
    image.save(written, format, **options)
    return written.getvalue()


def shown(picture: Picture) -> Image.Image:
    image = Image.open(io.BytesIO(picture.png))
    image.load()
    assert (image.format, image.mode, image.info) == ("PNG", "RGB", {})
    assert image.size == (picture.width, picture.height)
    return image


def assert_like(colour: Any, expected: tuple[int, ...], within: int = 12) -> None:
    assert all(abs(a - b) <= within for a, b in zip(colour, expected, strict=True)), colour


# -- Formats -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}),
        ("JPEG", {"quality": 95}),
        ("WEBP", {"quality": 95}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("AVIF", {"quality": 95}),
    ],
)
def test_a_picture_of_every_format_is_seen_by_what_is_in_it(format: str, options: dict[str, Any]):
    image = shown(read_picture(file(halves(), format, **options)))

    assert image.size == (64, 32)
    assert_like(image.getpixel((8, 16)), RED)
    assert_like(image.getpixel((56, 16)), BLUE)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_of_several_frames_the_first_is_seen(format: str):
    frames = [Image.new("RGB", (16, 16), (255, place % 256, 0)) for place in range(20)]

    data = file(frames[0], format, save_all=True, append_images=frames[1:])

    assert_like(shown(read_picture(data)).getpixel((8, 8)), RED)


def test_an_animation_of_500_frames_costs_no_more_than_its_first():
    frames = [Image.new("RGB", (64, 64), (255, 0, place % 256)) for place in range(500)]

    picture = read_picture(file(frames[0], "WEBP", save_all=True, append_images=frames[1:]))

    assert_like(shown(picture).getpixel((8, 8)), RED)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_as_it_was_taken(orientation: int):
    upright = halves()
    taken = {
        1: upright,
        2: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: upright.transpose(Image.Transpose.ROTATE_180),
        4: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: upright.transpose(Image.Transpose.TRANSPOSE),
        6: upright.transpose(Image.Transpose.ROTATE_90),
        7: upright.transpose(Image.Transpose.TRANSVERSE),
        8: upright.transpose(Image.Transpose.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation

    image = shown(read_picture(file(taken, "JPEG", quality=95, exif=exif)))

    assert image.size == (64, 32)
    assert_like(image.getpixel((8, 16)), RED)
    assert_like(image.getpixel((56, 16)), BLUE)


def test_what_is_transparent_is_white():
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    half = Image.new("RGBA", (8, 8), (255, 0, 0, 128))
    palette = halves("P")
    named = file(palette, "PNG", transparency=palette.getpixel((60, 16)))

    assert shown(read_picture(file(clear))).getpixel((4, 4)) == WHITE
    assert_like(shown(read_picture(file(half))).getpixel((4, 4)), (255, 127, 127), 2)
    assert shown(read_picture(file(half.convert("LA")))).getpixel((4, 4)) == (165, 165, 165)
    assert shown(read_picture(named)).getpixel((60, 16)) == WHITE
    assert_like(shown(read_picture(named)).getpixel((4, 16)), RED)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_greys_of_16_bits_keep_their_shades(format: str):
    grey = Image.frombytes("I;16", (3, 1), struct.pack("<3H", 0, 0x8000, 0xFFFF))

    image = shown(read_picture(file(grey, format)))

    assert [image.getpixel((x, 0)) for x in range(3)] == [(0,) * 3, (128,) * 3, (255,) * 3]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "I", "F"])
def test_every_way_to_write_a_colour_is_understood(mode: str):
    white = Image.new("RGB", (8, 8), "white").convert(mode)

    assert_like(shown(read_picture(file(white, "TIFF"))).getpixel((4, 4)), WHITE, 2)


def test_colours_of_another_profile_are_those_of_the_screen():
    # Of a profile whose red and green are exchanged the first would be seen as the second.
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    red, green = profile.index(b"rXYZ") + 4, profile.index(b"gXYZ") + 4
    swapped = bytearray(profile)
    swapped[red : red + 8], swapped[green : green + 8] = (
        profile[green : green + 8],
        profile[red : red + 8],
    )
    data = file(Image.new("RGB", (8, 8), RED), icc_profile=bytes(swapped))

    assert_like(shown(read_picture(data)).getpixel((4, 4)), (0, 255, 0))
    damaged = file(Image.new("RGB", (8, 8), RED), icc_profile=b"none at all")
    assert shown(read_picture(damaged)).getpixel((4, 4)) == RED


@pytest.mark.parametrize("size", [(5000, 1000), (1000, 5000)])
@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_a_large_picture_is_shrunk(format: str, size: tuple[int, int]):
    picture = read_picture(file(halves(size=size), format))

    assert max(picture.width, picture.height) == LONGEST_SIDE
    assert min(picture.width, picture.height) == round(LONGEST_SIDE / 5)
    assert_like(shown(picture).getpixel((8, 8)), RED)
    assert read_picture(file(halves(size=size), format), 100).width in (100, 20)


def test_one_picture_in_two_files_is_one():
    one, other = read_picture(file(halves())), read_picture(file(halves(), "BMP"))

    assert one == other
    assert one.digest != read_picture(file(halves(size=(32, 64)))).digest


# -- What is none ------------------------------------------------------------------


def bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    body = zlib.compress(bytes(4096), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def with_many_scans() -> bytes:
    data = file(halves(size=(512, 512)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 200 + data[-2:]


def with_huge_tiles() -> bytes:
    """A TIFF of 16 × 16 pixels in one tile of 32,768 × 32,768."""
    tags = {
        256: (3, 16), 257: (3, 16), 258: (3, 8), 259: (3, 8), 262: (3, 1), 277: (3, 1),
        322: (4, 32768), 323: (4, 32768), 324: (4, 200), 325: (4, 20),
    }  # fmt: skip
    entries = b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in tags.items()
    )
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    return head.ljust(200, b"\0") + zlib.compress(bytes(4096))


SENTENCES = [
    (b"", "is empty"),
    (b"hello", "PNG, JPEG, WebP, GIF, BMP, TIFF and AVIF"),
    (b"\x89PNG\r\n\x1a\n", "PNG, JPEG, WebP"),
    (file(halves(size=(300, 300)), "JPEG")[:900], "not whole"),
    (file(Image.effect_noise((99, 99), 50), "PNG")[:5000], "not whole"),
    (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
    (b"\xef\xbb\xbf\n<svg/>", "an SVG drawing"),
    (b"<!DOCTYPE html><html><body/></html>", "a page of the web"),
    (b"%PDF-1.7", "a PDF document"),
    (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC.*convert it to PNG or JPEG"),
    (b"\0\0\0\x18ftypisom\0\0\0\0", "a video"),
    (b"RIFF\0\0\0\0WAVEfmt ", "a sound"),
    (b"ID3\x04", "a sound"),
    (bytes(MOST_BYTES + 1), f"{MOST_BYTES + 1:,} bytes, and {MOST_BYTES:,} are the most"),
    (bomb(60_000, 60_000), f"60,000 × 60,000 pixels, and {MOST_PIXELS:,} are the most"),
    (bomb(20_000, 100), "100 times the other"),
    (with_many_scans(), "too long to read"),
    (with_huge_tiles(), "too long to read"),
]


@pytest.mark.parametrize(("data", "sentence"), SENTENCES, ids=[each[1] for each in SENTENCES])
def test_what_cannot_be_read_is_told_in_one_sentence(data: bytes, sentence: str):
    with pytest.raises(InvalidRequest, match=sentence) as caught:
        read_picture(data)

    assert str(caught.value).count(". ") == 0 and str(caught.value).endswith(".")
