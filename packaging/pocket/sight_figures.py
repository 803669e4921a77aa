"""Pictures without end, from a seed: simple figures in plain colours, numbers in large print."""

# pyright: strict

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from words import Dice

SHAPES = ["circle", "square", "triangle", "star", "heart"]
# Each colour's name: from which hue to which, in degrees; and so saturation and brightness.
COLORS = {
    "red": ((-8, 7), (0.75, 1), (0.7, 1)),
    "orange": ((25, 37), (0.85, 1), (0.9, 1)),
    "yellow": ((50, 60), (0.75, 1), (0.9, 1)),
    "green": ((100, 145), (0.6, 1), (0.4, 0.85)),
    "blue": ((212, 245), (0.7, 1), (0.6, 1)),
    "pink": ((325, 350), (0.24, 0.6), (0.95, 1)),
    "black": ((0, 360), (0, 0.3), (0, 0.1)),
}
MOST_FIGURES = 5
LEAST_CONTRAST = 70  # between a figure and what is behind it, of 441
SIDES = (60, 180)  # of a picture, in pixels
FINER = 2  # times as many pixels while it is drawn

Rgb = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, or one digit; its middle and its size are parts of the picture's sides."""

    name: str  # a shape or a digit
    color: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Scene:
    size: tuple[int, int]
    image: Image.Image
    figures: tuple[Figure, ...]  # of a number its digits
    number: str  # "": it is a picture of figures


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a picture is drawn on."""

    pen: ImageDraw.ImageDraw
    size: tuple[int, int]
    behind: Rgb


def scene(dice: Dice, fonts: list[str]) -> Scene:
    size = _size(dice)
    behind = _background(dice)
    canvas = (size[0] * FINER, size[1] * FINER)
    image = Image.new("RGB", canvas, behind)
    sheet = Sheet(ImageDraw.Draw(image), canvas, behind)
    if dice.chance(0.3):
        number, figures = _number(dice, fonts, sheet)
    else:
        number, figures = "", _figures(dice, sheet)
    smooth = Image.Resampling.BOX if dice.chance(0.85) else Image.Resampling.NEAREST
    return Scene(size, image.resize(size, smooth), tuple(figures), number)


def fonts(folder: Path | None = None) -> list[str]:
    """Return the fonts of numbers: Pillow's own, "", and the upright ones in ``folder``."""
    found = sorted(folder.glob("*.ttf")) if folder else []
    odd = ("Oblique", "Ita", "cm", "Siz", "NonUni", "Display", "LastResort")
    return ["", *(str(each) for each in found if not any(one in each.name for one in odd))]


def _figures(dice: Dice, sheet: Sheet) -> list[Figure]:
    count = dice.pick([1, 1, 1, 2, 2, 3, 3, 4, 5])
    places = [_large(dice)] if count == 1 and dice.chance(0.4) else _on_grid(dice, count)
    few = dice.sample(SHAPES, dice.randint(1, 3)) if dice.chance(0.4) else SHAPES
    figures: list[Figure] = []
    for x, y, side in places:
        color, rgb = _color(dice, sheet.behind)
        width, height = (side * min(sheet.size) / each for each in sheet.size)
        figure = Figure(dice.pick(few), color, x, y, width, height)
        _draw(dice, sheet, figure, rgb)
        figures.append(figure)
    return figures


def _large(dice: Dice) -> tuple[float, float, float]:
    side = dice.uniform(0.4, 0.8)
    return 0.5 + dice.uniform(-0.08, 0.08), 0.5 + dice.uniform(-0.08, 0.08), side


def _on_grid(dice: Dice, count: int) -> list[tuple[float, float, float]]:
    cells = dice.sample([(column, row) for column in range(3) for row in range(3)], count)
    side = dice.uniform(0.24, 0.3)
    return [
        ((0.18, 0.5, 0.82)[column] + dice.uniform(-0.03, 0.03),
         (0.18, 0.5, 0.82)[row] + dice.uniform(-0.03, 0.03),
         side)
        for column, row in cells
    ]  # fmt: skip


def _number(dice: Dice, fonts: list[str], sheet: Sheet) -> tuple[str, list[Figure]]:
    number = str(dice.randint(*dice.pick([(0, 9), (10, 99)])))
    color, rgb = _color(dice, sheet.behind)
    chosen = dice.pick(fonts)
    left, top, right, bottom = sheet.pen.textbbox((0, 0), number, _font(chosen, 100))
    most = min(sheet.size[0] / (right - left), sheet.size[1] / (bottom - top))
    font = _font(chosen, round(100 * most * dice.uniform(0.6, 0.9)))
    left, top, right, bottom = sheet.pen.textbbox((0, 0), number, font)
    x = sheet.size[0] * (0.5 + dice.uniform(-0.05, 0.05)) - (left + right) / 2
    y = sheet.size[1] * (0.5 + dice.uniform(-0.05, 0.05)) - (top + bottom) / 2
    sheet.pen.text((x, y), number, rgb, font)
    digits: list[Figure] = []
    for index, digit in enumerate(number):
        begin = x + sheet.pen.textlength(number[:index], font)
        wide = sheet.pen.textlength(digit, font)
        middle = (begin + wide / 2) / sheet.size[0], (y + (top + bottom) / 2) / sheet.size[1]
        high = (bottom - top) / sheet.size[1]
        digits.append(Figure(digit, color, *middle, wide / sheet.size[0], high))
    return number, digits


@cache
def _font(name: str, points: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.truetype(name, points) if name else ImageFont.load_default(points)


def _size(dice: Dice) -> tuple[int, int]:
    side = dice.randint(*SIDES)
    other = side if dice.chance(0.75) else round(side * dice.uniform(0.7, 1))
    return (side, other) if dice.chance(0.5) else (other, side)


def _background(dice: Dice) -> Rgb:
    if dice.chance(0.6):
        return 255, 255, 255
    return _hsv(dice.uniform(0, 1), dice.uniform(0, 0.15), dice.uniform(0.88, 1))


def _color(dice: Dice, behind: Rgb) -> tuple[str, Rgb]:
    while True:
        name = dice.pick(list(COLORS))
        hue, saturation, brightness = COLORS[name]
        rgb = _hsv(dice.uniform(*hue) / 360, dice.uniform(*saturation), dice.uniform(*brightness))
        if math.dist(rgb, behind) > LEAST_CONTRAST:
            return name, rgb


def _hsv(hue: float, saturation: float, brightness: float) -> Rgb:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, brightness)
    return round(255 * red), round(255 * green), round(255 * blue)


def _draw(dice: Dice, sheet: Sheet, figure: Figure, rgb: Rgb) -> None:
    radius = figure.width * sheet.size[0] / 2
    middle = figure.x * sheet.size[0], figure.y * sheet.size[1]
    turn = math.radians({"star": 36, "circle": 0}.get(figure.name, 10) * dice.uniform(-1, 1))
    points = [
        (middle[0] + radius * (x * math.cos(turn) - y * math.sin(turn)),
         middle[1] + radius * (x * math.sin(turn) + y * math.cos(turn)))
        for x, y in _outline(figure.name)
    ]  # fmt: skip
    sheet.pen.polygon(points, rgb)
    if dice.chance(0.1):
        sheet.pen.line([*points, *points[:2]], (20, 20, 20), max(round(radius * 0.06), 1), "curve")


@cache
def _outline(shape: str) -> list[Point]:
    """Return the corners of a figure whose middle is (0, 0) and whose edges are at -1 and 1."""
    match shape:
        case "circle":
            return _wheel(48, [1.0])
        case "square":
            return [(-0.86, -0.86), (0.86, -0.86), (0.86, 0.86), (-0.86, 0.86)]
        case "triangle":
            return [(0, -0.95), (0.98, 0.8), (-0.98, 0.8)]
        case "star":
            return _wheel(10, [1.0, 0.42])
        case _:
            return [
                (math.sin(t) ** 3 * 0.98,
                 -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t)
                   - math.cos(4 * t)) / 16.5)
                for t in (math.tau * each / 48 for each in range(48))
            ]  # fmt: skip


def _wheel(count: int, radii: list[float]) -> list[Point]:
    return [
        (radii[each % len(radii)] * math.sin(math.tau * each / count),
         -radii[each % len(radii)] * math.cos(math.tau * each / count))
        for each in range(count)
    ]  # fmt: skip
