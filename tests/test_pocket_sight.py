"""What the built-in model sees, on both engines: pictures that a person might draw."""

from collections.abc import Callable, Iterator
from io import BytesIO

import pytest
from PIL import Image, ImageDraw, ImageFont

from app.services import Services, open_everything
from models import chat
from models.chat import GenerateRequest, Message, SamplingParams
from models.engine.installed import has_mlx_vlm
from models.events import Finished
from models.model import Kind
from tests.fakes import A_TEST
from tests.listener import Listener

GREEDY = SamplingParams(temperature=0.0)
SIDE = 240
LEAST_RIGHT = 18
LEAST_SAME = 19

Pen = ImageDraw.ImageDraw
Drawn = Callable[[Pen], None]


def circle(x: int, y: int, radius: int, color: str) -> Drawn:
    return lambda pen: pen.circle((x, y), radius, color)


def square(x: int, y: int, half: int, color: str) -> Drawn:
    return lambda pen: pen.rectangle((x - half, y - half, x + half, y + half), color)


def triangle(x: int, y: int, half: int, color: str) -> Drawn:
    corners = [(x, y - half), (x - half, y + half), (x + half, y + half)]
    return lambda pen: pen.polygon(corners, color)


def number(text: str, color: str, size: int = 150) -> Drawn:
    font = ImageFont.load_default(size)
    return lambda pen: pen.text((SIDE / 2, SIDE / 2), text, color, font, "mm")


LOW, MIDDLE, HIGH = 45, 120, 195
TWO = [circle(LOW, MIDDLE, 33, "red"), square(HIGH, MIDDLE, 28, "blue")]
THREE = [circle(x, MIDDLE, 33, "green") for x in (LOW, MIDDLE, HIGH)]
PICTURES: list[tuple[list[Drawn], str, str]] = [
    ([circle(MIDDLE, MIDDLE, 70, "red")], "What is the color?", "red"),
    ([square(MIDDLE, MIDDLE, 60, "blue")], "What is the color?", "blue"),
    ([triangle(MIDDLE, MIDDLE, 65, "green")], "Tell me the color.", "green"),
    ([circle(LOW, MIDDLE, 33, "orange")], "What is the color?", "orange"),
    ([circle(MIDDLE, MIDDLE, 60, "black")], "What is the shape?", "circle"),
    ([square(MIDDLE, MIDDLE, 65, "red")], "What is the shape?", "square"),
    ([triangle(MIDDLE, MIDDLE, 60, "blue")], "Tell me the shape.", "triangle"),
    ([square(HIGH, LOW, 28, "black")], "What is the shape?", "square"),
    ([circle(LOW, LOW, 33, "red")], "What is the place?", "top left"),
    ([square(LOW, HIGH, 28, "blue")], "What is the place?", "bottom left"),
    ([circle(MIDDLE, HIGH, 33, "black")], "What is the place?", "bottom"),
    ([circle(MIDDLE, MIDDLE, 33, "red")], "What is the place?", "middle"),
    ([circle(LOW, LOW, 33, "red")], "What is the count?", "1"),
    (TWO, "What is the count?", "2"),
    (THREE, "Tell me the count.", "3"),
    (TWO, "What color is the square?", "blue"),
    (TWO, "What color is the circle?", "red"),
    ([number("7", "black")], "What is the number?", "7"),
    ([number("42", "blue")], "What is the number?", "42"),
    ([number("5", "red")], "What is the color?", "red"),
]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with open_everything(tmp_path_factory.mktemp("home")) as services:
        yield services


@pytest.fixture(scope="module")
def replies(services: Services) -> dict[Kind, list[str]]:
    """Return what is said of each picture, on each engine that sees here."""
    models = [each for each in services.store.list() if each.builtin]
    return {
        model.kind: [ask(services, str(model.name), *row[:2]) for row in PICTURES]
        for model in models
        if model.kind is Kind.LLAMA or has_mlx_vlm()
    }


def ask(services: Services, model: str, drawn: list[Drawn], question: str) -> str:
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    for draw in drawn:
        draw(ImageDraw.Draw(picture))
    file = BytesIO()
    picture.save(file, "PNG")
    asked = Message("user", (chat.Image(file.getvalue()), chat.Text(question)))
    listener = Listener()
    request = GenerateRequest(model=model, prompt=(asked,), sampling=GREEDY, max_tokens=40)
    services.residency.submit(request, listener, origin=A_TEST)
    assert isinstance(listener.end(), Finished)
    return listener.text


def test_it_sees_what_is_drawn(replies: dict[Kind, list[str]]):
    for kind, said in replies.items():
        wrong = [
            (question, answer, each)
            for (_, question, answer), each in zip(PICTURES, said, strict=True)
            if each != answer
        ]
        assert len(PICTURES) - len(wrong) >= LEAST_RIGHT, (kind, wrong)


def test_it_sees_the_same_on_both_engines(replies: dict[Kind, list[str]]):
    if len(replies) < 2:
        pytest.skip("mlx-vlm is not installed here")
    one, other = replies.values()

    assert sum(a == b for a, b in zip(one, other, strict=True)) >= LEAST_SAME
