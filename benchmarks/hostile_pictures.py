"""Damaged pictures and hostile addresses: what benchmarks/image_fuzz.py and a test of it send.

All hosts are addresses of this computer or of inner networks, which are refused before anything
is asked of them.
"""

import base64
import io
import random
import struct
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

from PIL import Image, ImageCms

_SIDE = 96
_MOST_MUTATIONS = 4
_SPECIAL = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)

# -- Pictures ------------------------------------------------------------------


def whole_pictures() -> list[bytes]:
    """Small pictures of every format, in the ways in which it has to be read."""
    drawn = Image.effect_mandelbrot((_SIDE, _SIDE), (-2.0, -1.5, 1.0, 1.5), 60)
    colours = Image.merge("RGB", (drawn, drawn.rotate(90), drawn.rotate(180)))
    clear = colours.copy()
    clear.putalpha(drawn)
    frames = [colours.rotate(turn) for turn in range(0, 90, 30)]
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(
        ImageCms.createProfile("sRGB")  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] (Pillow does not say)
    ).tobytes()
    grey = Image.frombytes("I;16", (_SIDE, _SIDE), bytes(range(256)) * (_SIDE * _SIDE // 128))
    more: dict[str, Any] = {"save_all": True, "append_images": frames}
    return [
        _file(colours, "PNG", icc_profile=profile),
        _file(clear, "PNG"),
        _file(grey, "PNG"),
        _file(colours.convert("P"), "PNG", transparency=3),
        _file(colours, "PNG", **more),
        _file(colours, "JPEG", exif=exif, icc_profile=profile),
        _file(colours, "JPEG", progressive=True),
        _file(colours.convert("CMYK"), "JPEG"),
        _file(colours, "WEBP"),
        _file(clear, "WEBP", lossless=True),
        _file(colours, "WEBP", **more),
        _file(colours, "GIF", **more),
        _file(colours, "BMP"),
        _file(colours.convert("P"), "BMP"),
        _file(colours, "TIFF"),
        _file(colours, "TIFF", compression="tiff_lzw"),
        _file(colours, "TIFF", compression="jpeg"),
        _file(grey, "TIFF", compression="tiff_adobe_deflate"),
        _file(drawn.convert("1"), "TIFF", compression="group4"),
        _file(clear, "AVIF"),
    ]


def _file(image: Image.Image, format: str, **options: Any) -> bytes:  # noqa: ANN401 - Pillow's
    written = io.BytesIO()
    image.save(written, format, **options)
    return written.getvalue()


def damaged(pictures: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """Yield damaged pictures without end, the same for the same seed."""
    draw = random.Random(seed)
    for picture in cycle(pictures):
        data = bytearray(picture)
        for _ in range(draw.randint(1, _MOST_MUTATIONS)):
            draw.choice(_MUTATIONS)(data, draw)
        yield bytes(data)


def _flip(data: bytearray, draw: random.Random) -> None:
    for _ in range(draw.choice((1, 4, 32))):
        if data:
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def _flip_in_head(data: bytearray, draw: random.Random) -> None:
    if data:
        data[draw.randrange(min(64, len(data)))] = draw.randrange(256)


def _cut(data: bytearray, draw: random.Random) -> None:
    del data[draw.randrange(len(data) + 1) :]


def _take_out(data: bytearray, draw: random.Random) -> None:
    at = draw.randrange(len(data) + 1)
    del data[at : at + draw.choice((1, 2, 16, 256))]


def _put_in(data: bytearray, draw: random.Random) -> None:
    at = draw.randrange(len(data) + 1)
    data[at:at] = draw.randbytes(draw.choice((1, 2, 16, 256)))


def _repeat(data: bytearray, draw: random.Random) -> None:
    at = draw.randrange(len(data) + 1)
    data[at:at] = data[at : at + 64] * draw.choice((1, 8, 64))


def _write_number(data: bytearray, draw: random.Random) -> None:
    """Where lengths and sizes may stand: both byte orders, two bytes or four."""
    width, order = draw.choice((2, 4)), draw.choice("<>")
    if len(data) > width:
        number = draw.choice(_SPECIAL) & (0xFFFF if width < 4 else 0xFFFFFFFF)
        at = draw.randrange(min(len(data), draw.choice((64, len(data)))))
        written = struct.pack(order + ("H" if width < 4 else "I"), number)
        data[at : at + width] = written


_MUTATIONS = (_flip, _flip_in_head, _cut, _take_out, _put_in, _repeat, _write_number)


# -- Addresses -----------------------------------------------------------------

# This computer, in every way in which it can be written; "{}" is a canary's port.
_OURS = (
    "http://127.0.0.1:{}/", "http://localhost:{}/", "http://LOCALHOST.:{}/", "http://127.1:{}/",
    "http://127.0.1:{}/", "http://127.255.255.254:{}/", "http://2130706433:{}/",
    "http://0x7f000001:{}/", "http://0x7f.0.0.1:{}/", "http://0177.0.0.1:{}/",
    "http://017700000001:{}/", "http://0:{}/", "http://0.0.0.0:{}/", "http://127.0.0.1.:{}/",
    "http://[::1]:{}/", "http://[0:0:0:0:0:0:0:1]:{}/", "http://[::]:{}/",
    "http://[::ffff:127.0.0.1]:{}/", "http://[::ffff:7f00:1]:{}/", "http://[::127.0.0.1]:{}/",
    "http://[64:ff9b::7f00:1]:{}/", "http://[2002:7f00:1::]:{}/", "http://[::1%25lo]:{}/",
    "https://127.0.0.1:{}/", "https://localhost:{}/", "https://[::1]:{}/",
    "HTTP://127.0.0.1:{}/a.png", "http://user@127.0.0.1:{}/", "http://a:b@127.0.0.1:{}/",
    "http://127.0.0.1:{}@127.0.0.1:{}/", "http://127.0.0.1:{}#@a/", "http://127.0.0.1:{}?@a/",
    "http://127.0.0.1:{}\\@a/", "http://a\\@127.0.0.1:{}/", "http:127.0.0.1:{}/",
    "http:/127.0.0.1:{}/", "http:///127.0.0.1:{}/", "http:\\\\127.0.0.1:{}/",
    "http://127.0.0.1:{}/%0d%0aHost:a", "http://127.0.0.1\t:{}/", "http://127.0.0.1\n:{}/",
    " http://127.0.0.1:{}/", "http://\u2460\u2461\u2466.0.0.1:{}/", "http://127\u30020.0.1:{}/",
    "http://127.0.0.1\u0000:{}/", "//127.0.0.1:{}/", "ftp://127.0.0.1:{}/",
    "gopher://127.0.0.1:{}/_GET", "dict://127.0.0.1:{}/", "ws://127.0.0.1:{}/",
    "jar:http://127.0.0.1:{}!/", "file://127.0.0.1:{}/etc/passwd", "tftp://127.0.0.1:{}/",
)  # fmt: skip
# What other computers of an inner network may be.
_INNER = (
    "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.254", "192.168.0.1", "192.168.1.254",
    "169.254.169.254", "169.254.170.2", "100.64.0.1", "100.100.100.200", "192.0.0.192",
    "198.18.0.1", "224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1", "0.1.2.3",
    "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "[fe80::1]", "[fc00::1]",
    "[fd00:ec2::254]", "[ff02::1]", "[fec0::1]", "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[2001::1]", "[2001:db8::1]", "[100::1]",
)  # fmt: skip
_NO_ADDRESSES = (
    "file:///etc/passwd", "file://localhost/etc/hosts", "/etc/passwd", "..\\..\\etc\\passwd",
    "data:text/html,<script>", "javascript:alert(1)", "blob:http://127.0.0.1/x", "http://",
    "http://:80/", "http://[::1", "http://a:99999/", "http://%31%32%37.1/", "\\\\127.0.0.1\\a",
    "http://127.0.0.1:-1/", "http://127.0.0.1:0/", "https://", "about:blank", "C:\\a.png",
)  # fmt: skip


def hostile_addresses(ports: Sequence[int], site: str = "") -> list[str]:
    """Return addresses that must not be fetched; ``site`` redirects to what it is asked for."""
    inner = [f"http://{host}/latest/meta-data/" for host in _INNER]
    inner += [f"https://{host}:8443/" for host in _INNER]
    found = [each.replace("{}", str(port)) for port in ports for each in _OURS]
    found += [*inner, *_NO_ADDRESSES]
    if site:
        targets = [*found[: len(_OURS)], *inner[::3], *_NO_ADDRESSES[:4]]
        found += [f"{site}/{base64.urlsafe_b64encode(each.encode()).decode()}" for each in targets]
    return found
