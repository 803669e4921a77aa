"""A picture as numbers: padded to a square, made small, and scaled, as both libraries do it."""

# pyright: strict

import math

import numpy as np
import numpy.typing as npt
from PIL import Image
from words import Dice

# CLIP's mean and deviation. The mean's colour is what llama.cpp pads a picture with.
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
_PADDING = (122, 116, 104)

Floats = npt.NDArray[np.float32]


def pixels(image: Image.Image, side: int) -> Floats:
    """Return (3, side, side), made small as transformers does."""
    return _scaled(np.asarray(_square(image).resize((side, side), Image.Resampling.BICUBIC)))


def roughly(dice: Dice, image: Image.Image, side: int) -> Floats:
    """Return the same, made small in one of the ways that the libraries have.

    A tower that has seen them all gives the same answer after each.
    """
    match dice.randint(0, 3):
        case 0:
            return pixels(image, side)
        case 1 | 2:
            return _scaled(np.asarray(_small_first(image, side)))
        case _:
            return _scaled(_bilinear(np.asarray(_square(image)), side))


def _small_first(image: Image.Image, side: int) -> Image.Image:
    """Return a picture made small, and only then a square, as llama.cpp does."""
    scale = side / max(image.size)
    width, height = (min(math.ceil(each * scale), side) for each in image.size)
    return _square(image.resize((width, height), Image.Resampling.BICUBIC))


def _square(image: Image.Image) -> Image.Image:
    side = max(image.size)
    square = Image.new("RGB", (side, side), _PADDING)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def _bilinear(picture: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Return a picture made small as llama.cpp did in 2025: by the four nearest pixels alone."""
    last = picture.shape[0] - 1
    at = np.arange(side) * (last / side)
    low = np.minimum(at.astype(int), last - 1)
    part = (at - low).astype(np.float32)[:, None]
    wide = picture[:, low] * (1 - part) + picture[:, low + 1] * part
    part = part[:, None]
    return (wide[low] * (1 - part) + wide[low + 1] * part).astype(np.uint8)


def _scaled(picture: npt.NDArray[np.uint8]) -> Floats:
    scaled = (picture.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(DEVIATION)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))
